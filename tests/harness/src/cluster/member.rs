//! The directory, process and log of a node, over all its starts.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::addresses::{CQL_PORT, STORAGE_PORT};

/// One node. Its public fields never change.
pub(super) struct Member {
    /// Its index among the members.
    pub(super) index: usize,
    pub(super) datacenter: usize,
    pub(super) number: usize,
    pub(super) address: Ipv4Addr,
    pub(super) directory: PathBuf,
    process: Mutex<Process>,
}

#[derive(Default)]
struct Process {
    child: Option<Child>,
    paused: bool,
    starts: usize,
    /// The length of each member's log at the last start.
    logs_at_start: Vec<u64>,
}

impl Member {
    pub(super) fn new(index: usize, datacenter: usize, number: usize, address: Ipv4Addr, directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).expect("the cluster's directory can be written");
        Self { index, datacenter, number, address, directory, process: Mutex::default() }
    }

    /// Whether it was never started.
    pub(super) fn is_new(&self) -> bool {
        self.process.lock().starts == 0
    }

    /// Starts the process. `logs_at_start` has the present length of each member's log.
    pub(super) fn spawn(&self, mut command: Command, logs_at_start: Vec<u64>) {
        let mut process = self.process.lock();
        assert!(process.child.is_none(), "{self} runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.expect("the node's directory can be written");
        let stderr = log.try_clone().expect("a file can be shared");
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(log).stderr(stderr);
        let child = command
            .spawn()
            .expect("Java is needed to run Cassandra: install openjdk-17-jre-headless, or let tests/run do it");
        fs::write(self.directory.join("pid"), child.id().to_string()).expect("the node's directory can be written");
        *process = Process { child: Some(child), paused: false, starts: process.starts + 1, logs_at_start };
    }

    /// Sends a signal to its process, if that is running.
    pub(super) fn signal(&self, signal: Signal) {
        let mut process = self.process.lock();
        let Some(child) = &process.child else { return };
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
        process.paused = signal == Signal::STOP;
    }

    /// The exit status of its process; `None` while that is running.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        let mut process = self.process.lock();
        let exit = process.child.as_mut()?.try_wait().expect("a child's status can be read")?;
        process.child = None;
        Some(exit)
    }

    /// Kills its process, if that is running.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.process.lock().child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Whether its process is running and not paused.
    pub(super) fn is_running(&self) -> bool {
        let mut process = self.process.lock();
        let paused = process.paused;
        let child = process.child.as_mut();
        child.is_some_and(|child| !paused && child.try_wait().expect("a child's status can be read").is_none())
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.lock().child.as_ref().map(Child::id)
    }

    pub(super) fn cql(&self) -> SocketAddr {
        (self.address, CQL_PORT).into()
    }

    /// Whether it accepts clients. Its log has to say so too: another process could listen on the address.
    pub(super) fn accepts(&self) -> bool {
        let start = self.process.lock().logs_at_start.get(self.index).copied().unwrap_or_default();
        self.log_from(start).contains("Starting listening for CQL clients")
            && TcpStream::connect_timeout(&self.cql(), Duration::from_secs(1)).is_ok()
    }

    /// Whether it considers another node up, by its last log line about that node since both were started.
    pub(super) fn sees_up(&self, other: &Self) -> bool {
        let start = |member: &Self| member.process.lock().logs_at_start.get(self.index).copied().unwrap_or_default();
        let about = format!("/{}:{STORAGE_PORT} is now ", other.address);
        let log = self.log_from(start(self).max(start(other)));
        log.rsplit_once(&about).is_some_and(|(_, last)| last.starts_with("UP"))
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |log| log.len())
    }

    /// Its log from this byte on.
    pub(super) fn log_from(&self, byte: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(self.log_path()).and_then(|mut log| {
            log.seek(SeekFrom::Start(byte))?;
            log.read_to_end(&mut text)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(no log: {error})"),
        }
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} of {}", self.number, super::datacenter_name(self.datacenter))
    }
}
