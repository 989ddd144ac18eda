//! The traffic of some connections to the database: requests as the nodes count them, bytes as this machine's kernel
//! does.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use scylla::client::session::Session;
use yima_harness::Cluster;

/// Some connections of this process, each identified by its node and its local port.
pub(crate) struct Connections<'a> {
    cluster: &'a Cluster,
    /// A session with the nodes of each datacenter, to read their counters.
    sessions: [Session; 2],
    chosen: BTreeSet<(SocketAddr, u16)>,
}

/// The traffic of connections since they were opened.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

impl<'a> Connections<'a> {
    /// The connections that `open` opens; no other task may open one meanwhile.
    pub(crate) async fn of<T>(cluster: &'a Cluster, open: impl Future<Output = T>) -> (Self, T) {
        let sessions = [cluster.session(1).await, cluster.session(2).await];
        let mut connections = Self { cluster, sessions, chosen: BTreeSet::new() };
        let before = connections.sockets();
        let opened = open.await;
        let is_new = |key: &(SocketAddr, u16)| !before.iter().any(|(other, _)| other == key);
        connections.chosen = connections.sockets().into_iter().map(|(key, _)| key).filter(is_new).collect();
        (connections, opened)
    }

    pub(crate) fn count(&self) -> usize {
        self.chosen.len()
    }

    pub(crate) async fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        let mut found = BTreeSet::new();
        for (key, of_socket) in self.sockets().into_iter().filter(|(key, _)| self.chosen.contains(key)) {
            traffic.received_bytes += of_socket.received_bytes;
            traffic.sent_bytes += of_socket.sent_bytes;
            found.insert(key);
        }
        assert!(found == self.chosen, "a connection was closed");
        for (session, datacenter) in self.sessions.iter().zip(1..) {
            let node = self.cluster.node(datacenter, 1).address();
            let statement = "SELECT port, request_count FROM system_views.clients";
            let rows = session.query_unpaged(statement, ()).await.expect("the database answers");
            let rows = rows.into_rows_result().expect("rows");
            for row in rows.rows::<(i32, i64)>().expect("a port and a number") {
                let (port, requests) = row.expect("a port and a number");
                if self.chosen.contains(&(node, u16::try_from(port).expect("a port"))) {
                    traffic.requests += requests.unsigned_abs();
                }
            }
        }
        traffic
    }

    /// Every connection from this machine to the cluster.
    fn sockets(&self) -> Vec<((SocketAddr, u16), Traffic)> {
        let of_node = |node: SocketAddr| {
            let mut listing = Command::new("ss");
            listing.args(["-tinHO", "state", "established", "dst"]).arg(node.to_string());
            let listed = listing.output().expect("ss of the package iproute2, which tests/bench installs");
            let lines = String::from_utf8(listed.stdout).expect("text");
            lines.lines().map(|line| socket(node, line)).collect::<Vec<_>>()
        };
        self.cluster.nodes().flat_map(|node| of_node(node.address())).collect()
    }
}

/// Parses a line of `ss`: two queues, local address, remote address, and figures with their names.
fn socket(node: SocketAddr, line: &str) -> ((SocketAddr, u16), Traffic) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let local: SocketAddr = words[2].parse().expect("an address");
    let figure = |name: &str| {
        // Missing before the first byte.
        let found = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
        found.map_or(0, |figure| figure.parse().expect("a number"))
    };
    let traffic = Traffic { requests: 0, received_bytes: figure("bytes_received"), sent_bytes: figure("bytes_acked") };
    ((node, local.port()), traffic)
}
