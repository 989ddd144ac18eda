//! After a failed write: no event that may be lost is acknowledged, and no later write is taken.

use std::process::Command;

use yima_store::{Appended, EventReader, StoreError, WriterStore};

use crate::child::{arguments, directory, on, print};
use crate::fixture::{event, open, subject};

/// The child, whose `fdatasync` fails from the sixth on: prints acknowledgements.
#[tokio::test]
async fn append_until_it_fails() {
    let Some(directory) = directory() else { return };
    let store = open(&directory);
    for number in 0.. {
        let id = format!("e{number}");
        match store.append(vec![event(subject(1), &id)]).await {
            Ok(_) => print(&format!("ack {id}")),
            Err(StoreError::TimedOut) => break, // the outcome is unknown
            Err(other) => panic!("{other}"),
        }
    }
    let refused = store.append(vec![event(subject(1), "later")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "a store that failed to write took more");
    assert!(!store.events(&[subject(1)]).await.unwrap()[0].contains(&event(subject(1), "later")));
    print("refused");
}

#[tokio::test]
async fn a_failed_sync_stops_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=6+"]);
    strace.args(arguments("failure::append_until_it_fails"));
    let output = on(strace, dir.path()).output().expect("strace is installed and may trace");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("refused"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let acknowledged: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("ack ")).collect();
    assert_eq!(acknowledged, ["e0", "e1", "e2", "e3", "e4"]);
    let found = open(dir.path()).events(&[subject(1)]).await.unwrap().concat();
    assert!(acknowledged.iter().all(|id| found.contains(&event(subject(1), id))), "an acknowledged event is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_does_not_fail_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        requests.spawn(async move {
            let bad = number % 10 == 0;
            let id = if bad { "x".repeat(256) } else { format!("e{number}") };
            let outcome = store.append(vec![event(subject(number), &id), event(subject(number), "second")]).await;
            match outcome {
                Ok(outcomes) => assert!(!bad && matches!(outcomes[..], [Appended::New(_), Appended::New(_)])),
                Err(StoreError::Rejected(_)) => assert!(bad),
                Err(other) => panic!("{other}"),
            }
            (number, bad)
        });
    }
    for (number, bad) in requests.join_all().await {
        let expected = if bad { 0 } else { 2 };
        assert_eq!(
            store.events(&[subject(number)]).await.unwrap()[0].len(),
            expected,
            "a refused request wrote an event"
        );
    }
}
