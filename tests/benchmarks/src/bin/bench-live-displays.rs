//! The benchmark of streams: `bench-streams [COUNT]`, 10,000 by default. What each takes in memory beside a connection that only asked once,
//! both also over TLS, what all of them cost while nothing changes, and how long after an event is accepted its person's stream tells of it.

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

/// People with a stream about whom there are events, and events about each.
const CHANGING: usize = 100;
const EVENTS: usize = 5;
/// From one connection to the next.
const APART: Duration = Duration::from_millis(1);
/// For so long nothing changes.
const IDLE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let count: usize = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("COUNT: a number"));
    assert!(count > CHANGING, "COUNT: more than {CHANGING}");
    // Both ends of each connection are files, here and in the child, which gets the same limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to its own maximum");
    if limit.maximum.is_some_and(|most| most < count as u64 + 200) {
        report!("so many need `ulimit -Hn` above {}", count + 200);
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let connection = each(&runtime, count, "/v1/display", false);
    report!("a connection that asked once: {connection:.0} bytes resident");
    let stream = streams(&runtime, count);
    report!("a stream: {stream:.0} bytes resident, {:.0} more than that", stream - connection);
    let connection = each(&runtime, count, "/v1/display", true);
    report!("over TLS, a connection that asked once: {connection:.0} bytes resident");
    let stream = each(&runtime, count, "/v1/display/events", true);
    report!("over TLS, a stream: {stream:.0} bytes resident, {:.0} more than that", stream - connection);
    ExitCode::SUCCESS
}

/// Where clients connect to, and how.
#[derive(Clone)]
struct Door {
    address: String,
    tls: Option<TlsConnector>,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

/// An instance, and the sessions of so many people, each of whom is in memory already.
fn start(runtime: &Runtime, count: usize, secure: bool) -> (Yima, Door, Vec<String>) {
    let mut options = Options::default();
    let files = secure.then(|| CertificateFiles::make(options.directory(), 2099));
    if let Some(files) = &files {
        options = files.on(options);
    }
    let options = options.population(count as u64).unlimited();
    let options =
        options.env("YIMA_READ_API__CACHE__POLL_MS", 200).env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", count);
    // What is measured is all of them, on a machine that the clients share.
    let options = options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2);
    let yima = Yima::start(options.env("YIMA_READ_API__HTTP__MAX_CONNECTIONS", count + 100));
    let sessions = yima.options().print(&["sessions", "--count", &count.to_string()]);
    let address = yima.read_url().trim_start_matches("http://").to_owned();
    let door = Door { address, tls: files.map(|files| TlsConnector::from(files.client(&[]))) };
    for some in sessions.chunks(100) {
        open(runtime, &door, "/v1/display", some);
    }
    (yima, door, sessions)
}

fn resident(yima: &Yima) -> f64 {
    yima.metric("process_resident_memory_bytes", &[])
}

/// Resident bytes of a connection that stays open after its first answer.
fn each(runtime: &Runtime, count: usize, path: &str, secure: bool) -> f64 {
    let (yima, door, sessions) = start(runtime, count, secure);
    let before = resident(&yima);
    let open = open(runtime, &door, path, &sessions);
    (resident(&yima) - before) / open.len() as f64
}

/// Resident bytes of a stream; reports the other figures.
fn streams(runtime: &Runtime, count: usize) -> f64 {
    let (yima, door, mut sessions) = start(runtime, count, false);
    let people: Vec<Person> = (0..CHANGING).map(|_| new_person()).collect();
    let theirs: Vec<String> = people.iter().map(|person| yima.session_of(person)).collect();
    sessions.truncate(count - CHANGING);
    let (before, began) = (resident(&yima), Instant::now());
    let (told, tellings) = mpsc::channel();
    for (sessions, changing) in [(&sessions, false), (&theirs, true)] {
        for (n, stream) in open(runtime, &door, "/v1/display/events", sessions).into_iter().enumerate() {
            runtime.spawn(read(stream, changing.then(|| (n, told.clone()))));
        }
    }
    report!("{count} streams: open after {:.1} s", began.elapsed().as_secs_f64());
    let cpu = || yima.metric("process_cpu_seconds_total", &[]);
    let (used, began) = (cpu(), Instant::now());
    std::thread::sleep(IDLE);
    let share = (cpu() - used) / began.elapsed().as_secs_f64();
    report!("nothing changes: {:.1} % of a core for all of them", share * 100.0);
    let bytes = (resident(&yima) - before) / count as f64;
    changes(&yima, &people, &tellings);
    report!("{} still open", yima.metric("live_displays_open", &[]));
    bytes
}

/// Sends events, one after another, and waits for each to be told.
fn changes(yima: &Yima, people: &[Person], tellings: &mpsc::Receiver<(usize, Instant)>) {
    let lab = yima.agency_token("lab-7");
    let (mut from_sent, mut from_accepted) = (Vec::new(), Vec::new());
    for n in 0..EVENTS * people.len() {
        let whose = n % people.len();
        let event = people[whose].test(&format!("stream-{n}"), "negative", HOUR);
        let sent = Instant::now();
        assert_eq!(yima.event(&lab, &event), "accepted");
        let accepted = Instant::now();
        let (told, at) = tellings.recv_timeout(Duration::from_secs(10)).expect("it is told");
        assert_eq!(told, whose);
        from_sent.push(at - sent);
        // Before the agency's client has read its answer, more often than not.
        from_accepted.push(at.saturating_duration_since(accepted));
    }
    for (what, times) in [("sent → told", &mut from_sent), ("accepted → told", &mut from_accepted)] {
        times.sort();
        let [p50, p99, worst] =
            [50, 99, 100].map(|percent| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3);
        report!("{what}: p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms");
    }
}

/// A connection for each session, in their order, each answered.
fn open(runtime: &Runtime, door: &Door, path: &str, sessions: &[String]) -> Vec<Box<dyn Wire>> {
    runtime.block_on(async {
        let mut opening = Vec::with_capacity(sessions.len());
        let mut pace = tokio::time::interval(APART);
        for session in sessions {
            pace.tick().await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer {session}\r\n\r\n");
            opening.push(tokio::spawn(ask(door.clone(), request)));
        }
        let mut opened = Vec::with_capacity(sessions.len());
        for stream in opening {
            opened.push(stream.await.expect("no panic"));
        }
        opened
    })
}

/// Reads the first answer, or the first event.
async fn ask(door: Door, request: String) -> Box<dyn Wire> {
    let stream = TcpStream::connect(door.address).await.expect("it listens");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut stream: Box<dyn Wire> = match door.tls {
        Some(tls) => Box::new(tls.connect(name, stream).await.expect("a handshake")),
        None => Box::new(stream),
    };
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && !answer.ends_with(b"\n\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.expect("it answers"), 0, "an answer that breaks off");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Reads until the stream ends, and passes on when a display was told.
async fn read(mut stream: Box<dyn Wire>, told: Option<(usize, mpsc::Sender<(usize, Instant)>)>) {
    let mut bytes = Vec::with_capacity(2_048);
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let at = Instant::now();
        let is_display = bytes.windows(14).any(|some| some == b"event: display");
        if let Some((n, told)) = &told
            && is_display
        {
            // The measurement may be over.
            let _ = told.send((*n, at));
        }
        bytes.clear();
    }
}
