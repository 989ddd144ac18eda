//! How a cluster is started.

use std::collections::BTreeMap;

/// How to start a cluster. Each datacenter and each node in it is counted from 1.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How many nodes each datacenter has.
    pub(super) nodes: Vec<usize>,
    pub(super) heap: String,
    pub(super) quick_start: bool,
    /// Of `cassandra.yaml`, in YAML.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) jvm: Vec<String>,
    /// Datacenter, node, variable, value.
    pub(super) env: Vec<(usize, usize, String, String)>,
    pub(super) passwords: bool,
    pub(super) tls: bool,
    pub(super) namespaces: bool,
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
        }
    }
}

impl ClusterOptions {
    /// So many nodes in `dc1`, `dc2`, …; at most 24 datacenters of at most 9.
    ///
    /// # Panics
    /// With more, or none.
    pub fn nodes(mut self, nodes: impl Into<Vec<usize>>) -> Self {
        self.nodes = nodes.into();
        assert!((1..=24).contains(&self.nodes.len()), "a cluster has 1 to 24 datacenters");
        assert!(self.nodes.iter().all(|nodes| (1..=9).contains(nodes)), "a datacenter has 1 to 9 nodes");
        self
    }

    /// The most memory for the heap of each node, as `java -Xmx` takes it. Default `512M`: a process then takes 0.4 GB after its start, up
    /// to 0.9 GB under load.
    pub fn heap(mut self, most: &str) -> Self {
        most.clone_into(&mut self.heap);
        self
    }

    /// For figures: a heap of 1 GB, and code compiled as well as Java can, which starts later and then runs about twice as fast.
    pub fn benchmark(mut self) -> Self {
        self.quick_start = false;
        self.heap("1G")
    }

    /// A setting of `cassandra.yaml`, its value in YAML, such as `("max_hint_window", "10s")`. Replaces the harness's own.
    pub fn setting(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// A write is on disk before it is answered. By default a node that is killed can lose what it answered in its last 0.1 s (a
    /// replica elsewhere keeps it): for tests that kill every replica of something.
    pub fn sync_commits(self) -> Self {
        self.setting("commitlog_sync", "batch")
    }

    /// An argument of each node's Java, such as `-Dcassandra.ring_delay_ms=500`. Replaces the harness's own.
    pub fn jvm(mut self, argument: impl Into<String>) -> Self {
        self.jvm.push(argument.into());
        self
    }

    /// An environment variable of one node.
    pub fn node_env(mut self, datacenter: usize, number: usize, variable: &str, value: impl ToString) -> Self {
        self.env.push((datacenter, number, variable.to_owned(), value.to_string()));
        self
    }

    /// Clients have to log in, as [`super::USER`] with [`super::PASSWORD`].
    pub fn passwords(mut self) -> Self {
        self.passwords = true;
        self
    }

    /// Clients have to speak TLS; the server's certificate is [`super::Cluster::certificate`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Each datacenter is in a network namespace of its own, for [`super::Cluster::cut`]. Takes root: see [`super::Cluster::can_be_cut`].
    pub fn namespaces(mut self) -> Self {
        self.namespaces = true;
        self
    }
}
