//! Ten times as many phones from one moment to the next, and memory knows nobody: what brought real systems down.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::{Options, Yima, report};

/// Connections before, and after the step.
const BEFORE: usize = 200;
const AFTER: usize = 2_000;
/// People, of whom each is asked about by several phones at once.
const PEOPLE: usize = 1_000;
/// Requests of each connection after the step.
const TURNS: usize = 5;
const THREADS: usize = 4;

/// A phone's connection.
struct Phone {
    stream: TcpStream,
    asked_at: Instant,
}

impl Phone {
    fn connect(yima: &Yima) -> Self {
        let stream = TcpStream::connect(yima.read_url().trim_start_matches("http://")).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self { stream, asked_at: Instant::now() }
    }

    fn ask(&mut self, session: &str) {
        let request = format!("GET /v1/display HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {session}\r\n\r\n");
        self.asked_at = Instant::now();
        self.stream.write_all(request.as_bytes()).expect("a request is small");
    }

    /// The status, and how long it took.
    fn answer(&mut self) -> (String, Duration) {
        let mut answer = [0; 4_096];
        let mut read = 0;
        // Its answer has a body, which ends with the object.
        while read < 12 || !answer[..read].ends_with(b"}") {
            let more = self.stream.read(&mut answer[read..]).expect("an answer in time");
            assert!(more > 0, "the connection is kept");
            read += more;
        }
        (String::from_utf8_lossy(&answer[9..12]).into_owned(), self.asked_at.elapsed())
    }
}

/// Everybody asks at once, and again when all have their answers.
fn rush(phones: &mut [Phone], sessions: &[String], turns: usize) -> Vec<Duration> {
    let each = phones.len().div_ceil(THREADS);
    thread::scope(|scope| {
        let one = |(n, phones): (usize, &'_ mut [Phone])| {
            let mut took = Vec::new();
            for turn in 0..turns {
                for (m, phone) in phones.iter_mut().enumerate() {
                    phone.ask(&sessions[(n * each + m + turn * 7) % sessions.len()]);
                }
                for phone in phones.iter_mut() {
                    let (status, time) = phone.answer();
                    assert_eq!(status, "200");
                    took.push(time);
                }
            }
            took
        };
        let threads: Vec<_> = phones.chunks_mut(each).enumerate().map(|part| scope.spawn(move || one(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that ends")).collect()
    })
}

#[test]
fn a_crowd_out_of_nothing_costs_one_look_up_a_person() {
    let yima = Yima::start(Options::default().unlimited().population(PEOPLE as u64));
    let sessions = yima.options().print(&["sessions", "--count", &PEOPLE.to_string()]);
    let lookups = || yima.metric("cache_requests_total", &["outcome=\"miss\""]);
    let mut phones: Vec<_> = (0..AFTER).map(|_| Phone::connect(&yima)).collect();
    // Few people are known before the others come.
    let few = &sessions[..PEOPLE / 10];
    rush(&mut phones[..BEFORE], few, TURNS);
    assert_eq!(lookups(), few.len() as f64);

    let mut took = rush(&mut phones, &sessions, TURNS);
    took.sort();
    let percentile = |p: usize| took[(took.len() - 1) * p / 100].as_secs_f64() * 1e3;
    report!("{AFTER} phones at once after {BEFORE}: p50 {:.1} ms, p99 {:.1} ms", percentile(50), percentile(99));
    assert_eq!(lookups(), PEOPLE as f64, "nobody is looked up twice, however many wait");
    let answered = yima.metric("cache_requests_total", &["module=\"view\""]);
    assert_eq!(answered, ((BEFORE + AFTER) * TURNS) as f64);
}
