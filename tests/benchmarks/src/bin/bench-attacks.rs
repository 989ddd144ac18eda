//! The benchmark of attacks on the sockets: `bench-attacks [SOCKETS [SIGN_INS]]`, 1,000 sockets, which are all places
//! of the port, and 5,000 anonymous sign-ins by default. While one address attacks, another is served: each attack has
//! a bound for how many of the others' requests fail and how long the slowest takes. Fails if a bound does not hold.

#[macro_use]
extern crate yima_harness;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use yima_harness::{Options, Yima, new_person};
use yima_schema::time::HOUR;

/// The addresses of the attacker and of the others.
const ATTACKER: &str = "127.0.0.1:0";
const OTHERS: &str = "127.0.0.2:0";
/// Requests of the others during an attack, each on a connection of its own.
const REQUESTS: usize = 200;
/// From one of them to the next.
const APART: Duration = Duration::from_millis(10);
/// The longest that one of them may take, on a machine that the attacker shares: a client whose first packet finds the
/// system's queue of new connections full sends it again after a second.
const SLOWEST: Duration = Duration::from_secs(2);
/// After this time a slow client is cut off.
const CUT_AFTER: Duration = Duration::from_secs(15);
/// Request bodies of one agency that do not arrive.
const BODIES: usize = 260;

