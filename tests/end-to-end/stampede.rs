//! Cache stampede: ten times as many phones from one moment to the next, and nearly all subjects missing in memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use yima_harness::{Options, Yima, report};

/// Connections before and after the step.
const BEFORE: usize = 200;
const AFTER: usize = 2_000;
/// Subjects, each requested by several phones at once.
const PEOPLE: usize = 1_000;
/// Requests of each connection, before and after the step.
const TURNS: usize = 5;
const THREADS: usize = 4;

/// A phone's connection.
struct Phone {
    stream: TcpStream,
    requested_at: Instant,
}

impl Phone {
    fn connect(yima: &Yima) -> Self {
        let stream = TcpStream::connect(yima.read_url().trim_start_matches("http://")).expect("yima listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self { stream, requested_at: Instant::now() }
    }

    fn request(&mut self, session: &str) {
        let request = format!("GET /v1/display HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {session}\r\n\r\n");
        self.requested_at = Instant::now();
        self.stream.write_all(request.as_bytes()).expect("a request is small");
    }

    /// Reads the response; returns its status and the time since the request.
    fn response(&mut self) -> (String, Duration) {
        let mut response = [0; 4_096];
        let mut read = 0;
        // The body ends with its JSON object.
        while read < 12 || !response[..read].ends_with(b"}") {
            let more = self.stream.read(&mut response[read..]).expect("a response in time");
            assert!(more > 0, "the connection was closed");
            read += more;
        }
        (String::from_utf8_lossy(&response[9..12]).into_owned(), self.requested_at.elapsed())
    }
}

/// All phones send a request at once, and the next one when all have their responses.
fn rush(phones: &mut [Phone], sessions: &[String], turns: usize) -> Vec<Duration> {
    let each = phones.len().div_ceil(THREADS);
    thread::scope(|scope| {
        let one = |(n, phones): (usize, &'_ mut [Phone])| {
            let mut took = Vec::new();
            for turn in 0..turns {
                for (m, phone) in phones.iter_mut().enumerate() {
                    phone.request(&sessions[(n * each + m + turn * 7) % sessions.len()]);
                }
                for phone in phones.iter_mut() {
                    let (status, time) = phone.response();
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
fn a_stampede_costs_one_load_for_each_subject() {
    let yima = Yima::start(Options::default().unlimited().population(PEOPLE as u64));
    let sessions = yima.options().print(&["sessions", "--count", &PEOPLE.to_string()]);
    let misses = || yima.metric("cache_requests_total", &["module=\"view\"", "outcome=\"miss\""]);
    let mut phones: Vec<_> = (0..AFTER).map(|_| Phone::connect(&yima)).collect();
    // Memory has a tenth of the subjects before the step.
    let few = &sessions[..PEOPLE / 10];
    rush(&mut phones[..BEFORE], few, TURNS);
    assert_eq!(misses(), few.len() as f64);

    let mut took = rush(&mut phones, &sessions, TURNS);
    took.sort();
    let percentile = |p: usize| took[(took.len() - 1) * p / 100].as_secs_f64() * 1e3;
    report!("{AFTER} phones at once after {BEFORE}: p50 {:.1} ms, p99 {:.1} ms", percentile(50), percentile(99));
    assert_eq!(misses(), PEOPLE as f64, "concurrent lookups of a subject share one load");
    let answered = yima.metric("cache_requests_total", &["module=\"view\""]);
    assert_eq!(answered, ((BEFORE + AFTER) * TURNS) as f64);
}
