//! A cluster that outlives the command that started it: `tests/cql-cluster`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::addresses::{Addresses, CQL_PORT, is_free};
use super::{Cluster, ClusterOptions, java, node};
use crate::maven::target_dir;
use crate::until;

fn directory() -> PathBuf {
    target_dir().join("cql-cluster")
}

/// Runs a program in a session of its own, which does not end with this terminal.
pub(super) fn detached(program: &str) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// Starts nodes on 127.0.0.1, 127.0.0.2, … which run until [`down`]. Returns lines to show; `None` if nodes run
/// already.
///
/// # Panics
/// When a node does not come up; all are killed then.
pub fn up(options: ClusterOptions) -> Option<Vec<String>> {
    if !running().is_empty() {
        return None;
    }
    down();
    let addresses = Addresses::well_known(&options.nodes);
    let mut cluster = Cluster::prepare(options, addresses, &directory());
    cluster.owned = false;
    cluster.start_all();
    Some(status())
}

/// A line for each running node: datacenter and number, address for clients, process, memory.
pub fn status() -> Vec<String> {
    let line = |(directory, pid): (PathBuf, u32)| {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().replace('-', " node ");
        let megabytes = node::resident_bytes(pid).unwrap_or_default() / 1_000_000;
        format!("{name}: {}:{CQL_PORT}  pid {pid}  {megabytes} MB", address(&directory))
    };
    running().into_iter().map(line).collect()
}

/// Kills all nodes and deletes their data. Returns the number of nodes.
///
/// # Panics
/// When the system refuses.
pub fn down() -> usize {
    let found = running();
    for (_, pid) in &found {
        let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw).expect("a process has an id");
        // It may have ended by now.
        let _ = kill_process(pid, Signal::KILL);
    }
    for (directory, _) in &found {
        // A process frees its ports last, when its id is gone.
        until("a killed node's ports free", Duration::from_secs(30), || is_free(address(directory)));
    }
    if directory().exists() {
        fs::remove_dir_all(directory()).expect("the target directory can be written");
    }
    found.len()
}

/// The address on which the node of this directory listens.
fn address(directory: &Path) -> Ipv4Addr {
    let yaml = fs::read_to_string(directory.join("cassandra.yaml")).expect("a running node has its settings");
    let address = yaml.lines().find_map(|line| line.strip_prefix("rpc_address: "));
    address.and_then(|address| address.parse().ok()).expect("settings as this program writes them")
}

/// The directory and process of each running node, in order.
fn running() -> Vec<(PathBuf, u32)> {
    let Ok(entries) = fs::read_dir(directory()) else { return Vec::new() };
    let directories = entries.map(|entry| entry.expect("the target directory can be read").path());
    let mut found: Vec<(PathBuf, u32)> = directories
        .filter_map(|directory| {
            let pid = fs::read_to_string(directory.join("pid")).ok()?.parse().ok()?;
            is_node(pid, &directory).then_some((directory, pid))
        })
        .collect();
    found.sort();
    found
}

/// Whether a process is the node of this directory: its id may belong to another process by now.
fn is_node(pid: u32, directory: &Path) -> bool {
    let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut arguments = arguments.split(|byte| *byte == 0);
    let storage = format!("-Dcassandra.storagedir={}", directory.display());
    arguments.any(|argument| argument == storage.as_bytes())
        && arguments.any(|argument| argument == java::MAIN.as_bytes())
}
