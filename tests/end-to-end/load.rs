//! `yima load`: what it reports is what the service counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use yima_harness::{Options, Yima, until};

/// Every class with its method, route and service.
const CLASSES: [(&str, &str, &str, &str); 6] = [
    ("display", "GET", "/v1/display", "read-api"),
    ("code", "GET", "/v1/code", "read-api"),
    ("scan", "POST", "/v1/scan", "read-api"),
    ("sign_in", "POST", "/v1/sessions", "read-api"),
    ("upload", "POST", "/v1/events", "writer"),
    ("live_display", "GET", "/v1/display/events", "read-api"),
];

fn start(options: Options) -> Yima {
    // Live displays are opened at any utilization.
    Yima::start(options.unlimited().population(200).env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2))
}

/// Writes a mix file whose targets are the instance's.
fn mix(yima: &Yima, rest: &str) -> PathBuf {
    let path = yima.options().directory().join("mix.toml");
    let (read, writer, admin) = (yima.read_url(), yima.writer_url(), yima.admin_url());
    let targets = format!("[target]\nread = \"{read}\"\nwriter = \"{writer}\"\nadmin = \"{admin}\"\n");
    fs::write(&path, targets + rest).expect("the temporary directory can be written");
    path
}

/// Runs a mix; the report as text and as JSON.
fn load(yima: &Yima, mix: &Path, more: &[&str]) -> (String, Value) {
    let json = mix.with_extension("json");
    let arguments = ["load", mix.to_str().expect("UTF-8"), "--json", json.to_str().expect("UTF-8")];
    let text = yima.command(&[&arguments[..], more].concat()).join("\n");
    (text, serde_json::from_slice(&fs::read(json).expect("a report")).expect("a report in JSON"))
}

/// The sum of a class over all phases: of one status, or of everything in `field`.
fn sum(report: &Value, class: &str, field: &str, key: Option<&str>) -> u64 {
    let phases = report["phases"].as_array().expect("phases");
    let classes = phases.iter().flat_map(|phase| phase["classes"].as_array().expect("classes"));
    let values = classes.filter(|found| found["class"] == class).map(|found| match (&found[field], key) {
        (Value::Object(counts), Some(key)) => counts.get(key).and_then(Value::as_u64).unwrap_or(0),
        (Value::Object(counts), None) => counts.values().filter_map(Value::as_u64).sum(),
        (value, _) => value.as_u64().unwrap_or(0),
    });
    values.sum()
}

#[test]
fn the_report_of_a_mix_has_the_counts_of_the_service() {
    let yima = start(Options::default());
    let mix = mix(
        &yima,
        "[clients]\nconnections = 8\nrequests_per_connection = 40\nlive_display_s = 1\n\
         [people]\nsessions = 200\ncheckpoints = 5\nidentity_tokens = 20\n\
         [mix]\ndisplay = 60\ncode = 15\nscan = 15\nsign_in = 3\nupload = 4\nlive_display = 3\n\
         [[phases]]\nname = \"ramp\"\nduration_s = 1\nrate = 50\nto = 300\nwarm_up = true\n\
         [[phases]]\nname = \"steady\"\nduration_s = 2\nrate = 300\n\
         [[phases]]\nname = \"as fast as it goes\"\nduration_s = 1\nrate = \"max\"\n",
    );
    let before = CLASSES.map(|(_, method, route, service)| requests(&yima, service, method, route));
    let (text, report) = load(&yima, &mix, &["--threads", "2"]);
    for ((class, method, route, service), before) in CLASSES.into_iter().zip(before) {
        let first_codes = if class == "code" { report["first_codes"].as_u64().expect("a number") } else { 0 };
        let [wanted, answers, failures] = ["wanted", "statuses", "failures"].map(|f| sum(&report, class, f, None));
        let counted = requests(&yima, service, method, route) - before;
        assert_eq!(counted as u64, answers + first_codes, "{class}\n{text}\n{report:#}");
        assert_eq!((wanted, failures), (answers, 0), "{class}\n{text}");
        assert!(sum(&report, class, "statuses", Some("200")) > 0, "{class}\n{text}");
        assert!(text.contains(class), "{text}");
    }
    let steady = &report["phases"][1];
    let wanted = steady["all"]["wanted"].as_u64().expect("a number");
    assert!((450..750).contains(&wanted), "600 are expected: {text}");
    assert!(steady["used"]["cpu_s"].as_f64().is_some_and(|seconds| seconds > 0.0), "{report:#}");
    assert!(report["estimate"]["people_per_node"].as_f64().is_some_and(|people| people > 0.0), "{report:#}");
    // Every upload was a new event.
    assert_eq!(yima.metric("events_total", &["status=\"accepted\""]) as u64, sum(&report, "upload", "statuses", None));
}

