//! A real CQL database for tests: Apache Cassandra, any number of nodes and datacenters, each node a process.

mod addresses;
mod by_hand;
mod java;
mod member;
mod namespaces;
mod node;
mod options;
mod session;
mod settings;
mod tls;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use addresses::{Addresses, STORAGE_PORT};
use member::Member;
use namespaces::Namespaces;

use crate::turn::turn;
use crate::until;

pub use crate::maven::fetch_cassandra;
pub use by_hand::{down, status, up};
pub(crate) use node::memory_bytes;
pub use node::{Node, resident_bytes};
pub use options::ClusterOptions;
pub use session::{PASSWORD, USER};

/// For one node to come up on a busy machine; each further node adds as much.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// Lines of each node's log that a failing test prints.
const LOG_LINES: usize = 40;

/// Running nodes. Dropping it kills them and deletes their data.
pub struct Cluster {
    options: ClusterOptions,
    jars: PathBuf,
    members: Vec<Member>,
    /// False for `tests/cql-cluster`, whose nodes outlive this value.
    owned: bool,
    certificate: Option<PathBuf>,
    addresses: Addresses,
    _directory: Option<TempDir>,
}

/// `dc1`, `dc2`, …: datacenters are counted from 1.
pub fn datacenter_name(datacenter: usize) -> String {
    format!("dc{datacenter}")
}

impl Cluster {
    /// Starts all nodes and waits until each accepts clients and considers all others up.
    ///
    /// # Panics
    /// When Java or Maven is missing, or a node does not come up.
    pub fn start(options: ClusterOptions) -> Self {
        let addresses = Addresses::claim(&options.nodes, options.namespaces, options.round_trip);
        // Not in the system's temporary directory, which may be in memory.
        let parent = crate::maven::target_dir().join("cassandra");
        fs::create_dir_all(&parent).expect("the target directory can be written");
        let directory = TempDir::with_prefix_in("cluster-", parent).expect("the target directory can be written");
        let mut cluster = Self::prepare(options, addresses, directory.path());
        cluster._directory = Some(directory);
        let turn = turn();
        cluster.start_all();
        drop(turn);
        cluster
    }

    fn prepare(options: ClusterOptions, addresses: Addresses, directory: &Path) -> Self {
        let jars = fetch_cassandra();
        let datacenters = addresses.nodes.iter().zip(1..);
        let nodes = datacenters.flat_map(|(nodes, d)| nodes.iter().zip(1..).map(move |(address, n)| (d, n, *address)));
        let members: Vec<Member> = nodes
            .enumerate()
            .map(|(index, (d, n, address))| {
                Member::new(index, d, n, address, directory.join(format!("{}-{n}", datacenter_name(d))))
            })
            .collect();
        let certificate = options.tls.then(|| tls::certify(directory, &members));
        Self { options, jars, members, owned: true, certificate, addresses, _directory: None }
    }

    fn start_all(&self) {
        for member in &self.members {
            self.spawn(member);
        }
        self.wait_until_up(&self.members.iter().collect::<Vec<_>>());
        if self.options.passwords {
            self.create_user();
        }
        self.wait_until_topology_known(&self.members.iter().collect::<Vec<_>>(), session::LOGIN);
    }

    fn spawn(&self, member: &Member) {
        let first = member.is_new();
        let seeds = if first { &self.members[..1] } else { &self.members };
        let seeds: Vec<String> = seeds.iter().map(|seed| format!("{}:{STORAGE_PORT}", seed.address)).collect();
        settings::write(member, &self.options, &seeds.join(","));
        let mut command = if self.owned { self.command(member.datacenter, "java") } else { by_hand::detached("java") };
        for (_, _, variable, value) in
            self.options.env.iter().filter(|(d, n, ..)| (*d, *n) == (member.datacenter, member.number))
        {
            command.env(variable, value);
        }
        java::arguments(&mut command, &self.jars, &member.directory, &self.options, first);
        member.spawn(command, self.members.iter().map(Member::log_length).collect());
    }

    fn running(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_running())
    }

    fn wait_until_up(&self, members: &[&Member]) {
        let names: Vec<String> = members.iter().map(ToString::to_string).collect();
        self.wait_for(&format!("{} up", names.join(", ")), || {
            members.iter().all(|member| {
                assert!(member.pid().is_some(), "{member} was not started");
                if let Some(exit) = member.ended() {
                    panic!("{member} ended ({exit}); the ends of all logs follow");
                }
                let mut others =
                    self.running().filter(|other| other.index != member.index && self.connects(member, other));
                member.accepts() && others.all(|other| member.sees_up(other) && other.sees_up(member))
            })
        });
    }

    /// Whether the network connects two nodes.
    fn connects(&self, one: &Member, other: &Member) -> bool {
        let namespaces = self.addresses.namespaces.as_ref();
        namespaces.is_none_or(|namespaces| namespaces.connects(one.datacenter, other.datacenter))
    }

    fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, START_DEADLINE * u32::try_from(self.members.len()).expect("a few nodes"), condition);
    }

    /// A node; datacenter and number are counted from 1.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node(&self, datacenter: usize, number: usize) -> Node<'_> {
        let mut nodes = self.nodes();
        let found = nodes.find(|node| (node.member.datacenter, node.member.number) == (datacenter, number));
        found.unwrap_or_else(|| panic!("no node {number} in {}", datacenter_name(datacenter)))
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.members.iter().map(|member| Node { cluster: self, member })
    }

    /// The addresses on which the nodes of a datacenter accept clients.
    pub fn contact_points(&self, datacenter: usize) -> Vec<SocketAddr> {
        self.nodes().filter(|node| node.member.datacenter == datacenter).map(Node::address).collect()
    }

    /// The certificate of all nodes, in PEM and self-signed: a client trusts it alone. `None` without TLS.
    pub fn certificate(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    /// Drops every packet between a datacenter and the others, without an error to the sender, until [`Self::heal`].
    /// The test, which is in none of them, still reaches all.
    ///
    /// # Panics
    /// Without [`ClusterOptions::namespaces`].
    pub fn cut(&self, datacenter: usize) {
        self.namespaces().cut(datacenter);
    }

    /// Ends [`Self::cut`].
    ///
    /// # Panics
    /// Without [`ClusterOptions::namespaces`].
    pub fn heal(&self, datacenter: usize) {
        self.namespaces().heal(datacenter);
    }

    fn namespaces(&self) -> &Namespaces {
        self.addresses.namespaces.as_ref().expect("a cluster with ClusterOptions::namespaces")
    }

    /// A command that runs a program in the network of a datacenter, so that [`Self::cut`] affects it as it does the
    /// nodes. The spawned process is the program's own.
    pub fn command(&self, datacenter: usize, program: &str) -> Command {
        let namespaces = self.addresses.namespaces.as_ref();
        namespaces.map_or_else(|| Command::new(program), |namespaces| namespaces.command(datacenter, program))
    }

    /// The address on which such a program can be reached from everywhere; without namespaces 127.0.0.1.
    pub fn address(&self, datacenter: usize) -> Ipv4Addr {
        let namespaces = self.addresses.namespaces.as_ref();
        namespaces.map_or(Ipv4Addr::LOCALHOST, |namespaces| namespaces.region_address(datacenter))
    }

    fn log_tails(&self) -> String {
        self.members.iter().map(|member| format!("--- {member} ---\n{}\n", tail(&member.log_from(0)))).collect()
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.owned && !thread::panicking() {
            return;
        }
        for member in &self.members {
            member.kill();
        }
        if thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
    }
}
