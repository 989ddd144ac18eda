//! An acknowledged event is on disk: the system calls of a child that appends, in the order of an strace.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use yima_store::WriterStore;

use crate::child::{arguments, directory, on, print};
use crate::fixture::{event, open, subject};

const EVENTS: usize = 25;

fn id(number: usize) -> String {
    format!("fsync-{number:05}")
}

/// The child: prints "ack N" once event N is acknowledged.
#[tokio::test]
async fn append_and_print() {
    let Some(directory) = directory() else { return };
    let store = open(&directory);
    for number in 0..EVENTS {
        store.append(vec![event(subject(1), &id(number))]).await.unwrap();
        print(&format!("ack {}", id(number)));
    }
}

#[test]
fn the_journal_is_synced_before_an_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "4096", "-e", "trace=write,pwrite64,writev,fsync,fdatasync", "-o"]).arg(&trace);
    strace.args(arguments("fsync::append_and_print"));
    let output = on(strace, &dir.path().join("data")).output().expect("strace is installed and may trace");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let calls = calls(&trace);
    for number in 0..EVENTS {
        let id = id(number);
        let find = |matches: &dyn Fn(&Call) -> bool| calls.iter().find(|call| matches(call));
        let acknowledged = find(&|c| c.text.contains(&format!("\"ack {id}"))).expect("an acknowledgement");
        let written =
            find(&|c| c.is_write() && c.file.ends_with(".jnl") && c.text.contains(&id)).expect("a journal write");
        let synced = find(&|c| {
            c.is_sync() && c.file == written.file && c.first_line > written.last_line && c.text.ends_with("= 0")
        });
        assert!(
            synced.is_some_and(|s| s.last_line < acknowledged.first_line),
            "event {number} was acknowledged before it was synced"
        );
    }
}

/// One system call; `first_line` and `last_line` are lines of the trace.
struct Call {
    text: String,
    file: String,
    first_line: usize,
    last_line: usize,
}

impl Call {
    fn is_write(&self) -> bool {
        ["write(", "pwrite64(", "writev("].iter().any(|name| self.text.starts_with(name))
    }

    fn is_sync(&self) -> bool {
        ["fsync(", "fdatasync("].iter().any(|name| self.text.starts_with(name))
    }
}

/// Parses a trace: `PID call(FD</file>, …) = result`, where another thread's line may come between the two halves of a
/// call.
fn calls(trace: &Path) -> Vec<Call> {
    let trace = String::from_utf8_lossy(&std::fs::read(trace).unwrap()).into_owned();
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        let (first_line, text) = if let Some(start) = text.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (line, start.trim_end()));
            continue;
        } else if let Some((_, end)) = text.strip_prefix("<... ").and_then(|t| t.split_once("resumed>")) {
            let (first_line, start) = unfinished.remove(thread).unwrap();
            (first_line, format!("{start}{end}"))
        } else {
            (line, text.to_owned())
        };
        let file = text.split_once('<').and_then(|t| t.1.split_once('>')).map_or(String::new(), |t| t.0.to_owned());
        calls.push(Call { text, file, first_line, last_line: line });
    }
    calls
}
