//! The operations of a test on one node.

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
    /// Starts it on its data and waits until it is up; does nothing if it is running.
    ///
    /// # Panics
    /// See [`Self::wait_until_up`].
    pub fn start(self) {
        if self.member.pid().is_none() {
            self.cluster.spawn(self.member);
        }
        self.wait_until_up();
    }

    /// Waits until it accepts clients, and it and every running node that it can reach consider each other up and list
    /// each other to clients.
    ///
    /// # Panics
    /// When it ends, or does not get there in time.
    pub fn wait_until_up(self) {
        self.cluster.wait_until_up(&[self.member]);
        self.cluster.wait_until_topology_known(&self.cluster.running().collect::<Vec<_>>(), LOGIN);
    }

    /// Kills it, as a crash would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill9(self) {
        self.member.kill();
    }

    /// Stops it and waits (SIGTERM): the other nodes know at once, and its next start has no log to replay.
    ///
    /// # Panics
    /// When it is not running, or does not stop in time.
    pub fn stop(self) -> ExitStatus {
        assert!(self.member.pid().is_some(), "{} was not started", self.member);
        self.member.signal(Signal::TERM);
        let start = Instant::now();
        loop {
            if let Some(exit) = self.member.ended() {
                return exit;
            }
            assert!(start.elapsed() < STOP_DEADLINE, "{} did not stop in time", self.member);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Pauses it (SIGSTOP): it keeps its connections and sends no answer. Returns at once.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn pause(self) {
        self.member.signal(Signal::STOP);
    }

    /// Resumes it after [`Self::pause`] (SIGCONT).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn resume(self) {
        self.member.signal(Signal::CONT);
    }

    /// The directory of a keyspace, with one for each table. Complete after [`Self::stop`], which flushes the
    /// memtables.
    pub fn tables(self, keyspace: &str) -> PathBuf {
        self.member.directory.join("data").join(keyspace)
    }

    /// Bytes of the hints that it keeps for other nodes.
    ///
    /// # Panics
    /// Before its first start.
    pub fn hints_bytes(self) -> u64 {
        let files = fs::read_dir(self.member.directory.join("hints")).expect("a node makes its directories");
        // A file whose hints were just sent is gone.
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    }

    /// The address on which it accepts clients.
    pub fn address(self) -> SocketAddr {
        self.member.cql()
    }

    /// The name of its datacenter.
    pub fn datacenter(self) -> String {
        super::datacenter_name(self.member.datacenter)
    }

    /// Its log, over all its starts.
    pub fn log(self) -> String {
        self.member.log_from(0)
    }

    /// Resident memory of its process; `None` if that is not running.
    pub fn resident_bytes(self) -> Option<u64> {
        resident_bytes(self.member.pid()?)
    }
}

/// Resident memory of a process; `None` if there is no such process.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS:")
}

/// A line of a process' memory (proc_pid_status(5)), in bytes.
pub(crate) fn memory_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok().map(|kib: u64| kib * 1024)
}