fn requests(yima: &Yima, service: &str, method: &str, route: &str) -> f64 {
    let labels = [format!("service=\"{service}\""), format!("method=\"{method}\""), format!("route=\"{route}\",")];
    yima.metric("http_requests_total", &labels.each_ref().map(String::as_str))
}

#[test]
fn a_stall_counts_for_every_request_that_was_due_meanwhile() {
    let yima = start(Options::default());
    let mix = mix(
        &yima,
        "[clients]\narrivals = \"even\"\nconnections = 2\n[mix]\ndisplay = 1\n\
         [[phases]]\nduration_s = 4\nrate = 200\n",
    );
    let (text, report) = thread::scope(|scope| {
        let running = scope.spawn(|| load(&yima, &mix, &[]));
        until("requests", Duration::from_secs(20), || requests(&yima, "read-api", "GET", "/v1/display") > 50.0);
        yima.pause();
        thread::sleep(Duration::from_secs(1)); // how long the service stands still
        yima.resume();
        running.join().expect("a report")
    });
    let all = &report["phases"][0]["all"];
    let ms = |times: &str, quantile: &str| all[times][quantile].as_f64().expect("a time");
    assert_eq!(all["statuses"]["200"], 800, "{text}");
    // Of 800 requests 200 were due while it stood still. A generator that waits for its turn sees two of them.
    assert!((400.0..1_200.0).contains(&ms("all", "p90")), "{text}");
    assert!(ms("from_sending", "p90") < 100.0, "{text}\n{report:#}");
}

#[test]
fn what_cannot_be_sent_before_its_client_gives_up_is_counted_and_never_sent() {
    let yima = start(Options::default());
    let mix = mix(
        &yima,
        "[clients]\narrivals = \"even\"\nconnections = 2\ntimeout_ms = 100\n[mix]\ndisplay = 1\n\
         [[phases]]\nduration_s = 1\nrate = 100000\n",
    );
    let (text, report) = load(&yima, &mix, &[]);
    let [wanted, answers, failures] = ["wanted", "statuses", "failures"].map(|f| sum(&report, "display", f, None));
    assert_eq!((wanted, answers + failures), (100_000, 100_000), "{text}");
    assert!(sum(&report, "display", "failures", Some("not sent")) > 10_000, "{text}");
    let late = report["phases"][0]["all"]["late"]["max"].as_f64().expect("a time");
    assert!(late <= 101.0, "{late} ms late\n{text}");
}

#[test]
fn the_services_own_access_log_is_replayed() {
    let yima = start(Options::default().env("YIMA_LOG", "info,yima_service=debug"));
    let citizen = yima.options().print(&["sessions", "--count", "1"]).remove(0);
    (0..3).for_each(|_| drop(yima.display_now(&citizen).json(200)));
    let code = yima.code(&citizen);
    yima.scan(&yima.checkpoint_session(), &code);
    yima.http().get(&format!("{}/v1/keys", yima.read_url()), "");
    let logged = || yima.stderr().matches("route=\"/v1/keys\"").count() == 1;
    until("the log has the last request", Duration::from_secs(5), logged);
    let log = yima.stderr();
    assert!(log.contains("method=\"POST\" route=\"/v1/scan\""), "{log}");
    fs::write(yima.options().directory().join("access.log"), log).expect("a file");
    let mix = mix(&yima, "[replay]\nfile = \"access.log\"\nspeed = 2.0\n");
    let (text, report) = load(&yima, &mix, &[]);
    for (class, count) in [("display", 3), ("code", 1), ("scan", 1), ("sign_in", 1)] {
        assert_eq!(sum(&report, class, "statuses", Some("200")), count, "{class}\n{text}");
    }
    assert_eq!(report["left_out"], 1, "{text}");
}

#[test]
fn a_mix_that_cannot_be_run_is_refused_with_its_faults() {
    let options = Options::default();
    let path = options.directory().join("mix.toml");
    let run = |mix: &str| {
        fs::write(&path, mix).expect("a file");
        let output = options.command().arg("load").arg(&path).output().expect("yima can be run");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let faults = run("[target]\nread = \"ftp://x\"\n[mix]\nshow = 1\n[[phases]]\nrate = -5\n");
    for fault in ["target.read: ", "mix.show: ", "phases[0].rate: ", "phases[0].duration_s: "] {
        assert!(faults.contains(fault), "{fault} is not in {faults}");
    }
    let sound = "[target]\nread = \"http://127.0.0.1:1\"\n[people]\nsessions = \"sessions\"\n\
        [mix]\ndisplay = 1\n[[phases]]\nduration_s = 1\nrate = 1\n";
    assert!(run(sound).contains("sessions: "), "the file is missing");
    fs::write(path.with_file_name("sessions"), "a session\n").expect("a file");
    assert!(run(sound).contains("expected 1 to"), "a session has no blank");
    fs::write(path.with_file_name("sessions"), "session\n").expect("a file");
    assert!(run(sound).contains("does not answer"), "nothing listens there");
}
