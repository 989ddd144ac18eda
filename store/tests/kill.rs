//! kill -9 at a random moment under load, again and again on one directory: nothing acknowledged is lost, and streams have no gap.

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

use crate::child::{arguments, directory, on, say};
use crate::fixture::{change, event, open, subject, view};

const TASKS: u64 = 6;
const ROUNDS: usize = 8;
/// Subjects of which several tasks write the view.
const CONTENDED: u64 = 3;

/// The child: appends, sets and publishes until it is killed, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn work_and_say() {
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
        // A crowd has many events and few writes of views, so that subjects do not fill up.
        let events: Vec<_> = (0..5).map(|k| event(subject(1_000 + task * 100_000 + n * 5 + k), &id)).collect();
        let marks = store.append(events.clone()).await.unwrap();
        for event in &events {
            say(&format!("event {} {id}", number_of(event.event.subject)));
        }
        assert_eq!(marks.len(), 5);
        let found = store.lookup(s).await.unwrap().map_or(Version::ABSENT, |found| found.version);
        let next = found.next(store.epoch());
        let write = ViewWrite { subject: s, expected: found, next, view: view(next) };
        if store.compare_and_set(vec![write]).await.unwrap() == [CompareAndSet::Set] {
            say(&format!("view {number} {}", next.0));
            let published = store.publish(stream, vec![change(s, next)], Vec::new()).await.unwrap();
            assert_eq!(published, Published::Open);
            say(&format!("change {number} {}", next.0));
        }
    }
}

/// The number behind [`subject`].
fn number_of(subject: yima_schema::subject::SubjectId) -> u64 {
    u64::from_be_bytes(*subject.as_bytes().last_chunk().unwrap())
}

/// What children said.
#[derive(Default)]
struct Acknowledged {
    events: Vec<(u64, String)>,
    views: HashMap<u64, u64>,
    changes: BTreeSet<(u64, u64)>,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) -> bool {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["event", number, id] => self.events.push((number.parse().unwrap(), id.into())),
            ["view", number, version] => {
                let highest = self.views.entry(number.parse().unwrap()).or_default();
                *highest = (*highest).max(version.parse().unwrap());
            }
            ["change", number, version] => {
                self.changes.insert((number.parse().unwrap(), version.parse().unwrap()));
            }
            _ => return false, // the test harness speaks too
        }
        true
    }

    /// Runs a child, kills it at its `moment`th acknowledgement, and hears it out.
    fn run_and_kill(&mut self, directory: &Path, moment: usize) {
        let [program, arguments @ ..] = arguments("kill::work_and_say");
        let mut command = on(Command::new(program), directory);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let (mut heard, mut line) = (0, String::new());
        while said.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            heard += usize::from(self.hear(line.trim_end()));
            if heard == moment {
                child.kill().unwrap(); // SIGKILL; what it said before is in the pipe
            }
            line.clear();
        }
        child.wait().unwrap();
        assert!(heard >= moment, "the child ended by itself");
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
async fn nothing_acknowledged_is_lost() {
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
