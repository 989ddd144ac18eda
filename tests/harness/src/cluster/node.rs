//! What a test does to one node.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Cluster;
use super::member::Member;
use super::session::LOGIN;

/// From SIGTERM to the end, on a busy machine.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A node of a cluster, by [`Cluster::node`].
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) member: &'a Member,
}

impl Node<'_> {
    /// Starts it on the data it has, and waits until it is up. Nothing if it runs already.
    ///
    /// # Panics
    /// See [`Self::wait_until_up`].
    pub fn start(self) {
        if self.member.pid().is_none() {
            self.cluster.spawn(self.member);
        }
        self.wait_until_up();
    }

    /// Waits until it takes clients, and it and each other running node that it can reach hold each other to be up and tell clients of each
    /// other.
    ///
    /// # Panics
    /// When it ends, or that takes too long.
    pub fn wait_until_up(self) {
        self.cluster.wait_until_up(&[self.member]);
        self.cluster.wait_until_told(&self.cluster.running().collect::<Vec<_>>(), LOGIN);
    }

    /// Ends it at once, as a crash would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill9(self) {
        self.member.kill();
    }

    /// Asks it to stop and waits (SIGTERM): others know at once, and it has no log to replay when it starts.
    ///
    /// # Panics
    /// When it does not run, or goes on beyond the deadline.
    pub fn stop(self) -> ExitStatus {
        assert!(self.member.pid().is_some(), "{} was not started", self.member);
        self.member.signal(Signal::TERM);
        let begun = Instant::now();
        loop {
            if let Some(exit) = self.member.ended() {
                return exit;
            }
            assert!(begun.elapsed() < STOP_DEADLINE, "{} did not stop in time", self.member);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops its clock, as it were: it keeps its connections and answers nobody (SIGSTOP). Not waited for.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn pause(self) {
        self.member.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::pause`] (SIGCONT).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn resume(self) {
        self.member.signal(Signal::CONT);
    }

    /// The directory of a keyspace, with one for each table. Complete when the node was stopped, which writes out what it has in memory.
    pub fn tables(self, keyspace: &str) -> PathBuf {
        self.member.directory.join("data").join(keyspace)
    }

    /// Bytes of hints that it keeps for other nodes.
    ///
    /// # Panics
    /// Before its first start.
    pub fn hints_bytes(self) -> u64 {
        let files = fs::read_dir(self.member.directory.join("hints")).expect("a node makes its directories");
        // One that has just been sent is gone.
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    }

    /// Where it takes clients.
    pub fn address(self) -> SocketAddr {
        self.member.cql()
    }

    /// The name of its datacenter.
    pub fn datacenter(self) -> String {
        super::datacenter_name(self.member.datacenter)
    }

    /// What it logged, over all its lives.
    pub fn log(self) -> String {
        self.member.log_from(0)
    }

    /// The memory that its process has now; `None` if there is none.
    pub fn resident_bytes(self) -> Option<u64> {
        resident_bytes(self.member.pid()?)
    }
}

/// The memory that a process has now; `None` if there is no such process.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok().map(|kib: u64| kib * 1024)
}
