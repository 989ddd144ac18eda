//! The addresses on which the nodes of a cluster listen.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use super::namespaces::{self, Namespaces};

/// The port for clients.
pub(super) const CQL_PORT: u16 = 9042;
/// The port for other nodes.
pub(super) const STORAGE_PORT: u16 = 7000;

/// The address of each node, by datacenter.
pub(super) struct Addresses {
    pub(super) nodes: Vec<Vec<Ipv4Addr>>,
    /// The network namespaces of the datacenters, if they have some.
    pub(super) namespaces: Option<Namespaces>,
    /// Listens beside the nodes for as long as the cluster exists: so no two clusters, even of two processes, claim the
    /// same addresses.
    _claim: Option<TcpListener>,
}

impl Addresses {
    /// `127.0.C.(10 d + n)` for node n of datacenter d, with the first free C; with namespaces `10.99.C.(10 d + n)`, and
    /// `round_trip` between datacenters.
    pub(super) fn claim(nodes: &[usize], with_namespaces: bool, round_trip: Duration) -> Self {
        for c in 1..=254 {
            let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, 0, c, 1), STORAGE_PORT)) else { continue };
            let namespaces = with_namespaces.then(|| Namespaces::new(c, nodes, round_trip));
            let network = if with_namespaces { namespaces::NETWORK } else { [127, 0] };
            let address = |d: usize, n: usize| address(network, c, d, n);
            let datacenters = nodes.iter().zip(1..);
            let nodes: Vec<Vec<Ipv4Addr>> =
                datacenters.map(|(&nodes, d)| (1..=nodes).map(|n| address(d, n)).collect()).collect();
            // A node may have outlived its cluster, or a service may listen on every address.
            if with_namespaces || nodes.iter().flatten().all(|address| is_free(*address)) {
                return Self { nodes, namespaces, _claim: Some(claim) };
            }
        }
        panic!("ports {CQL_PORT} and {STORAGE_PORT} are in use on all of 127.0.0.0/16");
    }

    /// `127.0.0.1`, `127.0.0.2`, …: clients' default.
    ///
    /// # Panics
    /// When one is in use.
    pub(super) fn well_known(nodes: &[usize]) -> Self {
        let mut last = 0;
        let mut next = || {
            last += 1;
            Ipv4Addr::new(127, 0, 0, last)
        };
        let nodes: Vec<Vec<Ipv4Addr>> = nodes.iter().map(|&nodes| (0..nodes).map(|_| next()).collect()).collect();
        if let Some(taken) = nodes.iter().flatten().find(|address| !is_free(**address)) {
            panic!("port {CQL_PORT} or {STORAGE_PORT} of {taken} is in use already");
        }
        Self { nodes, namespaces: None, _claim: None }
    }
}

/// The address of node n of datacenter d.
pub(super) fn address(network: [u8; 2], c: u8, d: usize, n: usize) -> Ipv4Addr {
    Ipv4Addr::new(network[0], network[1], c, u8::try_from(10 * d + n).expect("24 x 9 at most"))
}

/// Whether both ports of an address are free.
pub(super) fn is_free(address: Ipv4Addr) -> bool {
    [CQL_PORT, STORAGE_PORT].iter().all(|port| TcpListener::bind((address, *port)).is_ok())
}
