//! The benchmark of live displays: `bench-live-displays [COUNT]`, 10,000 by default. The memory of each beside that of
//! a connection after one display, both also over TLS; the cost of all while nothing changes; and the time from an
//! event's acceptance until its live display receives the new display.

#[macro_use]
extern crate yima_harness;

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use yima_harness::{CertificateFiles, Options, Person, Yima, new_person};
use yima_schema::time::HOUR;

/// People whose live displays change.
const CHANGING: usize = 100;
/// Events about each of them.
const EVENTS: usize = 5;
/// From one new connection to the next.
const APART: Duration = Duration::from_millis(1);
/// From one change to the next: fewer a second than are held back as a crowd's.
const CHANGES_APART: Duration = Duration::from_millis(30);
/// The time without a change.
const IDLE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let count: usize = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("COUNT: a number"));
    assert!(count > CHANGING, "COUNT: more than {CHANGING}");
    // Both ends of each connection are files, here and in the child, which gets the same limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to its own maximum");
    if limit.maximum.is_some_and(|most| most < count as u64 + 200) {
        report!("this many connections need `ulimit -Hn` above {}", count + 200);
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let connection = each(&runtime, count, "/v1/display", false);
    report!("a connection after one display: {connection:.0} bytes resident");
    let live = live_displays(&runtime, count);
    report!("a live display: {live:.0} bytes resident, {:.0} more than that", live - connection);
    let connection = each(&runtime, count, "/v1/display", true);
    report!("over TLS, a connection after one display: {connection:.0} bytes resident");
    let live = each(&runtime, count, "/v1/display/events", true);
    report!("over TLS, a live display: {live:.0} bytes resident, {:.0} more than that", live - connection);
    ExitCode::SUCCESS
}

