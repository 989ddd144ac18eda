use std::time::Duration;

use yima_read_api::config::ReadApiConfig;
use yima_schema::time::{DAY, HOUR};

use super::key_set::{KeptFor, KeyState};
use super::*;

fn kept() -> KeptFor {
    KeptFor::new(&ReadApiConfig::default())
}

fn states(keys: &KeyDir, kind: KeyKind, now: Time) -> Vec<&'static str> {
    let set = keys.key_set(now).unwrap();
    set.states(kind, &kept(), now).map(|(_, state): (_, KeyState)| state.as_str()).collect()
}

#[test]
fn a_pseudonym_key_elsewhere_is_read_and_never_created() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere.key");
    let keys = || KeyDir::of(dir.path()).with_pseudonym_file(Some(elsewhere.clone()));
    assert!(matches!(keys().create(false), Err(CommandError::KeyMissing(path)) if path == elsewhere));
    fs::write(&elsewhere, [7; 32]).unwrap();
    keys().create(false).unwrap();
    assert!(!dir.path().join("keys/pseudonym.key").exists());
    let fingerprint = keys().pseudonyms().unwrap().fingerprint();
    assert_eq!(fingerprint, PseudonymKey::from_bytes(&[7; 32]).fingerprint());
    fs::remove_file(&elsewhere).unwrap();
    assert!(matches!(keys().create(true), Err(CommandError::PseudonymKeyMissing(path)) if path == elsewhere));
}

#[test]
fn keys_are_created_once_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::of(dir.path());
    keys.create(false).unwrap();
    let fingerprint = keys.pseudonyms().unwrap().fingerprint();
    keys.create(true).unwrap();
    assert_eq!(keys.pseudonyms().unwrap().fingerprint(), fingerprint);
    keys.issuer(ISSUER).unwrap();
    keys.identity_provider().unwrap();
    for file in fs::read_dir(dir.path().join("keys")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn keys_created_at_once_are_the_same_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprints: Vec<_> = std::thread::scope(|scope| {
        let create = || {
            let keys = KeyDir::of(dir.path());
            keys.create(false).unwrap();
            keys.pseudonyms().unwrap().fingerprint()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]));
    assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 5, "temporary files are left");
}

#[test]
fn a_lost_pseudonym_key_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::of(dir.path());
    assert!(matches!(keys.create(true), Err(CommandError::PseudonymKeyMissing(_))));
    keys.create(false).unwrap();
    fs::write(dir.path().join("keys").join(PSEUDONYM), b"short").unwrap();
    assert!(matches!(keys.pseudonyms(), Err(CommandError::Key { .. })));
}

#[test]
fn a_directory_without_keys_json_has_one_active_key_of_each_kind() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::of(dir.path());
    keys.create(false).unwrap();
    let listed = keys.key_set(now()).unwrap();
    fs::remove_file(dir.path().join("keys").join(KEYS)).unwrap();
    let earlier = keys.key_set(now()).unwrap();
    for kind in KeyKind::ALL {
        assert_eq!(states(&keys, kind, now()), ["active"]);
        assert_eq!(earlier.of(kind)[0].id, listed.of(kind)[0].id);
    }
    keys.create(true).unwrap();
    assert_eq!(keys.key_set(now()).unwrap().of(KeyKind::Issuer)[0].id, listed.of(KeyKind::Issuer)[0].id);
    // A key that was revoked is not made again at a start.
    keys.revoke(KeyKind::Session, "0", &kept(), now()).unwrap();
    keys.create(true).unwrap();
    assert!(!dir.path().join("keys").join(SEAL).exists());
}

#[test]
fn a_node_goes_on_while_the_file_of_a_new_key_is_missing() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (KeyDir::of(one.path()), KeyDir::of(other.path()));
    first.create(false).unwrap();
    let copy = |is_wanted: &dyn Fn(&str) -> bool| {
        fs::create_dir_all(other.path().join("keys")).unwrap();
        for path in first.files().unwrap() {
            let name = path.file_name().unwrap();
            if is_wanted(name.to_str().unwrap()) {
                fs::copy(&path, other.path().join("keys").join(name)).unwrap();
            }
        }
    };
    copy(&|_| true);
    let start = now();
    let later = start.plus(HOUR * 2);
    for kind in KeyKind::ALL {
        first.rotate(kind, start.plus(HOUR), &kept(), start).unwrap();
    }
    copy(&|name| name == KEYS);
    let load = |keys: &KeyDir, signs: bool, now: Time| keys.keyring(&keys.key_set(now).unwrap(), &kept(), signs, now);
    for (now, signs, unreadable) in [(start, true, 3), (later, true, 3), (later, false, 2)] {
        let loaded = load(&second, signs, now);
        assert!(loaded.is_complete, "the old keys are there");
        assert_eq!(loaded.unreadable.len(), unreadable);
    }
    // It seals with the old key then, and the first node opens that.
    let (by_second, by_first) = (second.for_sessions(&ReadApiConfig::default(), later).unwrap(), || {
        first.for_sessions(&ReadApiConfig::default(), later).unwrap()
    });
    let mut sealed = by_second.seal(b"x");
    assert_eq!(sealed[0], 0);
    assert_eq!(by_first().seal(b"x")[0], 1);
    assert_eq!(by_first().open(&mut sealed).unwrap(), b"x");
    copy(&|_| true);
    assert_eq!(load(&second, true, later).unreadable.len(), 0);

    // A lost key whose successor has not been copied yet seals nothing.
    first.revoke(KeyKind::Session, "1", &kept(), later).unwrap();
    copy(&|name| name == KEYS);
    fs::remove_file(other.path().join("keys/seal.key")).unwrap();
    let loaded = load(&second, true, later);
    assert!(!loaded.is_complete && !loaded.unreadable.is_empty());
}

#[test]
fn keys_are_kept_as_long_as_what_they_made_can_be_valid() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::of(dir.path());
    keys.create(false).unwrap();
    let start = now();
    for kind in KeyKind::ALL {
        keys.rotate(kind, start.plus(Duration::from_secs(10)), &kept(), start).unwrap();
    }
    for (days, issuer, session) in [
        (0, "active", "active"),
        (1, "retired", "retired"),
        (2, "retired", "retired"),
        (30, "retired", "retired"),
        (31, "ended", "ended"),
    ] {
        let at = start.plus(DAY * days);
        assert_eq!(states(&keys, KeyKind::Issuer, at)[0], issuer, "after {days} days");
        assert_eq!(states(&keys, KeyKind::Seal, at)[0], issuer, "after {days} days");
        assert_eq!(states(&keys, KeyKind::Session, at)[0], session, "after {days} days");
    }
    // The next rotation removes what has ended; the first secret seals sessions still.
    keys.rotate(KeyKind::Issuer, start.plus(DAY * 33), &kept(), start.plus(DAY * 32)).unwrap();
    assert!(!dir.path().join("keys").join(ISSUER).exists());
    assert_eq!(states(&keys, KeyKind::Seal, start.plus(DAY * 32)), ["active"]);
}

#[test]
fn a_change_of_keys_waits_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::of(dir.path());
    keys.create(false).unwrap();
    let reading = keys.lock_shared().unwrap();
    let refused = keys.rotate(KeyKind::Seal, now(), &kept(), now());
    assert!(refused.unwrap_err().to_string().contains("try again"));
    drop(reading);
    keys.rotate(KeyKind::Seal, now(), &kept(), now()).unwrap();
}
