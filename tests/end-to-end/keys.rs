//! Keys that are rotated and revoked while yima runs.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Reply, Yima, new_person, until};
use yima_schema::time::HOUR;

use crate::start_stop::assert_refuses_start;

/// Time for an awaited state; only a failing test takes it.
const SOON: Duration = Duration::from_secs(40);

/// A running instance, a tested person's session and a checkpoint's.
fn start(options: Options) -> (Yima, String, String) {
    let yima = Yima::start(options.unlimited().env("YIMA_READ_API__CODE_LIFETIME_S", 600));
    let person = new_person();
    yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR));
    let (session, guard) = (yima.session_of(&person), yima.checkpoint_session());
    (yima, session, guard)
}

/// The lines of `yima keys list`: kind, id, state.
fn listed(yima: &Yima) -> Vec<[String; 3]> {
    let words = |line: String| {
        let mut words = line.split(' ').map(str::to_owned);
        [(); 3].map(|()| words.next().expect("kind, id and state"))
    };
    yima.command(&["keys", "list"]).into_iter().map(words).collect()
}

/// The states of the keys of a kind.
fn states(yima: &Yima, kind: &str) -> Vec<String> {
    listed(yima).into_iter().filter(|[of, ..]| of == kind).map(|[_, _, state]| state).collect()
}

/// The id of the active key of a kind.
fn active(yima: &Yima, kind: &str) -> String {
    let found = listed(yima).into_iter().find(|[of, _, state]| of == kind && state == "active");
    found.map(|[_, id, _]| id).expect("an active key")
}

fn published(yima: &Yima) -> Vec<String> {
    let keys = yima.http().get(&format!("{}/v1/keys", yima.read_url()), "").json(200);
    let kid = |key: &Value| key["kid"].as_str().expect("a key id").to_owned();
    keys["keys"].as_array().expect("keys").iter().map(kid).collect()
}

fn assert_refused(output: &Output, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains(words), "expected {words} in: {stderr}");
    assert!(output.stdout.is_empty());
}

fn code(yima: &Yima, session: &str) -> Reply {
    yima.http().get(&format!("{}/v1/code", yima.read_url()), session)
}

#[test]
fn a_rotation_refuses_no_scan_no_session_and_no_display() {
    let (mut yima, session, guard) = start(Options::default());
    let first = ["issuer", "seal", "session"].map(|kind| active(&yima, kind));
    for kind in ["issuer", "seal", "session"] {
        yima.command(&["keys", "rotate", kind, "--publish-s", "10"]);
        let again = yima.options().command().args(["keys", "rotate", kind]).output().expect("yima can be run");
        assert_refused(&again, "is published already and becomes active at ");
    }
    until("both issuers' keys", SOON, || published(&yima).len() == 2);
    let (before, mut old_guard) = (yima.code(&session), guard);
    let scan = |yima: &Yima, guard: &str, code: &str| yima.scan(guard, code)["reason"].clone();
    let mut is_restarted = false;
    until("new keys in use", SOON, || {
        let code = yima.code(&session);
        let guard = yima.checkpoint_session();
        for (guard, code) in [(&guard, &code), (&old_guard, &code), (&guard, &before)] {
            assert_eq!(scan(&yima, guard, code), "green");
        }
        assert_eq!(yima.display_now(&session).status, 200);
        old_guard = guard;
        let all_new = ["issuer", "seal", "session"].map(|kind| active(&yima, kind)) != first
            && states(&yima, "session") == ["retired", "active"];
        if all_new && !is_restarted {
            // A new process, with both keys of each kind.
            yima.restart();
            is_restarted = true;
            return false;
        }
        all_new
    });
    assert_eq!(scan(&yima, &old_guard, &yima.code(&session)), "green");
    assert_eq!(published(&yima).len(), 2, "codes of the retired key are known still");
    assert_eq!(yima.metric("keys_unreadable", &[]), 0.0);
}