fn main() -> ExitCode {
    let argument = |n: usize, default| std::env::args().nth(n).map_or(default, |text| text.parse().expect("a number"));
    let (sockets, sign_ins) = (argument(1, 1_000), argument(2, 5_000));
    // Both ends of each connection are files, here and in the child, which gets the same limit.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to its own maximum");
    let options = Options::default().unlimited().population(1_000);
    let yima = Yima::start(
        options
            .env("YIMA_READ_API__HTTP__MAX_CONNECTIONS", sockets)
            // The default, which `unlimited` lifts.
            .env("YIMA_READ_API__LIMITS__SIGN_IN__REQUESTS", 5_000),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let attacks = async { [idle(&yima, sockets).await, slow_readers(&yima, sockets).await, slow_bodies(&yima).await] };
    let held = runtime.block_on(attacks).into_iter().all(|held| held);
    if held & runtime.block_on(anonymous_sign_ins(&yima, sign_ins)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Silent connections on all places, opened again as soon as they are closed.
async fn idle(yima: &Yima, sockets: usize) -> bool {
    let server = address(&yima.read_url());
    let mut attack = JoinSet::new();
    for _ in 0..sockets {
        attack.spawn(silent(server));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    judge("silent connections", &displays(yima).await, 0)
}

/// A connection that is opened again as soon as it is closed.
async fn silent(server: SocketAddr) {
    loop {
        if let Ok(mut stream) = connect(ATTACKER, server).await {
            // Until it is closed.
            let _end_or_reset = stream.read(&mut [0]).await;
        }
        tokio::time::sleep(APART).await;
    }
}

/// Connections on all places that ask for 1.5 MB each and read nothing.
async fn slow_readers(yima: &Yima, sockets: usize) -> bool {
    let (server, before) = (address(&yima.read_url()), resident(yima));
    let mut attack = JoinSet::new();
    for _ in 0..sockets {
        attack.spawn(async move {
            let mut stream = connect(ATTACKER, server).await.ok()?;
            stream.write_all(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: yima\r\n\r\n").await.ok()?;
            Some(stream)
        });
    }
    let streams: Vec<TcpStream> = attack.join_all().await.into_iter().flatten().collect();
    let (times, begun) = (displays(yima).await, Instant::now());
    report!("slow readers: {:.0} MB more resident", (resident(yima) - before) / 1e6);
    let cut = || yima.metric("http_answers_cut_total", &[]);
    while cut() < 1.0 && begun.elapsed() < CUT_AFTER {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    report!("slow readers: {} of {} cut", cut(), streams.len());
    judge("slow readers", &times, 0) & (cut() > 0.0)
}

/// Bodies of one agency that stop after a byte, while another agency sends events.
async fn slow_bodies(yima: &Yima) -> bool {
    let (server, token) = (address(&yima.writer_url()), yima.agency_token("slow"));
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{"
    );
    let mut attack = JoinSet::new();
    for _ in 0..BODIES {
        let head = head.clone();
        attack.spawn(async move {
            let mut stream = connect(ATTACKER, server).await.ok()?;
            stream.write_all(head.as_bytes()).await.ok()?;
            let (sent, mut answer) = (Instant::now(), Vec::new());
            // A reset after the answer is an end too.
            let _end_or_reset = stream.read_to_end(&mut answer).await;
            Some((sent.elapsed(), String::from_utf8_lossy(&answer).chars().take(12).collect::<String>()))
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let agency = yima.agency_token("lab-7");
    let mut times = Vec::new();
    for n in 0..50 {
        let sent = Instant::now();
        let event = new_person().test(&format!("attacked-{n}"), "negative", HOUR).to_string();
        let status = yima.push(&agency, "application/json", event.as_bytes()).status;
        times.push((status == 200).then(|| sent.elapsed()));
    }
    let answers: Vec<_> = attack.join_all().await.into_iter().flatten().collect();
    let longest = answers.iter().map(|(took, _)| *took).max().unwrap_or_default();
    let refused = answers.iter().filter(|(_, status)| status.ends_with("429")).count();
    report!(
        "slow bodies: {refused} of {BODIES} refused at once, the last given up after {:.1} s",
        longest.as_secs_f64()
    );
    judge("slow bodies", &times, 0) & (longest < CUT_AFTER)
}

/// `Bearer x`, over and over, while others sign in.
async fn anonymous_sign_ins(yima: &Yima, sign_ins: usize) -> bool {
    let server = address(&yima.read_url());
    let real: Vec<String> = (0..REQUESTS).map(|_| yima.token(&["citizen", &new_person().document])).collect();
    let (mut attack, begun) = (JoinSet::new(), Instant::now());
    for _ in 0..16 {
        attack.spawn(async move {
            let mut stream = connect(ATTACKER, server).await.expect("a connection");
            let request =
                b"POST /v1/sessions HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer x\r\nContent-Length: 0\r\n\r\n";
            for _ in 0..sign_ins / 16 {
                stream.write_all(request).await.expect("the server reads");
                let mut answer = Vec::new();
                while !answer.ends_with(b"}") {
                    assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0);
                }
                assert!(answer.starts_with(b"HTTP/1.1 401 "));
            }
        });
    }
    let mut times = Vec::new();
    for token in &real {
        times.push(
            ask(server, format!("POST /v1/sessions HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer {token}\r\n")).await,
        );
    }
    attack.join_all().await;
    report!("anonymous sign-ins: {:.0} a second", sign_ins as f64 / begun.elapsed().as_secs_f64());
    judge("anonymous sign-ins", &times, 0)
}

/// Displays of the others: the time of each, `None` if it was not answered with 200.
async fn displays(yima: &Yima) -> Vec<Option<Duration>> {
    let server = address(&yima.read_url());
    let sessions = yima.options().print(&["sessions", "--count", &REQUESTS.to_string()]);
    let mut times = Vec::new();
    for session in sessions {
        let head = format!("GET /v1/display HTTP/1.1\r\nHost: yima\r\nAuthorization: Bearer {session}\r\n");
        times.push(ask(server, head).await);
        tokio::time::sleep(APART).await;
    }
    times
}

/// One request of the others on a connection of its own.
async fn ask(server: SocketAddr, head: String) -> Option<Duration> {
    let begun = Instant::now();
    let answered = async {
        let mut stream = connect(OTHERS, server).await.ok()?;
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        answer.starts_with(b"HTTP/1.1 200 ").then_some(())
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.ok()??;
    Some(begun.elapsed())
}

async fn connect(from: &str, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(from.parse().expect("an address"))?;
    socket.connect(server).await
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

fn resident(yima: &Yima) -> f64 {
    yima.metric("process_resident_memory_bytes", &[])
}

/// Reports the others' requests, and whether the bounds hold: `most` failures, and [`SLOWEST`].
fn judge(attack: &str, times: &[Option<Duration>], most: usize) -> bool {
    let failed = times.iter().filter(|time| time.is_none()).count();
    let mut answered: Vec<_> = times.iter().flatten().collect();
    answered.sort();
    let at = |percent: usize| {
        answered.get((answered.len().saturating_sub(1)) * percent / 100).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    };
    let held = failed <= most && answered.last().is_none_or(|slowest| **slowest <= SLOWEST);
    let verdict = if held { "within" } else { "NOT within" };
    report!(
        "{attack}: {failed} of {} failed, p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms: {verdict} {most} failures and {} ms",
        times.len(),
        at(50),
        at(99),
        at(100),
        SLOWEST.as_millis()
    );
    held
}
