//! A network namespace for each datacenter, so that one can be cut off from the others.
//!
//! In namespace of datacenter d its region's address and its nodes' are on `lo`. It has two links: `wan` leads to the other datacenters,
//! through a namespace that forwards between them, and `root` to the test. Cutting takes away the first: packets are lost, nobody is told.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use parking_lot::Mutex;

use super::addresses::address;

/// All namespaces of a cluster. Dropping it deletes them.
pub(super) struct Namespaces {
    c: u8,
    nodes: Vec<usize>,
    /// The datacenters that are.
    cut_off: Mutex<HashSet<usize>>,
}

/// The last of the test's address, and of that of the forwarding namespace.
const ROOT: u8 = 1;
const WAN: u8 = 2;

/// Before the number of the cluster in each address.
pub(super) const NETWORK: [u8; 2] = [10, 99];

impl Namespaces {
    /// Whether this process may have some.
    pub(super) fn are_possible() -> bool {
        rustix::process::geteuid().is_root() && Command::new("ip").arg("-V").output().is_ok()
    }

    /// Makes them, with addresses that `c` tells from those of other clusters.
    ///
    /// # Panics
    /// When they cannot be made.
    pub(super) fn new(c: u8, nodes: &[usize]) -> Self {
        assert!(Self::are_possible(), "network namespaces take root, and `ip` of the package iproute2");
        sweep();
        let made = Self { c, nodes: nodes.to_vec(), cut_off: Mutex::default() };
        let wan = made.wan();
        ip(&format!("netns add {wan}"));
        ip(&format!("-n {wan} link set lo up"));
        ip(&format!("-n {wan} address add 10.99.{c}.{WAN} dev lo"));
        // While a datacenter is cut off: lost, where without a route the sender would be told.
        ip(&format!("-n {wan} route add blackhole 10.99.{c}.0/24"));
        run(inside(&wan, "sh").args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]));
        for datacenter in 1..=nodes.len() {
            made.add(datacenter);
        }
        made
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

    /// Lets a datacenter and the others reach each other, at first or again.
    pub(super) fn heal(&self, datacenter: usize) {
        let wan = self.wan();
        self.cut_off.lock().remove(&datacenter);
        ip(&format!("-n {wan} link set dc{datacenter} up"));
        for address in self.addresses(datacenter) {
            ip(&format!("-n {wan} route replace {address} dev dc{datacenter}"));
        }
    }

    /// Loses all that a datacenter and the others send each other. The test goes on reaching all.
    pub(super) fn cut(&self, datacenter: usize) {
        self.cut_off.lock().insert(datacenter);
        // Its routes go with the link.
        ip(&format!("-n {} link set dc{datacenter} down", self.wan()));
    }

    /// Whether two datacenters, or two nodes of one, reach each other.
    pub(super) fn joins(&self, one: usize, other: usize) -> bool {
        let cut_off = self.cut_off.lock();
        one == other || !(cut_off.contains(&one) || cut_off.contains(&other))
    }

    /// A command that runs in a datacenter's namespace, in the process that is started.
    pub(super) fn command(&self, datacenter: usize, program: &str) -> Command {
        inside(&self.name(datacenter), program)
    }

    /// For what else runs in a datacenter: node 0, as it were.
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

/// Before the id of the process that made a namespace.
const PREFIX: &str = "yima-";

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in (1..=self.nodes.len()).map(|d| self.name(d)).chain([self.wan()]) {
            // One that could not be made is not there.
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

/// Deletes those of processes that were killed: their addresses may be wanted again.
fn sweep() {
    let listed = Command::new("ip").args(["netns", "list"]).output().expect("`ip` can be run");
    for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.split(' ').next()) {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may sweep too.
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