#[test]
fn what_a_revoked_key_made_is_refused_at_once_with_a_reason_and_the_secret_is_gone() {
    let (mut yima, session, guard) = start(Options::default());
    let (old, keys) = (yima.code(&session), yima.data_dir().join("keys"));
    let issuer = active(&yima, "issuer");
    let secret = fs::read(keys.join("issuer.p8")).expect("a key");
    let run = |yima: &Yima, arguments: &[&str]| {
        yima.options().command().arg("keys").args(arguments).output().expect("yima can be run")
    };
    assert_refused(
        &run(&yima, &["revoke", "issuer", "-unknown"]),
        &format!("ID: expected a key of kind issuer: {issuer}"),
    );
    let done = run(&yima, &["revoke", "issuer", &issuer]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_refused(&run(&yima, &["revoke", "issuer", &issuer]), "was revoked at ");
    assert!(!keys.join("issuer.p8").exists());
    until("the revocation", SOON, || yima.scan(&guard, &old)["reason"] == "revoked_key");
    assert_eq!(yima.scan(&guard, &old)["verdict"], "check");
    assert_eq!(yima.scan(&guard, &yima.code(&session))["reason"], "green");
    let kids = published(&yima);
    assert!(kids.len() == 1 && kids[0] != issuer);

    // The first secret of handles is that of sessions too.
    let newer = yima.code(&session);
    let done = run(&yima, &["revoke", "session", "0"]);
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    for line in ["seal key 0 is revoked", "session key 0 is revoked", "seal key 1 is active", "session key 1 is active"]
    {
        assert!(printed.contains(line), "{line} is not in {printed}");
    }
    until("the end of the session", SOON, || yima.display_now(&session).status == 401);
    let problem: Value = serde_json::from_str(yima.display_now(&session).text()).expect("a problem");
    assert_eq!(problem["detail"], "The key that sealed this session was revoked: sign in again");
    let guard = yima.checkpoint_session();
    assert_eq!(yima.scan(&guard, &newer)["reason"], "revoked_key");
    yima.restart();
    assert_eq!(yima.scan(&guard, &newer)["reason"], "revoked_key");
    assert_eq!(yima.display_now(&session).status, 401);

    // Nothing secret is printed or logged.
    assert!(fs::read_dir(&keys).expect("keys").all(|file| {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        !["issuer.p8", "seal.key"].contains(&name.as_str()) && !name.ends_with(".part")
    }));
    let told = [printed, yima.command(&["keys", "list"]).join("\n"), yima.stderr()].concat();
    let hex: String = secret[36..68].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!told.contains(&hex) && !told.contains("secret"), "{told}");
}

