//! The states of keys at each moment, and what a key set refuses.

use super::*;

const KEPT: KeptFor = KeptFor { codes: Duration::from_secs(100), sessions: Duration::from_secs(1_000) };

fn entry(id: u8, active_from: i64) -> KeyEntry {
    let file = if id == 0 { "seal.key".into() } else { format!("seal-{id}.key") };
    let active_from = Time::from_secs(active_from);
    KeyEntry {
        id: id.to_string(),
        file: Some(file),
        public: None,
        created_at: Time::default(),
        active_from,
        revoked_at: None,
    }
}

fn set() -> KeySet {
    KeySet { issuer: Vec::new(), seal: vec![entry(0, 0), entry(1, 50)], session: vec![entry(0, 0)] }
}

fn states(set: &KeySet, kind: KeyKind, now: i64) -> Vec<&'static str> {
    set.states(kind, &KEPT, Time::from_secs(now)).map(|(_, state)| state.as_str()).collect()
}

#[test]
fn a_key_is_published_then_active_then_kept_until_nothing_that_it_made_is_valid() {
    for (now, expected) in [
        (0, ["active", "published"]),
        (49, ["active", "published"]),
        (50, ["retired", "active"]),
        (149, ["retired", "active"]),
        (150, ["ended", "active"]),
    ] {
        assert_eq!(states(&set(), KeyKind::Seal, now), expected, "at {now}");
    }
    let mut set = set();
    set.remove_ended(&KEPT, Time::from_secs(149));
    assert_eq!(set.of(KeyKind::Seal).len(), 2);
    set.remove_ended(&KEPT, Time::from_secs(150));
    assert_eq!(set.of(KeyKind::Seal), [entry(1, 50)]);
    assert_eq!(set.files().collect::<Vec<_>>(), ["seal-1.key", "seal.key"], "the session key has it still");
}

#[test]
fn a_node_whose_clock_is_behind_uses_the_first_key() {
    assert_eq!(states(&set(), KeyKind::Seal, -10), ["active", "published"]);
}

#[test]
fn a_revoked_active_key_is_replaced_by_a_published_one_or_needs_a_new_one() {
    let mut replaced = set();
    let without = replaced.revoke(KeyKind::Seal, "0", Time::from_secs(10));
    assert_eq!(without, [KeyKind::Session], "the session key has the same secret, and no successor");
    assert_eq!(states(&replaced, KeyKind::Seal, 10), ["revoked", "active"]);
    assert_eq!(states(&replaced, KeyKind::Session, 10), ["revoked"]);
    assert_eq!(states(&replaced, KeyKind::Seal, 110), ["ended", "active"]);
    assert_eq!(states(&replaced, KeyKind::Session, 110), ["revoked"], "sessions live longer");

    // A retired key is not used again, and a key that was revoked before it was active has retired none.
    let mut later = set();
    assert_eq!(later.revoke(KeyKind::Seal, "1", Time::from_secs(60)), [KeyKind::Seal]);
    let mut early = set();
    assert_eq!(early.revoke(KeyKind::Seal, "1", Time::from_secs(10)), []);
    assert_eq!(states(&early, KeyKind::Seal, 500), ["active", "ended"]);
    assert_eq!(early.revoke(KeyKind::Seal, "9", Time::from_secs(10)), []);
}

#[test]
fn numbers_are_used_again_only_when_they_are_free() {
    let mut set = set();
    assert_eq!(set.free_number(KeyKind::Seal), Some(2));
    set.add(KeyKind::Seal, entry(255, 60));
    assert_eq!(set.free_number(KeyKind::Seal), Some(2), "0 and 1 are used");
    for number in 2..255 {
        set.add(KeyKind::Seal, entry(number, 70));
    }
    assert_eq!(set.free_number(KeyKind::Seal), None);
}

#[test]
fn a_file_with_an_error_is_refused_with_the_place_of_it() {
    let json = |seal: &str| format!(r#"{{"issuer":[],"session":[],"seal":[{seal}]}}"#);
    let one = |id: &str, file: &str, from: &str| {
        format!(
            r#"{{"id":"{id}","file":"{file}","created_at":"2026-11-01T00:00:00Z","active_from":"{from}T00:00:00Z"}}"#
        )
    };
    let first = one("0", "seal.key", "2026-11-02");
    assert!(KeySet::parse(json(&first).as_bytes()).is_ok());
    for (second, expected) in [
        (one("0", "seal-1.key", "2026-11-03"), "/seal/1: expected an id that no other"),
        (one("1", "seal-1.key", "2026-11-01"), "/seal/1: expected active_from no earlier"),
        (one("256", "seal-1.key", "2026-11-03"), "/seal/1: expected an issuer's public key"),
        (one("1", "../seal-1.key", "2026-11-03"), "/seal/1: expected file with the name"),
        (one("1", "pseudonym.key", "2026-11-03"), "/seal/1: expected file with the name"),
        (r#"{"secret":"x"}"#.into(), "expected the JSON of keys: unknown field"),
    ] {
        let error = KeySet::parse(json(&[&first, ",", &second].concat()).as_bytes()).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let cut = json(&first);
    assert!(KeySet::parse(&cut.as_bytes()[..cut.len() - 1]).is_err(), "a file that is being copied");
}
