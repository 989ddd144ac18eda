//! `yima audit`, beside a process with the embedded store: what it counts of nodes that are right, down, or lie.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use yima_harness::{Http, Options, Reply, Yima, new_person, until};
use yima_schema::time::HOUR;

const SOON: Duration = Duration::from_secs(60);

/// An auditor with the keys of that instance. `nodes` as in the settings.
pub fn start(yima: &Yima, nodes: &str, env: &[(&str, &str)]) -> Yima {
    let options = yima.options().clone().command_line(&["audit"]).env("YIMA_AUDIT__NODES", nodes);
    Yima::start(env.iter().fold(options, |options, (variable, value)| options.env(variable, value)))
}

/// Looks at the end of a window that came out so.
pub fn windows(auditor: &Yima, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    auditor.metric("audit_windows_total", &labels.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn inconsistencies(auditor: &Yima, node: &str) -> f64 {
    auditor.metric("audit_inconsistencies_total", &[&format!("node=\"{node}\"")])
}

#[test]
fn changes_people_and_canaries_are_seen_in_every_window_and_the_process_stops() {
    let yima = Yima::start(Options::default().population(50));
    let nodes = format!("[{{ url = '{}', name = 'only' }}]", yima.read_url());
    let writer = yima.writer_url();
    let canaries = [("YIMA_AUDIT__CANARY__WRITER", writer.as_str()), ("YIMA_AUDIT__CANARY__EVERY_S", "5")];
    let mut auditor = start(&yima, &nodes, &canaries);
    let lab = yima.agency_token("lab-7");
    let seen = |source, window| {
        let labels = [("source", source), ("window", window), ("outcome", "consistent"), ("node", "only")];
        windows(&auditor, &labels)
    };
    let mut sent = 0;
    until("looks at the ends of windows", SOON, || {
        let person = new_person();
        sent += 1;
        yima.event(&lab, &person.test(&format!("a-{sent}"), "negative", HOUR));
        ["change", "person", "canary"].into_iter().all(|source| seen(source, "1") >= 3.0 && seen(source, "10") >= 1.0)
    });
    assert_eq!((windows(&auditor, &[("outcome", "late")]), inconsistencies(&auditor, "only")), (0.0, 0.0));
    assert!(auditor.metric("audit_visible_seconds_count", &["source=\"canary\""]) >= 3.0);
    for source in ["change", "person", "canary"] {
        let is_up = || auditor.metric("audit_source_up", &[&format!("source=\"{source}\"")]) == 1.0;
        until("the source is up", SOON, is_up);
    }
    // One change a second, however many there are, and each is asked about at most eight times.
    let all_changes = seen("change", "1");
    assert!(all_changes < f64::from(sent), "{all_changes} of {sent} were sampled");
    let log = auditor.stderr();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert_eq!(auditor.stop().code(), Some(0));
}

#[test]
fn nodes_that_take_it_for_an_edge_are_asked_and_its_page_shows_their_state() {
    let edges_name_clients = Options::default()
        .population(50)
        .env("YIMA_READ_API__HTTP__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")
        .env("YIMA_READ_API__HTTP__PROXY_PROTOCOL", true);
    let yima = Yima::start(edges_name_clients);
    let nodes = format!("[{{ url = '{}', name = 'only' }}]", yima.read_url());
    let admins = format!("['{}']", yima.admin_url().trim_start_matches("http://"));
    let more = [("YIMA_AUDIT__PEOPLE_PER_S", "10"), ("YIMA_ADMIN__NODES", &admins)];
    let counts = |auditor: &Yima, outcome| windows(auditor, &[("node", "only"), ("outcome", outcome)]);
    let mut auditor = start(&yima, &nodes, &more);
    until("connections that are not an edge's are closed", SOON, || counts(&auditor, "unanswered") >= 3.0);
    assert_eq!(counts(&auditor, "consistent"), 0.0);
    auditor.stop();

    let auditor = start(&yima, &nodes, &[&more[..], &[("YIMA_AUDIT__PROXY_PROTOCOL", "true")]].concat());
    until("people are asked about", SOON, || counts(&auditor, "consistent") >= 3.0);
    assert_eq!(counts(&auditor, "unanswered"), 0.0);
    let get = |path: &str| auditor.http().get(&format!("{}{path}", auditor.admin_url()), "");
    assert_eq!(get("/status").json(200)["role"], "auditor");
    assert_eq!(get("/status/nodes").json(200)["nodes"][0]["status"]["role"], "everything");
    assert!(get("/").text().contains("<title>yima: nodes</title>"));
}

#[test]
fn a_node_that_is_down_is_unanswered_and_never_inconsistent() {
    let mut yima = Yima::start(Options::default().population(2_000));
    let up = yima.read_url();
    let nodes = format!("[{{ url = '{up}', name = 'up' }}, {{ url = 'http://127.0.0.1:1', name = 'absent' }}]");
    let auditor = start(&yima, &nodes, &[("YIMA_AUDIT__PEOPLE_PER_S", "10")]);
    let count = |node, outcome| windows(&auditor, &[("node", node), ("outcome", outcome)]);
    let both = || count("up", "consistent") >= 10.0 && count("absent", "unanswered") >= 10.0;
    until("people are asked about", SOON, both);
    assert_eq!(count("absent", "consistent"), 0.0);
    let before = count("up", "unanswered");
    yima.kill9();
    // Nobody tells it of changes or people any more; it goes on asking about those that it knows.
    until("looks without an answer", SOON, || count("up", "unanswered") >= before + 10.0);
    let is_blind = || auditor.metric("audit_source_up", &["source=\"change\""]) == 0.0;
    until("it knows that it learns nothing", SOON, is_blind);
    let before = count("up", "consistent");
    yima.start_again();
    until("answers again", SOON, || count("up", "consistent") >= before + 10.0 && !is_blind());
    assert_eq!(windows(&auditor, &[("outcome", "late")]), 0.0);
    assert_eq!(inconsistencies(&auditor, "up") + inconsistencies(&auditor, "absent"), 0.0);
    let log = auditor.stderr();
    assert!(log.contains("the store cannot be sampled") && !log.contains("ERROR"), "{log}");
}

#[test]
fn an_old_body_under_fresh_header_fields_is_counted_once_for_each_change() {
    let yima = Yima::start(Options::default().population(0));
    let proxy = Replaying::start(yima.read_url());
    let nodes =
        format!("[{{ url = '{}', name = 'honest' }}, {{ url = '{}', name = 'lying' }}]", yima.read_url(), proxy.url);
    // Both clocks are this machine's.
    let env = [("YIMA_AUDIT__PEOPLE_PER_S", "0"), ("YIMA_AUDIT__CLOCK_MARGIN_MS", "0")];
    let auditor = start(&yima, &nodes, &env);
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let session = yima.session_of(&person);
    assert_eq!(yima.http().get(&format!("{}/v1/display", proxy.url), &session).json(200)["version"], 0);
    until("it samples", SOON, || auditor.metric("audit_source_up", &["source=\"change\""]) == 1.0);
    yima.event(&lab, &person.test("l-1", "positive", HOUR));
    let late = |window| windows(&auditor, &[("node", "lying"), ("window", window), ("outcome", "late")]);
    until("the window of ten seconds has ended", SOON, || late("10") == 1.0);
    assert_eq!((late("1"), inconsistencies(&auditor, "lying")), (1.0, 1.0));
    let honest = |window| windows(&auditor, &[("node", "honest"), ("window", window), ("outcome", "consistent")]);
    until("the honest node has answered too", SOON, || honest("10") == 1.0);
    assert_eq!((honest("1"), inconsistencies(&auditor, "honest")), (1.0, 0.0));
    let log = auditor.stderr();
    let line = log.lines().find(|line| line.contains("an answer lacks a change that it claims to have"));
    let line = line.unwrap_or_else(|| panic!("no line: {log}"));
    assert!(line.contains("lying") && !log.contains(&person.document), "{line}");
}

#[test]
fn settings_that_cannot_be_are_named_together() {
    let options = Options::default().population(0);
    drop(Yima::start(options.clone()));
    let mut audit = options.command();
    audit.arg("audit").env("YIMA_AUDIT__NODES", "[{ url = 'https://read-1/v1' }]");
    audit.env("YIMA_AUDIT__CHANGES_PER_S", "11").env("YIMA_AUDIT__CANARY__EVERY_S", "1");
    let output = audit.output().expect("yima can be run");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{errors}");
    for key in ["audit.nodes: ", "audit.changes_per_s: ", "audit.canary.every_s: "] {
        assert!(errors.contains(key), "{key} is not in {errors}");
    }
}

/// A proxy before a read node that answers with fresh header fields and the first body that it has ever seen.
struct Replaying {
    url: String,
}

impl Replaying {
    fn start(node: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let first = Arc::new(Mutex::new(None));
        // It ends with the test's process.
        thread::spawn(move || {
            let http = Http::default();
            for stream in listener.incoming().flatten() {
                let (http, node, first) = (http.clone(), node.clone(), Arc::clone(&first));
                // A client that is gone needs no answer.
                thread::spawn(move || drop(answer(&stream, &http, &node, &first)));
            }
        });
        Self { url }
    }
}

fn answer(stream: &TcpStream, http: &Http, node: &str, first: &Mutex<Option<Vec<u8>>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next().transpose()?.unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let mut bearer = String::new();
    for line in lines {
        match line?.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => bearer = value.to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    let reply: Reply =
        http.get_with(&format!("{node}{path}"), &[("authorization", &bearer)]).map_err(std::io::Error::other)?;
    let body = first.lock().expect("no answer panicked").get_or_insert(reply.body).clone();
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n", reply.status, body.len());
    for name in ["etag", "age", "yima-as-of", "cache-status", "content-type"] {
        let value = reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        head += &format!("{name}: {value}\r\n");
    }
    (&mut &*stream).write_all(&[head.as_bytes(), b"\r\n", &body].concat())
}
