//! The benchmark of attacks through the writer: `bench-duplicates [SUBJECTS]`, 500 by default. Subjects have as many
//! events as they take; then one agency sends rows about them, 64 requests at once, over and over. Each attack is rows
//! of one kind: they cost their sender 200 bytes, and could cost the service the events of a whole subject each. Fails
//! if the process takes more than 1.5 GB at any time, or if the requests of others are slowed down too much.

#[macro_use]
extern crate yima_harness;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use yima_harness::{Options, Person, Yima, new_person, now};
use yima_schema::time::{DAY, Time};

/// Agencies that fill the subjects, with as many events each as one agency may; the first one attacks.
const FILLING: [&str; 2] = ["attacker", "second"];
const EVENTS_EACH: usize = 1_000;
/// Negative results among these; the others are a positive one and an identity.
const NEGATIVES: usize = EVENTS_EACH - 2;
/// Agencies and citizens that are to be served meanwhile.
const OTHERS: usize = 4;
/// Between two requests of one of them.
const APART: Duration = Duration::from_millis(5);
/// Requests of the attacker at once: an agency's share of those in flight.
const CONNECTIONS: usize = 64;
/// Size of each.
const BODY_BYTES: usize = 69_000;
/// The time of an attack.
const LASTS: Duration = Duration::from_secs(12);
/// The attacker's wait after a refusal.
const REFUSED: Duration = Duration::from_millis(50);
/// The priority of the attacker's threads, as of nice(1).
const NICE: i32 = 10;
/// The most memory.
const MOST_BYTES: u64 = 1_500_000_000;
/// How much slower the others' 99th percentile may become.
const SLOWER: f64 = 3.0;
/// What it may become in any case. The load generator runs on the same two cores: a thread that becomes runnable can
/// wait for a time slice (3 to 4 ms) of each of the threads of the generator and the service that are ahead of it.
const FLOOR: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let subjects: usize = std::env::args().nth(1).map_or(500, |n| n.parse().expect("SUBJECTS: a number"));
    let options = Options::default().unlimited().population(1_000);
    let registry = options.directory().join("agencies.toml");
    std::fs::write(&registry, agencies()).expect("the directory can be written");
    let mut yima = Yima::start(options.env("YIMA_WRITER__AGENCIES_FILE", registry.display()));
    let full = Full::fill(&yima, subjects);
    let alone = others(&yima);
    report!("without an attack: events {}, displays {}", alone.events.line(), alone.displays.line());
    let mut held = true;
    for (name, agency, row) in ATTACKS {
        // The work that an attack leaves behind would count as the next one's.
        yima.restart();
        held &= attack(&yima, &full, name, agency, *row, &alone);
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A row about a full subject, by the numbers of the request and the row.
type Row = fn(&Full, &Person, usize, usize) -> String;

/// The attacks: the name, the agency that sends, its rows.
const ATTACKS: &[(&str, &str, Row)] = &[
    ("duplicates", FILLING[0], |full, person, request, _| full.event(person, request % NEGATIVES)),
    ("duplicates in another spelling", FILLING[0], |full, person, request, _| {
        let sent = full.event(person, request % NEGATIVES);
        sent.replace("antigen", "ant\\u0069gen").replace(":00Z", ":00.000+00:00")
    }),
    ("duplicates that differ in what is not kept", FILLING[0], |full, person, request, row| {
        full.identity(person, 1_900 + (request + row) % 90)
    }),
    ("conflicts", FILLING[0], |full, person, request, _| {
        full.event(person, request % NEGATIVES).replace("negative", "invalid")
    }),
    ("events without room", FILLING[0], |full, person, request, row| {
        full.event(person, EVENTS_EACH + 1 + request * 1_000 + row)
    }),
    ("old negatives without room, of another's person", "third", |full, person, request, row| {
        full.event(person, request * 1_000 + row)
    }),
    ("rows of an agency without rights", "unknown", |full, person, request, _| full.event(person, request)),
    ("ignored vaccinations", FILLING[0], |full, person, request, row| {
        full.other_vaccination(person, request * 1_000 + row)
    }),
    ("new retractions, up to an agency's reserve", FILLING[1], |full, person, request, row| {
        full.retraction(person, request * 1_000 + row)
    }),
];

/// The registry: who fills may send everything that is sent here, the others results.
fn agencies() -> String {
    let agency = |name: &str| {
        let kinds = r#"kinds = ["test_result", "identity", "retraction", "vaccination"]"#;
        format!("[[agencies]]\nname = \"{name}\"\n{kinds}\nrestrictions_per_minute = 1000000\n")
    };
    FILLING
        .iter()
        .chain(&["third"])
        .map(|name| agency(name))
        .chain((0..OTHERS).map(|n| agency(&format!("lab-{n}"))))
        .collect()
}

/// Subjects that have as many events as they take.
struct Full {
    people: Vec<Person>,
    /// The time of their first event.
    first: Time,
}

impl Full {
    fn fill(yima: &Yima, subjects: usize) -> Self {
        let people = (0..subjects).map(|_| new_person()).collect();
        let (full, start, next) = (Self { people, first: now().minus(DAY * 30) }, Instant::now(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..2 * FILLING.len() {
                let (full, next) = (&full, &next);
                scope.spawn(move || {
                    let tokens = FILLING.map(|agency| yima.agency_token(agency));
                    // Half of the threads at either agency first, so that both quotas are used.
                    while let Some(person) = full.people.get(next.fetch_add(1, Ordering::Relaxed)) {
                        for agency in 0..FILLING.len() {
                            let token = &tokens[(agency + thread) % FILLING.len()];
                            let mut rows: Vec<_> = (0..NEGATIVES).map(|n| full.event(person, n)).collect();
                            rows.extend([full.positive(person), full.identity(person, 1_990)]);
                            until_taken(yima, token, &rows.concat());
                        }
                    }
                });
            }
        });
        let seconds = start.elapsed().as_secs_f64();
        report!("{subjects} subjects of {} events each in {seconds:.0} s", FILLING.len() * EVENTS_EACH);
        full
    }

    fn event(&self, person: &Person, n: usize) -> String {
        let at = self.first.plus(Duration::from_secs(60) * u32::try_from(n % 40_000).unwrap_or(0));
        row(&format!("e{n}"), "test_result", person, at, r#"{"test":"antigen","result":"negative"}"#)
    }

    fn positive(&self, person: &Person) -> String {
        let data = r#"{"test":"nucleic_acid","result":"positive"}"#;
        row("positive", "test_result", person, self.first.plus(DAY * 29), data)
    }

    fn identity(&self, person: &Person, born: usize) -> String {
        let data = format!(r#"{{"name":"张三","born":"{born}-03-07"}}"#);
        row("identity", "identity", person, self.first, &data)
    }

    /// Against another disease.
    fn other_vaccination(&self, person: &Person, n: usize) -> String {
        row(&format!("v{n}"), "vaccination", person, self.first, r#"{"vaccine":"140"}"#)
    }

    fn retraction(&self, person: &Person, n: usize) -> String {
        row(&format!("r{n}"), "retraction", person, self.first, r#"{"event_id":"none","why":"none"}"#)
    }
}

fn row(id: &str, kind: &str, person: &Person, at: Time, data: &str) -> String {
    // A time with whole minutes, so that it has one spelling here.
    let at = Time::from_secs(at.as_secs().div_euclid(60) * 60);
    format!(
        r#"{{"id":"{id}","kind":"{kind}","subject":{{"document_type":"cn_resident_id","document_number":"{}"}},"occurred_at":"{at}","data":{data}}}"#,
        person.document
    ) + "\n"
}

/// Sends rows until the agency's quota allows them; all are new.
fn until_taken(yima: &Yima, token: &str, rows: &str) {
    loop {
        let reply = yima.push(token, "application/x-ndjson", rows.as_bytes());
        if reply.status == 429 {
            std::thread::sleep(REFUSED);
            continue;
        }
        let refused = reply.rows().into_iter().find(|row| row["status"] != "accepted");
        assert!(refused.is_none(), "{refused:?}");
        return;
    }
}

/// The times of the others' requests.
struct Others {
    events: Times,
    displays: Times,
}

/// The requests of other agencies and of citizens, for as long as an attack lasts.
fn others(yima: &Yima) -> Others {
    let until = Instant::now() + LASTS;
    let sessions = yima.options().print(&["sessions", "--count", &OTHERS.to_string()]);
    std::thread::scope(|scope| {
        let paced = move |mut request: Box<dyn FnMut() -> bool>| {
            let mut times = Vec::new();
            while Instant::now() < until {
                let sent = Instant::now();
                times.push((request(), sent.elapsed()));
                std::thread::sleep(APART);
            }
            times
        };
        let senders: Vec<_> = (0..OTHERS)
            .map(|n| {
                scope.spawn(move || {
                    let (yima, token) =
                        (yima.http().clone(), (yima.agency_token(&format!("lab-{n}")), yima.writer_url()));
                    paced(Box::new(move || {
                        let event = new_person().test("one", "negative", Duration::from_secs(60)).to_string();
                        let url = format!("{}/v1/events", token.1);
                        let reply = yima.push(&url, &token.0, "application/json", event.as_bytes());
                        reply.is_ok_and(|reply| reply.status == 200)
                    }))
                })
            })
            .collect();
        let readers: Vec<_> = sessions
            .into_iter()
            .map(|session| {
                scope.spawn(move || {
                    let (http, url) = (yima.http().clone(), format!("{}/v1/display", yima.read_url()));
                    paced(Box::new(move || http.get(&url, &session).status == 200))
                })
            })
            .collect();
        let all = |threads: Vec<std::thread::ScopedJoinHandle<'_, Requests>>| {
            Times::of(threads.into_iter().flat_map(|thread| thread.join().expect("requests do not panic")).collect())
        };
        Others { events: all(senders), displays: all(readers) }
    })
}

/// Requests: whether each was answered with 200, and its time.
type Requests = Vec<(bool, Duration)>;

/// Times of requests, ascending.
struct Times {
    answered: Vec<Duration>,
    failed: usize,
}

impl Times {
    fn of(requests: Requests) -> Self {
        let failed = requests.iter().filter(|(answered, _)| !answered).count();
        let mut answered: Vec<_> =
            requests.into_iter().filter(|(answered, _)| *answered).map(|(_, time)| time).collect();
        answered.sort();
        Self { answered, failed }
    }

    fn at(&self, percent: usize) -> Duration {
        self.answered.get(self.answered.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    }

    fn line(&self) -> String {
        let ms = |percent| self.at(percent).as_secs_f64() * 1e3;
        let (count, failed) = (self.answered.len(), self.failed);
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms, {failed} of {} failed",
            ms(50),
            ms(99),
            ms(100),
            count + failed
        )
    }

    /// Whether these requests were served well enough, compared with those without an attack.
    fn are_within(&self, alone: &Self) -> bool {
        self.failed == 0 && self.at(99) <= FLOOR.max(alone.at(99).mul_f64(SLOWER))
    }
}

/// One attack, while others are served. Whether the bounds hold.
fn attack(yima: &Yima, full: &Full, name: &str, agency: &str, row: Row, alone: &Others) -> bool {
    let (over, requests, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (token, url) = (yima.agency_token(agency), format!("{}/v1/events", yima.writer_url()));
    let rows_of = |status: &str| yima.metric("events_total", &[&format!("status=\"{status}\"")]);
    let statuses = ["accepted", "duplicate", "ignored", "rejected", "not_taken"];
    let before = statuses.map(rows_of);
    let served = std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                // An attacker has a machine of its own: what it takes of this one is not the service's.
                setpriority_process(None, NICE).expect("a thread may wait for others");
                while !over.load(Ordering::Relaxed) {
                    let body = body(full, row, requests.fetch_add(1, Ordering::Relaxed));
                    let reply = yima.http().push(&url, &token, "application/x-ndjson", body.as_bytes());
                    if !reply.is_ok_and(|reply| reply.status == 200) {
                        refused.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(REFUSED);
                    }
                }
            });
        }
        let served = others(yima);
        over.store(true, Ordering::Relaxed);
        served
    });
    let peak = yima.peak_resident_bytes();
    let (requests, refused) = (requests.into_inner(), refused.into_inner());
    report!("{name}: {requests} requests, {refused} refused; at most {:.0} MB", peak as f64 / 1e6);
    let counts =
        statuses.iter().zip(before).map(|(status, before)| format!("{status} {:.0}", rows_of(status) - before));
    report!("{name}: rows (with the others') {}", counts.collect::<Vec<_>>().join(", "));
    report!("{name}: events {}", served.events.line());
    report!("{name}: displays {}", served.displays.line());
    let held =
        peak <= MOST_BYTES && served.events.are_within(&alone.events) && served.displays.are_within(&alone.displays);
    report!("{name}: {}within the bounds", if held { "" } else { "NOT " });
    held
}

/// The body of a request: rows about different subjects.
fn body(full: &Full, row: Row, request: usize) -> String {
    let (mut body, most) = (String::with_capacity(BODY_BYTES), full.people.len());
    for n in 0..most {
        let next = row(full, &full.people[(request * 7 + n) % most], request, n);
        if body.len() + next.len() > BODY_BYTES {
            break;
        }
        body.push_str(&next);
    }
    body
}
