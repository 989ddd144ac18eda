//! The benchmark of crowds: `bench-pace [COUNT]`, 5,000 by default. So many people have a live display open, each on a
//! connection of its own, and come back when the service has told them to, as the pages do. Then everybody's display
//! changes at once, one person's changes, and the node is restarted with other rules: how many events and requests there
//! are in each second, beside the mean of the minute. Fails if a second has more than twice the mean.

#[macro_use]
extern crate yima_harness;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use yima_harness::{Options, Person, Yima, new_person, until};
use yima_schema::time::HOUR;

const RULES: &str = include_str!("../../../../schema/rules/default.toml");
const WINDOW: Duration = Duration::from_secs(60);
/// Rows of one upload.
const ROWS: usize = 5_000;

fn main() -> ExitCode {
    let count: usize = std::env::args().nth(1).map_or(5_000, |n| n.parse().expect("COUNT: a number"));
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to its own maximum");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let options = Options::default().unlimited();
    let rules = options.directory().join("rules.toml");
    std::fs::write(&rules, RULES).expect("a temporary file");
    let options = options.env("YIMA_RULES__FILE", rules.display()).env("YIMA_READ_API__REFRESH_AFTER_S", 30);
    let options = options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", count);
    // The clients share this machine, and one address.
    let options = options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2);
    let options = options.env("YIMA_READ_API__HTTP__MAX_CONNECTIONS", count + 100);
    let options = options.env("YIMA_READ_API__HTTP__TRUSTED_PROXIES", r#"["127.0.0.1"]"#);
    let mut yima = Yima::start(options);
    let people: Vec<Person> = (0..count).map(|_| new_person()).collect();
    test_everybody(&yima, &people, 1);
    let log = Arc::<Log>::default();
    open(&runtime, &yima, &people, &log);
    let are_open = |yima: &Yima| yima.metric("live_displays_open", &[]) == count as f64;
    until("every live display is open", Duration::from_secs(120), || are_open(&yima));

    log.begin();
    test_everybody(&yima, &people, 2);
    std::thread::sleep(WINDOW);
    let mut is_spread = log.report("everybody's display changes: events received", |one| one == Logged::Display, count);

    // The crowd's second is over: a single change is not held back.
    log.begin();
    let start = Instant::now();
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &people[7].test("pace-single", "positive", HOUR)), "accepted");
    until("one person's change", WINDOW, || !log.of(|one| one == Logged::Display).is_empty());
    report!("one person's change: received {} ms after it was sent", start.elapsed().as_millis());

    log.begin();
    yima.stop();
    std::fs::write(&rules, RULES.replacen("version = 1", "version = 2", 1)).expect("a temporary file");
    yima.start_again();
    report!("restarted after {:.1} s, with rules that everybody's view is derived by anew", log.age().as_secs_f64());
    std::thread::sleep((WINDOW + Duration::from_secs(1)).saturating_sub(log.age()));
    is_spread &= log.report("a restart with other rules: requests", |one| one == Logged::Request, count * 9 / 10);
    is_spread &= log.report("a restart with other rules: events received", |one| one == Logged::Display, 0);
    until("every live display is open again", Duration::from_secs(120), || are_open(&yima));
    if is_spread { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One negative test of everybody, as fast as they are taken.
fn test_everybody(yima: &Yima, people: &[Person], round: usize) {
    let lab = yima.agency_token("lab-7");
    for (n, some) in people.chunks(ROWS).enumerate() {
        let test = |(k, person): (usize, &Person)| person.test(&format!("pace-{round}-{n}-{k}"), "negative", HOUR);
        let rows: Vec<Value> = some.iter().enumerate().map(test).collect();
        assert!(yima.rows(&lab, &rows).iter().all(|row| row["status"] == "accepted"));
    }
}

/// Opens a live display for each person and keeps it open.
fn open(runtime: &Runtime, yima: &Yima, people: &[Person], log: &Arc<Log>) {
    let address: Arc<str> = yima.read_url().trim_start_matches("http://").into();
    for person in people {
        let request = format!(
            "GET /v1/display/events HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer {}\r\n\r\n",
            yima.session_of(person)
        );
        let (address, log) = (Arc::clone(&address), Arc::clone(log));
        runtime.spawn(async move {
            loop {
                log.add(Logged::Request);
                let told = receive(&address, &request, &log).await;
                // Without an answer as a page does: at the pace that it was told last.
                let wait = told.unwrap_or_else(|_| Duration::from_secs(30).mul_f32(1.0 + rand::random::<f32>()));
                tokio::time::sleep(wait).await;
            }
        });
    }
}

/// Receives the events of one live display until it ends; returns after what time to come back.
async fn receive(address: &str, request: &str, log: &Log) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let (mut bytes, mut told) = (Vec::with_capacity(2_048), None);
    // The end of the connection counts as the end of the live display, in whatever way it comes.
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if line.starts_with("event: display") {
                log.add(Logged::Display);
            } else if let Some(ms) = line.strip_prefix("retry: ") {
                told = ms.trim().parse().ok().map(Duration::from_millis);
            }
        }
    }
    told.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Logged {
    /// A connection was made, or tried, and a live display asked for.
    Request,
    /// A display was received.
    Display,
}

/// What happened since when.
struct Log(Mutex<(Instant, Vec<(Duration, Logged)>)>);

impl Default for Log {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), Vec::new())))
    }
}

impl Log {
    fn begin(&self) {
        *self.0.lock() = (Instant::now(), Vec::new());
    }

    fn age(&self) -> Duration {
        self.0.lock().0.elapsed()
    }

    fn add(&self, what: Logged) {
        let (begun, logged) = &mut *self.0.lock();
        logged.push((begun.elapsed(), what));
    }

    fn of(&self, which: impl Fn(Logged) -> bool) -> Vec<Duration> {
        self.0.lock().1.iter().filter(|(_, what)| which(*what)).map(|(at, _)| *at).collect()
    }

    /// Whether no second of the minute that begins with the first one has more than twice the mean of it.
    fn report(&self, name: &str, which: impl Fn(Logged) -> bool, at_least: usize) -> bool {
        let times = self.of(which);
        let first = times.first().copied().unwrap_or_default();
        let mut seconds = [0_usize; WINDOW.as_secs() as usize];
        for at in &times {
            if let Some(second) = seconds.get_mut((*at - first).as_secs() as usize) {
                *second += 1;
            }
        }
        let (sum, most) = (seconds.iter().sum::<usize>(), seconds.iter().max().copied().unwrap_or_default());
        let mean = sum as f64 / seconds.len() as f64;
        report!(
            "{name}: {sum} in 60 s, mean {mean:.1}/s, most in a second {most}, {:.2} of the mean",
            most as f64 / mean
        );
        let is_spread = sum >= at_least && most as f64 <= 2.0 * mean;
        if !is_spread {
            report!("{seconds:?}");
        }
        is_spread
    }
}