/// The server's address, and TLS if it is used.
#[derive(Clone)]
struct Server {
    address: String,
    tls: Option<TlsConnector>,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

/// Starts an instance; returns the sessions of `count` people, whose views are in the memory tier already.
fn start_instance(runtime: &Runtime, count: usize, secure: bool) -> (Yima, Server, Vec<String>) {
    let mut options = Options::default();
    let files = secure.then(|| CertificateFiles::make(options.directory(), 2099));
    if let Some(files) = &files {
        options = files.apply_to(options);
    }
    let options = options.population(count as u64).unlimited();
    let options =
        options.env("YIMA_READ_API__CACHE__POLL_MS", 200).env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", count);
    // No live display is refused for utilization: the clients share this machine.
    let options = options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2);
    let options = options.env("YIMA_READ_API__HTTP__MAX_CONNECTIONS", count + 100);
    // All come from one address.
    let yima = Yima::start(options.env("YIMA_READ_API__HTTP__TRUSTED_PROXIES", r#"["127.0.0.1"]"#));
    let sessions = yima.options().print(&["sessions", "--count", &count.to_string()]);
    let address = yima.read_url().trim_start_matches("http://").to_owned();
    let server = Server { address, tls: files.map(|files| TlsConnector::from(files.client(&[]))) };
    for some in sessions.chunks(100) {
        open(runtime, &server, "/v1/display", some);
    }
    (yima, server, sessions)
}

fn resident(yima: &Yima) -> f64 {
    yima.metric("process_resident_memory_bytes", &[])
}

/// Resident bytes of a connection that stays open after its first answer.
fn each(runtime: &Runtime, count: usize, path: &str, secure: bool) -> f64 {
    let (yima, server, sessions) = start_instance(runtime, count, secure);
    let before = resident(&yima);
    let open = open(runtime, &server, path, &sessions);
    (resident(&yima) - before) / open.len() as f64
}

/// Resident bytes of a live display; reports the other figures.
fn live_displays(runtime: &Runtime, count: usize) -> f64 {
    let (yima, server, mut sessions) = start_instance(runtime, count, false);
    let people: Vec<Person> = (0..CHANGING).map(|_| new_person()).collect();
    let changing_sessions: Vec<String> = people.iter().map(|person| yima.session_of(person)).collect();
    sessions.truncate(count - CHANGING);
    let (before, start) = (resident(&yima), Instant::now());
    let (sender, received) = mpsc::channel();
    for (sessions, changing) in [(&sessions, false), (&changing_sessions, true)] {
        for (n, stream) in open(runtime, &server, "/v1/display/events", sessions).into_iter().enumerate() {
            runtime.spawn(read(stream, changing.then(|| (n, sender.clone()))));
        }
    }
    report!("{count} live displays: open after {:.1} s", start.elapsed().as_secs_f64());
    let cpu = || yima.metric("process_cpu_seconds_total", &[]);
    let (used, start) = (cpu(), Instant::now());
    std::thread::sleep(IDLE);
    let share = (cpu() - used) / start.elapsed().as_secs_f64();
    report!("nothing changes: {:.1} % of a core for all of them", share * 100.0);
    let bytes = (resident(&yima) - before) / count as f64;
    changes(&yima, &people, &received);
    report!("{} still open", yima.metric("live_displays_open", &[]));
    bytes
}

/// Sends events one after another, and waits until the live display receives each.
fn changes(yima: &Yima, people: &[Person], received: &mpsc::Receiver<(usize, Instant)>) {
    let lab = yima.agency_token("lab-7");
    let (mut from_sent, mut from_accepted) = (Vec::new(), Vec::new());
    for n in 0..EVENTS * people.len() {
        std::thread::sleep(CHANGES_APART);
        let person = n % people.len();
        let event = people[person].test(&format!("live-{n}"), "negative", HOUR);
        let sent = Instant::now();
        assert_eq!(yima.event(&lab, &event), "accepted");
        let accepted = Instant::now();
        let (changed, at) = received.recv_timeout(Duration::from_secs(10)).expect("the live display receives it");
        assert_eq!(changed, person);
        from_sent.push(at - sent);
        // Often zero: the live display receives it before the agency's client has read its answer.
        from_accepted.push(at.saturating_duration_since(accepted));
    }
    for (what, times) in [("sent → received", &mut from_sent), ("accepted → received", &mut from_accepted)] {
        times.sort();
        let [p50, p99, worst] =
            [50, 99, 100].map(|percent| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3);
        report!("{what}: p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms");
    }
}

/// Opens a connection for each session, in their order; each has its first answer.
fn open(runtime: &Runtime, server: &Server, path: &str, sessions: &[String]) -> Vec<Box<dyn Wire>> {
    runtime.block_on(async {
        let mut opening = Vec::with_capacity(sessions.len());
        let mut pace = tokio::time::interval(APART);
        for session in sessions {
            pace.tick().await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer {session}\r\n\r\n");
            opening.push(tokio::spawn(connect(server.clone(), request)));
        }
        let mut opened = Vec::with_capacity(sessions.len());
        for stream in opening {
            opened.push(stream.await.expect("no panic"));
        }
        opened
    })
}

/// Sends a request and reads the first answer, or the first event.
async fn connect(server: Server, request: String) -> Box<dyn Wire> {
    let stream = TcpStream::connect(server.address).await.expect("the server listens");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut stream: Box<dyn Wire> = match server.tls {
        Some(tls) => Box::new(tls.connect(name, stream).await.expect("a handshake")),
        None => Box::new(stream),
    };
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && !answer.ends_with(b"\n\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.expect("the server answers"), 0, "the answer was cut off");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Reads until the connection ends, and sends the time of each display.
async fn read(mut stream: Box<dyn Wire>, sender: Option<(usize, mpsc::Sender<(usize, Instant)>)>) {
    let mut bytes = Vec::with_capacity(2_048);
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let at = Instant::now();
        let is_display = bytes.windows(14).any(|some| some == b"event: display");
        if let Some((n, sender)) = &sender
            && is_display
        {
            // The measurement may be over.
            let _ = sender.send((*n, at));
        }
        bytes.clear();
    }
}
