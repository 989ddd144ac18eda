//! The tuning file of the cache: watched while the process runs, accepted or refused as a whole.

use std::time::Duration;

use serde_json::{Value, json};
use yima_harness::{Options, Yima, new_person, until};

/// Time for a change of the file to take effect; the process reads it every 2 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options with a tuning file of this content, and the file's path.
fn with_tuning_file(text: &str) -> (Options, std::path::PathBuf) {
    let options = Options::default();
    let path = options.directory().join("modules.toml");
    std::fs::write(&path, text).expect("the directory can be written");
    let options = options.env("YIMA_READ_API__CACHE__TUNING_FILE", path.display());
    (options, path)
}

/// The tuning in force, with the source of each value.
fn active(yima: &Yima) -> Value {
    yima.http().get(&format!("{}/cache", yima.admin_url()), "").json(200)
}

fn is_accepted(yima: &Yima) -> bool {
    yima.metric("cache_tuning_file_accepted", &[]) == 1.0
}

#[test]
fn a_changed_file_takes_effect_and_an_invalid_one_changes_nothing() {
    let (options, path) = with_tuning_file("[view]\nmax_lag_ms = 5000\n");
    let yima = Yima::start(options);
    let at_start = active(&yima);
    assert_eq!(at_start["view"]["max_lag_ms"], json!({"value": 5_000, "source": "file"}));
    assert_eq!(at_start["view"]["max_stale_s"], json!({"value": 86_400, "source": "settings"}));

    // With a lag limit of 1 ms no answer is fresh: the tuning in force is also applied.
    let person = new_person();
    let test = person.test("modules-1", "negative", Duration::from_secs(60));
    assert_eq!(yima.event(&yima.agency_token("lab-1"), &test), "accepted");
    let session = yima.session_of(&person);
    assert!(!yima.display_now(&session).header("cache-status").contains("stale"));
    std::fs::write(&path, "[view]\nmax_lag_ms = 1\n[negative]\nmemory_bytes = 2000000\n[session]\nmemory_bytes = 0\n")
        .unwrap();
    until("the changed tuning", PATIENCE, || active(&yima)["view"]["max_lag_ms"]["value"] == 1);
    assert_eq!(active(&yima)["negative"]["memory_bytes"], json!({"value": 2_000_000, "source": "file"}));
    assert_eq!(active(&yima)["session"]["memory_bytes"], json!({"value": 0, "source": "file"}));
    assert_eq!(active(&yima)["code"]["memory_bytes"], json!({"value": 16_777_216, "source": "settings"}));
    until("its effect", PATIENCE, || yima.display_now(&session).header("cache-status").contains("stale"));

    assert!(is_accepted(&yima));
    let before = active(&yima);
    std::fs::write(&path, "[view]\nmax_lag_ms = 7\nmax_stale_s = \"long\"\n").unwrap();
    until("the refusal of the file", PATIENCE, || !is_accepted(&yima));
    assert_eq!(active(&yima), before);
    assert!(yima.stderr().contains("max_stale_s"), "{}", yima.stderr());

    std::fs::write(&path, "").unwrap();
    until("the base settings", PATIENCE, || {
        active(&yima)["view"]["max_lag_ms"] == json!({"value": 2_000, "source": "settings"})
    });
    assert!(is_accepted(&yima));
}

#[test]
fn an_invalid_file_refuses_the_start() {
    let (options, _) = with_tuning_file("[view]\nmemory_bytes = 1\n");
    let Err(refused) = Yima::try_start(options) else { panic!("it started") };
    assert_eq!(refused.exit.and_then(|exit| exit.code()), Some(3));
    let expected = "read_api.cache.tuning_file: view.memory_bytes: expected at least 1048576";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}
