//! `yima status`, the operator's page behind it, and `yima doctor`.

use std::process::Output;

use serde_json::Value;
use yima_harness::{Options, Yima};

fn run(options: &Options, arguments: &[&str]) -> Output {
    options.command().args(arguments).output().expect("yima can be run")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn address(yima: &Yima) -> String {
    yima.admin_url().trim_start_matches("http://").to_owned()
}

fn status(nodes: &[&str]) -> Output {
    let nodes: Vec<_> = nodes.iter().flat_map(|node| ["--node", *node]).collect();
    run(&Options::default(), &[&["status"], &*nodes].concat())
}

#[test]
fn the_state_of_every_node_is_told_in_words_and_by_the_exit_code() {
    let mut yima = Yima::start(Options::default());
    let node = address(&yima);
    let healthy = status(&[&node]);
    assert!(text(&healthy).contains("everything") && text(&healthy).contains("local"), "{healthy:?}");
    // The disk of this machine may be nearly full.
    assert!(matches!(healthy.status.code(), Some(0 | 1)), "{healthy:?}");
    assert!(!text(&healthy).contains("CRITICAL"), "{healthy:?}");

    yima.command(&["level", "set", "6", "--for", "1h", "--why", "test"]);
    let busy = status(&[&node]);
    assert!(text(&busy).contains("CRITICAL") && text(&busy).contains("level 6: no vaccination"), "{busy:?}");
    assert!(text(&busy).contains("runbook: YimaLevelHigh") && text(&busy).contains("set by hand"), "{busy:?}");
    assert_eq!(busy.status.code(), Some(2));
    yima.command(&["level", "automatic"]);

    // Nodes with keys of their own, which is two deployments.
    let other = Yima::start(Options::default());
    let differ = status(&[&node, &address(&other)]);
    assert!(text(&differ).contains("different active issuer keys"), "{differ:?}");
    assert_eq!(differ.status.code(), Some(2));

    let json = run(&Options::default(), &["status", "--json", "--node", &node]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&json["nodes"][0]["status"]["ready"], &json["nodes"][0]["status"]["level"]), (&true.into(), &0.into()));

    yima.kill9();
    let dead = status(&[&node]);
    assert!(text(&dead).contains("does not answer"), "{dead:?}");
    assert_eq!(dead.status.code(), Some(2));
}

#[test]
fn a_node_tells_of_the_others_that_its_settings_name() {
    let first = Yima::start(Options::default());
    let nodes = format!("[\"{}\"]", address(&first));
    let second = Yima::start(Options::default().env("YIMA_ADMIN__NODES", nodes));
    let get =
        |path: &str| second.http().send("GET", &format!("{}{path}", second.admin_url()), &[], None).expect("an answer");
    let all = get("/status/nodes").json(200);
    assert_eq!(all["nodes"][0]["address"], Value::from(address(&first)));
    assert_eq!(all["nodes"][0]["status"]["role"], "everything");
    let page = get("/");
    assert!(page.text().contains("<title>yima: nodes</title>"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
}

#[test]
fn the_doctor_finds_what_would_refuse_a_start_and_changes_nothing() {
    let mut yima = Yima::start(Options::default());
    let options = yima.options().clone();
    let beside = run(&options, &["doctor"]);
    assert_eq!(beside.status.code(), Some(1), "free ports, and the demo is worth a warning: {beside:?}");
    let taken = run(&options.clone().env("YIMA_ADMIN__LISTEN", address(&yima)), &["doctor"]);
    assert!(text(&taken).contains("FAILS    port"), "{taken:?}");
    assert_eq!(taken.status.code(), Some(2));
    yima.stop();

    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(options.data_dir()).expect("a directory");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    for (variable, value, words) in [
        ("YIMA_WRITER__AGENCIES_FILE", "/nowhere", "/nowhere"),
        ("YIMA_IDENTITY_PROVIDER__KEYS_FILE", "/nowhere", "/nowhere"),
        ("YIMA_STORE__MIN_FREE_BYTES", "9223372036854775807", "store.min_free_bytes"),
        ("YIMA_READ_API__CODE_LIFETIME_S", "\"x\"", "read_api.code_lifetime_s"),
    ] {
        let output = run(&options.clone().env(variable, value), &["doctor"]);
        assert!(text(&output).contains("FAILS") && text(&output).contains(words), "{words}: {output:?}");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    std::fs::remove_file(options.data_dir().join("keys/pseudonym.key")).expect("it is there");
    let keyless = run(&options, &["doctor"]);
    assert!(text(&keyless).contains("FAILS    keys") && text(&keyless).contains("pseudonym.key"), "{keyless:?}");
    assert_eq!(before, files());
}