#[test]
fn a_change_of_keys_that_is_killed_between_two_steps_is_done_or_not() {
    let (mut yima, session, guard) = start(Options::default());
    let old = yima.code(&session);
    let killed = |yima: &Yima, failpoint: &str, arguments: &[&str]| {
        let mut command = yima.options().command();
        let output = command.env("FAILPOINT", failpoint).arg("keys").args(arguments).output().expect("yima can be run");
        assert_eq!(output.status.code(), None, "killed at {failpoint}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let rotate = ["rotate", "session"];
    for failpoint in ["key_written:kill:1", "key_written:kill:2"] {
        killed(&yima, failpoint, &rotate);
        assert_eq!(states(&yima, "session"), ["active"], "{failpoint}");
    }
    killed(&yima, "keys_listed:kill", &rotate);
    assert_eq!(states(&yima, "session"), ["active", "published"]);
    killed(&yima, "keys_listed:kill", &["revoke", "issuer", &active(&yima, "issuer")]);
    let keys = yima.data_dir().join("keys");
    assert!(keys.join("issuer.p8").exists(), "killed before the secret was removed");
    yima.restart();
    assert_eq!(yima.scan(&guard, &old)["reason"], "revoked_key");
    assert_eq!(yima.scan(&guard, &yima.code(&session))["reason"], "green");
    // The next change removes what was left.
    yima.command(&["keys", "rotate", "seal"]);
    let names = fs::read_dir(&keys).expect("keys").map(|file| file.expect("a file").file_name());
    let names: Vec<_> = names.map(|name| name.into_string().expect("a name")).collect();
    assert!(!names.iter().any(|name| name == "issuer.p8" || name.ends_with(".part")), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("issuer-")).count(), 1, "{names:?}");
    assert_eq!(states(&yima, "issuer"), ["revoked", "active"]);
}

#[test]
fn a_node_that_signs_no_codes_needs_no_private_key_and_scans() {
    let (mut yima, session, guard) = start(Options::default());
    let old = yima.code(&session);
    yima.kill9();
    fs::remove_file(yima.data_dir().join("keys/issuer.p8")).expect("a key");
    assert_refuses_start(yima.options(), &["issuer.p8 is missing"]);
    let yima = Yima::start(yima.options().clone().env("YIMA_READ_API__SIGNS_CODES", false));
    assert_eq!(yima.scan(&guard, &old)["reason"], "green");
    let refused = code(&yima, &session);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert_eq!(published(&yima).len(), 1);

    // An invalid file changes nothing.
    let path = yima.data_dir().join("keys/keys.json");
    let valid: Value = serde_json::from_slice(&fs::read(&path).expect("keys")).expect("JSON");
    let mut invalid = valid.clone();
    invalid["session"] = json!([{"id": "x"}]);
    fs::write(&path, invalid.to_string()).expect("a file");
    until("a refusal", SOON, || yima.metric("keys_file_accepted", &[]) == 0.0);
    assert_eq!(yima.display_now(&session).status, 200);
    assert!(yima.stderr().contains("keys.json is refused"));
    fs::write(&path, valid.to_string()).expect("a file");
    until("the valid file", SOON, || yima.metric("keys_file_accepted", &[]) == 1.0);
}

#[test]
fn softhsm_signs_codes_with_a_key_that_is_never_on_disk() {
    let options = Options::default();
    let (tokens, settings) = (options.directory().join("tokens"), options.directory().join("softhsm2.conf"));
    fs::create_dir(&tokens).expect("a directory");
    fs::write(&settings, format!("directories.tokendir = {}\n", tokens.display())).expect("a file");
    let mut init = Command::new("softhsm2-util");
    init.args(["--init-token", "--free", "--label", "yima", "--pin", "1357", "--so-pin", "2468"]);
    let output = init.env("SOFTHSM2_CONF", &settings).output().expect("softhsm2-util can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let options = options
        .env("SOFTHSM2_CONF", settings.display())
        .env("YIMA_KEYS__PKCS11__MODULE", "/usr/lib/softhsm/libsofthsm2.so")
        .env("YIMA_KEYS__PKCS11__TOKEN", "yima")
        .env("YIMA_KEYS__PKCS11__PIN", "1357");
    let wrong = options.clone().data_dir_name("wrong".into()).env("YIMA_KEYS__PKCS11__PIN", "9999");
    assert_refuses_start(&wrong, &["keys.pkcs11: expected the usable token \"yima\" of /usr/lib/softhsm/"]);

    let (mut yima, session, guard) = start(options);
    let keys = yima.data_dir().join("keys");
    let on_disk = || {
        let names = fs::read_dir(&keys).expect("keys").map(|file| file.expect("a file").file_name());
        names.map(|name| name.into_string().expect("a name")).filter(|name| name.starts_with("issuer")).count()
    };
    let old = yima.code(&session);
    assert_eq!(yima.scan(&guard, &old)["reason"], "green");
    // Several at once, each in a session of its own.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(yima.scan(&guard, &yima.code(&session))["reason"], "green"));
        }
    });
    yima.restart();
    assert_eq!(yima.scan(&guard, &yima.code(&session))["reason"], "green");
    let first = active(&yima, "issuer");
    let printed = yima.command(&["keys", "revoke", "issuer", &first]).join("\n");
    assert!(printed.contains(&format!("issuer key {first} is revoked")), "{printed}");
    until("the revocation", SOON, || yima.scan(&guard, &old)["reason"] == "revoked_key");
    assert_eq!(yima.scan(&guard, &yima.code(&session))["reason"], "green");
    assert_eq!(on_disk(), 0);
    // The token has lost the revoked key, and the data directory goes nowhere without the token.
    let mut without = yima.options().command();
    let output = without.env_remove("YIMA_KEYS__PKCS11__MODULE").env_remove("YIMA_KEYS__PKCS11__TOKEN");
    let output = output.env_remove("YIMA_KEYS__PKCS11__PIN").args(["keys", "list"]).output().expect("yima can be run");
    assert!(output.status.success(), "a list needs no token");
    assert!(!yima.stderr().contains("1357"));
}
