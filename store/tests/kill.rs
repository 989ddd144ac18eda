//! kill -9 at random moments while tasks write, again and again on one directory: no acknowledged write is lost, and
//! streams have no gap.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use yima_schema::view::{Version, View};
use yima_store::embedded::EmbeddedStore;
use yima_store::{CompareAndSet, EventReader, Feed, Published, StreamId, ViewReader, ViewWrite, WriterStore};

use crate::child::{arguments, directory, on, print};
use crate::fixture::{change, event, open, subject, view};

const TASKS: u64 = 6;
const ROUNDS: usize = 8;
/// Subjects whose view several tasks write.
const CONTENDED: u64 = 3;

/// The child: appends, sets and publishes until it is killed, and prints each acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn work_and_print() {
    let Some(directory) = directory() else { return };
    let store = open(&directory);
    let stream = store.open_stream().await.unwrap();
    let run: u64 = rand::random();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(work(Arc::clone(&store), stream, run, task));
    }
    tasks.join_all().await;
}

async fn work(store: Arc<EmbeddedStore>, stream: StreamId, run: u64, task: u64) {
    for n in 0.. {
        let number = if n % 2 == 0 { n / 2 % CONTENDED } else { 100 + task * 50 + n % 50 };
        let s = subject(number);
        let id = format!("{run:x}/{task}/{n}");
        // Many events over many subjects, and few writes of views, so that no subject gets full.
        let events: Vec<_> = (0..5).map(|k| event(subject(1_000 + task * 100_000 + n * 5 + k), &id)).collect();
        let marks = store.append(events.clone()).await.unwrap();
        for event in &events {
            print(&format!("event {} {id}", number_of(event.event.subject)));
        }
        assert_eq!(marks.len(), 5);
        let found = store.lookup(s).await.unwrap().map_or(Version::ABSENT, |found| found.version);
        let next = found.next(store.epoch());
        let write = ViewWrite { subject: s, expected: found, next, view: view(next), denials: Vec::new() };
        if store.compare_and_set(vec![write]).await.unwrap() == [CompareAndSet::Set] {
            print(&format!("view {number} {}", next.0));
            let published = store.publish(stream, vec![change(s, next)], Vec::new()).await.unwrap();
            assert_eq!(published, Published::Open);
            print(&format!("change {number} {}", next.0));
        }
    }
}

/// The number behind [`subject`].
fn number_of(subject: yima_schema::subject::SubjectId) -> u64 {
    u64::from_be_bytes(*subject.as_bytes().last_chunk().unwrap())
}

/// Acknowledgements that children printed.
#[derive(Default)]
struct Acknowledged {
    events: Vec<(u64, String)>,
    views: HashMap<u64, u64>,
    changes: BTreeSet<(u64, u64)>,
}

impl Acknowledged {
    fn record(&mut self, line: &str) -> bool {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["event", number, id] => self.events.push((number.parse().unwrap(), id.into())),
            ["view", number, version] => {
                let highest = self.views.entry(number.parse().unwrap()).or_default();
                *highest = (*highest).max(version.parse().unwrap());
            }
            ["change", number, version] => {
                self.changes.insert((number.parse().unwrap(), version.parse().unwrap()));
            }
            _ => return false, // a line of the test harness
        }
        true
    }

    /// Runs a child, kills it at its `nth` acknowledgement, and reads its output to the end.
    fn run_and_kill(&mut self, directory: &Path, nth: usize) {
        let [program, arguments @ ..] = arguments("kill::work_and_print");
        let mut command = on(Command::new(program), directory);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (mut acknowledged, mut line) = (0, String::new());
        while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            acknowledged += usize::from(self.record(line.trim_end()));
            if acknowledged == nth {
                child.kill().unwrap(); // SIGKILL; its earlier output is in the pipe
            }
            line.clear();
        }
        child.wait().unwrap();
        assert!(acknowledged >= nth, "the child ended by itself");
    }

    async fn check(&self, store: &EmbeddedStore) {
        let subjects: Vec<_> = self.events.iter().map(|(number, _)| subject(*number)).collect();
        let found = store.events(&subjects).await.unwrap();
        for ((number, id), events) in self.events.iter().zip(found) {
            assert!(events.contains(&event(subject(*number), id)), "an acknowledged event is lost");
        }
        for (number, version) in &self.views {
            let found = store.lookup(subject(*number)).await.unwrap().expect("an acknowledged view is lost");
            assert!(found.version.0 >= *version, "an acknowledged view went back");
            let decoded = View::decode(&found.view).expect("a view decodes");
            assert_eq!(decoded.rules_version, found.version.0 as u32, "a view is not that of its version");
        }
        let mut published = BTreeSet::new();
        for stream in store.registry().await.unwrap().streams {
            assert!(!stream.open, "a dead writer's stream is open");
            let rows = store.changes(stream.id, 0, usize::MAX).await.unwrap();
            assert!(rows.iter().map(|row| row.0).eq(1..=stream.last), "a stream has a gap below its last");
            published.extend(
                rows.iter().map(|row| (number_of(row.1.as_ref().unwrap().subject), row.1.as_ref().unwrap().version.0)),
            );
        }
        assert!(self.changes.is_subset(&published), "an acknowledged change is lost");
    }
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_by_a_kill() {
    let seed = rand::random();
    eprintln!("seed {seed}"); // shown when the test fails
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for _ in 0..ROUNDS {
        acknowledged.run_and_kill(dir.path(), random.random_range(1..2_000));
        acknowledged.check(&open(dir.path())).await;
    }
    assert!(acknowledged.events.len() > ROUNDS && !acknowledged.changes.is_empty());
}
