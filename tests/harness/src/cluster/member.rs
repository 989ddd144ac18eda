//! A node's directory, process and log, over all its lives.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::addresses::{CQL_PORT, STORAGE_PORT};

/// One node. What is public in it stays as it is.
pub(super) struct Member {
    /// Its place among the members.
    pub(super) index: usize,
    pub(super) datacenter: usize,
    pub(super) number: usize,
    pub(super) address: Ipv4Addr,
    pub(super) directory: PathBuf,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    child: Option<Child>,
    paused: bool,
    lives: usize,
    /// How long each member's log was when this life began.
    since: Vec<u64>,
}

impl Member {
    pub(super) fn new(index: usize, datacenter: usize, number: usize, address: Ipv4Addr, directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).expect("the cluster's directory can be written");
        Self { index, datacenter, number, address, directory, life: Mutex::default() }
    }

    /// Whether it has never been started.
    pub(super) fn is_new(&self) -> bool {
        self.life.lock().lives == 0
    }

    /// Starts the process. `since` has the length of each member's log now.
    pub(super) fn spawn(&self, mut command: Command, since: Vec<u64>) {
        let mut life = self.life.lock();
        assert!(life.child.is_none(), "{self} runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.expect("the node's directory can be written");
        let stderr = log.try_clone().expect("a file can be shared");
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(log).stderr(stderr);
        let child = command
            .spawn()
            .expect("Java is needed to run Cassandra: install openjdk-17-jre-headless, or let tests/run do it");
        fs::write(self.directory.join("pid"), child.id().to_string()).expect("the node's directory can be written");
        *life = Life { child: Some(child), paused: false, lives: life.lives + 1, since };
    }

    /// Sends its process a signal, if it runs.
    pub(super) fn signal(&self, signal: Signal) {
        let mut life = self.life.lock();
        let Some(child) = &life.child else { return };
        kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
        life.paused = signal == Signal::STOP;
    }

    /// How its process ended, once it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        let mut life = self.life.lock();
        let exit = life.child.as_mut()?.try_wait().expect("a child can be asked")?;
        life.child = None;
        Some(exit)
    }

    /// Ends its process at once, if it runs.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.life.lock().child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Whether it runs and is not paused.
    pub(super) fn is_running(&self) -> bool {
        let mut life = self.life.lock();
        let paused = life.paused;
        let child = life.child.as_mut();
        child.is_some_and(|child| !paused && child.try_wait().expect("a child can be asked").is_none())
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.life.lock().child.as_ref().map(Child::id)
    }

    pub(super) fn cql(&self) -> SocketAddr {
        (self.address, CQL_PORT).into()
    }

    /// Whether it takes clients. Its log has to say so too: somebody else could listen there.
    pub(super) fn accepts(&self) -> bool {
        let since = self.life.lock().since.get(self.index).copied().unwrap_or_default();
        self.log_from(since).contains("Starting listening for CQL clients")
            && TcpStream::connect_timeout(&self.cql(), Duration::from_secs(1)).is_ok()
    }

    /// Whether it holds another one to be up, by what it last logged about that since both began to live.
    pub(super) fn sees(&self, other: &Self) -> bool {
        let since = |member: &Self| member.life.lock().since.get(self.index).copied().unwrap_or_default();
        let about = format!("/{}:{STORAGE_PORT} is now ", other.address);
        let log = self.log_from(since(self).max(since(other)));
        log.rsplit_once(&about).is_some_and(|(_, last)| last.starts_with("UP"))
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |log| log.len())
    }

    /// Its log from a byte on.
    pub(super) fn log_from(&self, byte: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(self.log_path()).and_then(|mut log| {
            log.seek(SeekFrom::Start(byte))?;
            log.read_to_end(&mut text)
        });
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(fault) => format!("(no log: {fault})"),
        }
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} of {}", self.number, super::datacenter_name(self.datacenter))
    }
}
