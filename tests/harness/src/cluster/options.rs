//! How a cluster is started.

use std::collections::BTreeMap;
use std::time::Duration;

/// How to start a cluster. Datacenters, and the nodes of each, are counted from 1.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The number of nodes of each datacenter.
    pub(super) nodes: Vec<usize>,
    pub(super) heap: String,
    pub(super) quick_start: bool,
    /// Settings of `cassandra.yaml`, their values in YAML.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) jvm: Vec<String>,
    /// Datacenter, node, variable, value.
    pub(super) env: Vec<(usize, usize, String, String)>,
    pub(super) passwords: bool,
    pub(super) tls: bool,
    pub(super) namespaces: bool,
    /// Between nodes of two datacenters; needs namespaces unless it is zero.
    pub(super) round_trip: Duration,
}

impl Default for ClusterOptions {
    /// One node.
    fn default() -> Self {
        Self {
            nodes: vec![1],
            heap: "512M".to_owned(),
            quick_start: true,
            settings: BTreeMap::new(),
            jvm: Vec::new(),
            env: Vec::new(),
            passwords: false,
            tls: false,
            namespaces: false,
            round_trip: Duration::ZERO,
        }
    }
}

impl ClusterOptions {
    /// The numbers of nodes in `dc1`, `dc2`, …: 1 to 24 datacenters of 1 to 9 nodes.
    ///
    /// # Panics
    /// With other numbers.
    pub fn nodes(mut self, nodes: impl Into<Vec<usize>>) -> Self {
        self.nodes = nodes.into();
        assert!((1..=24).contains(&self.nodes.len()), "a cluster has 1 to 24 datacenters");
        assert!(self.nodes.iter().all(|nodes| (1..=9).contains(nodes)), "a datacenter has 1 to 9 nodes");
        self
    }

    /// Maximum heap of each node, as `java -Xmx` takes it. Default `512M`: a process then has 0.4 GB after its start,
    /// up to 0.9 GB under traffic.
    pub fn heap(mut self, most: &str) -> Self {
        most.clone_into(&mut self.heap);
        self
    }

    /// For benchmarks: a heap of 1 GB and fully optimised code, which starts later and then runs about twice as fast.
    pub fn benchmark(mut self) -> Self {
        self.quick_start = false;
        self.heap("1G")
    }

    /// A setting of `cassandra.yaml`, its value in YAML, such as `("max_hint_window", "10s")`, in place of the
    /// harness's own.
    pub fn setting(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Syncs a write to disk before its acknowledgement, for tests that kill every replica of a row. By default a
    /// killed node can lose the writes that it acknowledged in its last 0.1 s.
    pub fn sync_commits(self) -> Self {
        self.setting("commitlog_sync", "batch")
    }

    /// An argument of each node's Java, such as `-Dcassandra.ring_delay_ms=500`, in place of the harness's own.
    pub fn jvm(mut self, argument: impl Into<String>) -> Self {
        self.jvm.push(argument.into());
        self
    }

    /// An environment variable of one node.
    pub fn node_env(mut self, datacenter: usize, number: usize, variable: &str, value: impl ToString) -> Self {
        self.env.push((datacenter, number, variable.to_owned(), value.to_string()));
        self
    }

    /// Clients must log in, as [`super::USER`] with [`super::PASSWORD`].
    pub fn passwords(mut self) -> Self {
        self.passwords = true;
        self
    }

    /// Clients must use TLS; the nodes' certificate is [`super::Cluster::certificate`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Puts each datacenter into a network namespace, for [`super::Cluster::cut`]. Needs root.
    pub fn namespaces(mut self) -> Self {
        self.namespaces = true;
        self
    }

    /// The same, with so much time for each round trip between nodes of two datacenters.
    pub fn round_trip(mut self, round_trip: Duration) -> Self {
        self.round_trip = round_trip;
        self.namespaces()
    }
}
