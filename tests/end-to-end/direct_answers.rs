//! Displays that are answered without hyper are those that hyper would give: the same request with a field that is not
//! known goes through hyper.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use yima_harness::{Options, Yima, new_person};
use yima_schema::time::HOUR;

use crate::shared;

/// A field without a meaning, so that hyper gets the request.
const UNKNOWN: &str = "X-Unknown: 1\r\n";
/// Fields that differ from answer to answer.
const CHANGING: [&str; 6] = ["date", "x-request-id", "age", "yima-as-of", "yima-refresh-after", "retry-after"];

struct Connection(TcpStream);

impl Connection {
    fn open(yima: &Yima) -> Self {
        let stream = TcpStream::connect(yima.read_url().replace("http://", "")).expect("yima listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time above zero");
        Self(stream)
    }

    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).expect("a request is small");
    }

    /// The next answer: its head with the changing fields blanked, and its body.
    fn receive(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("more of the answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("heads of answers are ASCII");
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let fields: Vec<_> = head.lines().filter_map(field).collect();
        let length = fields
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, length)| length.parse().expect("a length is a number"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the whole body");
        let shown = |line: &str| match field(line) {
            Some((name, _)) if CHANGING.contains(&&*name) => format!("{name}: -"),
            _ => line.to_owned(),
        };
        let head: Vec<_> = head.lines().map(shown).collect();
        head.join("\n") + &String::from_utf8(body).expect("bodies are UTF-8")
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.receive()
    }
}

fn display(session: &str, more: &str) -> String {
    format!("GET /v1/display HTTP/1.1\r\nHost: yima.example\r\nAuthorization: Bearer {session}\r\n{more}\r\n")
}

fn tag(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("etag: "));
    line.expect("a display has a tag").to_owned()
}

#[test]
fn a_display_is_the_same_with_and_without_hyper() {
    let yima = shared();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR));
    let session = yima.session_of(&person);
    let mut connection = Connection::open(&yima);
    let old = tag(&connection.ask(&display(&session, "")));
    yima.event(&lab, &person.test("t-2", "positive", HOUR / 2));
    let current = tag(&connection.ask(&display(&session, "")));
    assert_ne!(old, current);
    let unknown_session = "x".repeat(session.len());
    for (session, more, status) in [
        (&session, String::new(), 200),
        (&session, "Connection: keep-alive\r\nAccept: */*\r\nUser-Agent: Mozilla/5.0\r\n".to_owned(), 200),
        (&session, format!("If-None-Match: {current}\r\n"), 304),
        (&session, format!("If-None-Match: W/{current}\r\n"), 304),
        (&session, "If-None-Match: *\r\n".to_owned(), 304),
        (&session, format!("If-None-Match: {old}\r\n"), 200),
        (&session, format!("If-None-Match: {old}, {current}\r\n"), 304),
        (&session, "If-None-Match: \"x\"\r\nCache-Control: no-cache\r\n".to_owned(), 200),
        (&session, "Yima-At-Least-As-Fresh: x\r\n".to_owned(), 400),
        (&session, "Authorization: Bearer x\r\n".to_owned(), 400),
        (&unknown_session, String::new(), 401),
    ] {
        // Each on a connection of its own, since some refusals close theirs.
        let direct = Connection::open(&yima).ask(&display(session, &more));
        let through_hyper = Connection::open(&yima).ask(&display(session, &(more.clone() + UNKNOWN)));
        assert_eq!(direct, through_hyper, "{more}");
        assert!(direct.starts_with(&format!("HTTP/1.1 {status} ")), "{more}: {direct}");
    }
}

#[test]
fn a_display_is_the_same_with_and_without_hyper_at_each_level() {
    let yima = Yima::start(Options::default().unlimited());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR));
    let session = yima.session_of(&person);
    let current = tag(&Connection::open(&yima).ask(&display(&session, "")));
    for (level, statuses) in [("1", [200, 304]), ("6", [200, 304]), ("7", [200, 304]), ("8", [503, 503])] {
        yima.command(&["level", "set", level, "--for", "1h", "--why", "test"]);
        for (more, status) in [String::new(), format!("If-None-Match: {current}\r\n")].into_iter().zip(statuses) {
            for more in [more.clone(), more + "Accept: text/html\r\n"] {
                let direct = Connection::open(&yima).ask(&display(&session, &more));
                let through_hyper = Connection::open(&yima).ask(&display(&session, &(more.clone() + UNKNOWN)));
                assert!(direct.starts_with(&format!("HTTP/1.1 {status} ")), "{more}: {direct}");
                assert!(direct.contains(&format!("\nyima-level: {level}\n")), "{direct}");
                // A page has the request's id, and the seconds to wait.
                if status != 503 || !more.contains("text/html") {
                    assert_eq!(direct, through_hyper, "{more} at level {level}");
                }
            }
        }
    }
}

#[test]
fn one_connection_goes_both_ways_in_order() {
    let yima = shared();
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR));
    let session = yima.session_of(&person);
    let mut connection = Connection::open(&yima);
    // The first loads the view.
    connection.ask(&display(&session, ""));
    let shown = connection.ask(&display(&session, ""));
    let token = yima.token(&["citizen", &person.document]);
    let sign_in = format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: yima.example\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    );
    for _ in 0..3 {
        assert!(connection.ask(&sign_in).contains("\"session\""));
        assert_eq!(connection.ask(&display(&session, "")), shown);
        assert_eq!(connection.ask(&display(&session, UNKNOWN)), shown);
        // Several at once, and one in two pieces.
        let unchanged = display(&session, &format!("If-None-Match: {}\r\n", tag(&shown)));
        connection.send(&(display(&session, "") + &unchanged + &display(&session, "")));
        assert_eq!(connection.receive(), shown);
        assert!(connection.receive().starts_with("HTTP/1.1 304"));
        assert_eq!(connection.receive(), shown);
        let (first, second) = unchanged.split_at(40);
        connection.send(first);
        assert!(connection.ask(second).starts_with("HTTP/1.1 304"));
    }
    let last = connection.ask(&display(&session, "Connection: close\r\n"));
    assert!(last.contains("connection: close"), "{last}");
    assert_eq!(connection.0.read(&mut [0]).expect("it is closed, not reset"), 0);
}

#[test]
fn displays_without_hyper_use_the_same_quota() {
    // A window in which nothing comes back, however slow the machine.
    let options = Options::default().env("YIMA_READ_API__LIMITS__DISPLAY__REQUESTS", 8);
    let yima = Yima::start(options.env("YIMA_READ_API__LIMITS__DISPLAY__WINDOW_S", 3_600));
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "negative", HOUR));
    let session = yima.session_of(&person);
    let mut connection = Connection::open(&yima);
    let mut statuses = Vec::new();
    for n in 0..10 {
        let answer = connection.ask(&display(&session, if n % 3 == 2 { UNKNOWN } else { "" }));
        statuses.push((answer.starts_with("HTTP/1.1 200"), answer.contains("\nratelimit: ")));
    }
    let [expected_first, low, refused] = [(true, false), (true, true), (false, true)];
    assert_eq!(statuses[0], expected_first);
    assert!(statuses.contains(&low));
    assert_eq!(statuses.iter().filter(|status| **status == refused).count(), 2, "{statuses:?}");
    let counted = |status: &str| yima.metric("http_requests_total", &[r#"route="/v1/display""#, status]);
    assert_eq!((counted(r#"status="200""#), counted(r#"status="429""#)), (8.0, 2.0));
}
