//! A network namespace for each datacenter, so that one can be cut off from the others.
//!
//! The namespace of a datacenter has the addresses of its region and its nodes on `lo`. It has two links: `wan` leads
//! to the other datacenters, through a namespace that forwards between them, and `root` to the test. A cut takes down
//! `wan`: packets are lost without an error to the sender. On their way between datacenters packets can be delayed
//! (`delay.py`, since not every kernel has netem).

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

use super::addresses::address;
use crate::require_root;

/// All namespaces of a cluster. Dropping it deletes them.
pub(super) struct Namespaces {
    c: u8,
    nodes: Vec<usize>,
    /// The datacenters that are cut off.
    cut_off: Mutex<HashSet<usize>>,
    delaying: Option<Child>,
}

/// Last byte of the test's address.
const ROOT: u8 = 1;
/// Last byte of the forwarding namespace's address.
const WAN: u8 = 2;

/// The first two bytes of every address; the third is the number of the cluster.
pub(super) const NETWORK: [u8; 2] = [10, 99];

impl Namespaces {
    /// Creates the namespaces; `c` is the number of the cluster in their addresses.
    ///
    /// # Panics
    /// When this process is not root, or the system refuses.
    pub(super) fn new(c: u8, nodes: &[usize], round_trip: Duration) -> Self {
        require_root();
        sweep();
        let mut namespaces = Self { c, nodes: nodes.to_vec(), cut_off: Mutex::default(), delaying: None };
        let wan = namespaces.wan();
        ip(&format!("netns add {wan}"));
        ip(&format!("-n {wan} link set lo up"));
        ip(&format!("-n {wan} address add 10.99.{c}.{WAN} dev lo"));
        // For packets to a datacenter that is cut off: without a route their sender would get an error.
        ip(&format!("-n {wan} route add blackhole 10.99.{c}.0/24"));
        run(inside(&wan, "sh").args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]));
        for datacenter in 1..=nodes.len() {
            namespaces.add(datacenter);
        }
        if !round_trip.is_zero() {
            namespaces.delaying = Some(namespaces.delay(round_trip / 2));
        }
        namespaces
    }

    /// Sends every packet from a datacenter through a device whose other end is a program that delays it.
    fn delay(&self, one_way: Duration) -> Child {
        const DEVICE: &str = "delay";
        let wan = self.wan();
        ip(&format!("-n {wan} tuntap add dev {DEVICE} mode tun"));
        ip(&format!("-n {wan} link set {DEVICE} up txqueuelen 10000"));
        // Packets come back from another device than the one towards their sender.
        let filter = format!("for d in all default {DEVICE}; do echo 0 >/proc/sys/net/ipv4/conf/$d/rp_filter; done");
        run(inside(&wan, "sh").args(["-c", &filter]));
        ip(&format!("-n {wan} route add default dev {DEVICE} table 100"));
        for datacenter in 1..=self.nodes.len() {
            ip(&format!("-n {wan} rule add iif dc{datacenter} lookup 100"));
        }
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cluster/delay.py");
        let mut command = inside(&wan, "python3");
        command.args([program, DEVICE, &one_way.as_millis().to_string()]).stdout(Stdio::piped());
        let mut delaying = command.spawn().expect("python3 delays the packets between datacenters");
        let mut line = String::new();
        let output = delaying.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("its output can be read");
        assert!(!line.is_empty(), "the program that delays packets did not begin");
        delaying
    }

    fn add(&self, datacenter: usize) {
        let (c, name, wan, root) = (self.c, self.name(datacenter), self.wan(), self.root_link(datacenter));
        let region = self.region_address(datacenter);
        ip(&format!("netns add {name}"));
        ip(&format!("-n {name} link set lo up"));
        for address in self.addresses(datacenter) {
            ip(&format!("-n {name} address add {address} dev lo"));
        }
        ip(&format!("link add {root} type veth peer name root netns {name}"));
        ip(&format!("-n {name} link set root up"));
        ip(&format!("-n {name} route add 10.99.{c}.{ROOT} dev root src {region}"));
        ip(&format!("address add 10.99.{c}.{ROOT} dev {root}"));
        ip(&format!("link set {root} up"));
        for address in self.addresses(datacenter) {
            ip(&format!("route add {address} dev {root} src 10.99.{c}.{ROOT}"));
        }
        ip(&format!("-n {wan} link add dc{datacenter} type veth peer name wan netns {name}"));
        ip(&format!("-n {name} link set wan up"));
        ip(&format!("-n {name} route add 10.99.{c}.0/24 via 10.99.{c}.{WAN} dev wan onlink src {region}"));
        self.heal(datacenter);
    }

    /// Connects a datacenter to the others.
    pub(super) fn heal(&self, datacenter: usize) {
        let wan = self.wan();
        self.cut_off.lock().remove(&datacenter);
        ip(&format!("-n {wan} link set dc{datacenter} up"));
        for address in self.addresses(datacenter) {
            ip(&format!("-n {wan} route replace {address} dev dc{datacenter}"));
        }
    }

    /// Drops every packet between a datacenter and the others.
    pub(super) fn cut(&self, datacenter: usize) {
        self.cut_off.lock().insert(datacenter);
        // Its routes go with the link.
        ip(&format!("-n {} link set dc{datacenter} down", self.wan()));
    }

    /// Whether nodes of these two datacenters reach each other.
    pub(super) fn connects(&self, one: usize, other: usize) -> bool {
        let cut_off = self.cut_off.lock();
        one == other || !(cut_off.contains(&one) || cut_off.contains(&other))
    }

    /// A command that runs a program in a datacenter's namespace; the spawned process is the program's own.
    pub(super) fn command(&self, datacenter: usize, program: &str) -> Command {
        inside(&self.name(datacenter), program)
    }

    /// The address for programs of a datacenter that are no nodes: that of node 0.
    pub(super) fn region_address(&self, datacenter: usize) -> Ipv4Addr {
        address(NETWORK, self.c, datacenter, 0)
    }

    fn addresses(&self, datacenter: usize) -> impl Iterator<Item = Ipv4Addr> {
        (0..=self.nodes[datacenter - 1]).map(move |n| address(NETWORK, self.c, datacenter, n))
    }

    fn name(&self, datacenter: usize) -> String {
        format!("{PREFIX}{}-{}-dc{datacenter}", std::process::id(), self.c)
    }

    fn wan(&self) -> String {
        format!("{PREFIX}{}-{}-wan", std::process::id(), self.c)
    }

    /// The test's end of its link to a datacenter.
    fn root_link(&self, datacenter: usize) -> String {
        format!("yima-{}-{datacenter}", self.c)
    }
}

/// Stands before the id of the process that made a namespace.
const PREFIX: &str = "yima-";

impl Drop for Namespaces {
    fn drop(&mut self) {
        if let Some(delaying) = &mut self.delaying {
            // It may have ended by itself.
            let _ = delaying.kill();
            let _ = delaying.wait();
        }
        for name in (1..=self.nodes.len()).map(|d| self.name(d)).chain([self.wan()]) {
            // A namespace whose creation failed does not exist.
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

/// Deletes the namespaces of processes that were killed: their addresses may be needed.
fn sweep() {
    let listed = Command::new("ip").args(["netns", "list"]).output().expect("`ip` of the package iproute2");
    for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.split(' ').next()) {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may have deleted it.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

fn ip(arguments: &str) {
    run(Command::new("ip").args(arguments.split(' ')));
}

fn run(command: &mut Command) {
    let done = command.output().expect("`ip` can be run");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
