//! The services of a region as processes of their own, on a datacenter of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use yima_schema::subject::PseudonymKey;
use yima_store::cql::CqlOptions;

use crate::cluster::datacenter_name;
use crate::turn::turn;
use crate::{Cluster, Options, Yima};

/// A region. All regions of one system share the directory of their options, and so their keys.
#[derive(Clone)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Its datacenter, counted from 1.
    pub datacenter: usize,
    keyspace: String,
    cluster: Arc<Cluster>,
    options: Options,
}

impl Region {
    /// Registers a region on a datacenter and creates its tables.
    ///
    /// # Panics
    /// When `yima migrate` fails.
    pub fn new(cluster: &Arc<Cluster>, datacenter: usize, name: &str, keyspace: &str, options: Options) -> Self {
        let nodes: Vec<String> = cluster.contact_points(datacenter).iter().map(ToString::to_string).collect();
        let options = options
            .unlimited()
            .in_datacenter(cluster, datacenter)
            .env("YIMA_REGION__NAME", name)
            .env("YIMA_STORE__CQL__CONTACT_POINTS", format!("{nodes:?}"))
            .env("YIMA_STORE__CQL__DATACENTER", datacenter_name(datacenter))
            .env("YIMA_STORE__CQL__KEYSPACE", keyspace)
            .env("YIMA_LIFECYCLE__DRAIN_WAIT_MS", 0)
            .env("YIMA_WRITER__EVENTS__REQUESTS", 10_000_000);
        let turn = turn();
        options.print(&["migrate"]);
        drop(turn);
        Self { name: name.into(), datacenter, keyspace: keyspace.into(), cluster: Arc::clone(cluster), options }
    }

    /// Starts a writer, with further variables: settings, or a failpoint.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn writer(&self, env: &[(&str, &str)]) -> Yima {
        self.start("writer", env)
    }

    /// Starts a read node, likewise.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn reader(&self, env: &[(&str, &str)]) -> Yima {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Read nodes share a data directory, and each has a disk tier of its own.
        let cache = self.options.directory().join(format!("cache-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let disk = ("YIMA_READ_API__CACHE__DISK_PATH", cache.to_str().expect("a path in UTF-8"));
        self.start("read-api", &[env, &[disk]].concat())
    }

    fn start(&self, service: &str, env: &[(&str, &str)]) -> Yima {
        let options = env.iter().fold(self.options.clone(), |options, (variable, value)| options.env(variable, value));
        Yima::start(options.command_line(&[service]))
    }

    /// The options by which the region's services open the store.
    ///
    /// # Panics
    /// Before `yima migrate`, which makes the keys.
    pub fn store_options(&self) -> CqlOptions {
        CqlOptions {
            contact_points: self.cluster.contact_points(self.datacenter).iter().map(ToString::to_string).collect(),
            datacenter: datacenter_name(self.datacenter),
            keyspace: self.keyspace.clone(),
            ..CqlOptions::new(&self.name, self.pseudonym_key().fingerprint())
        }
    }

    /// The key that turns a document number into a subject.
    ///
    /// # Panics
    /// Before `yima migrate`, which makes the keys.
    pub fn pseudonym_key(&self) -> PseudonymKey {
        let key =
            std::fs::read(self.options.data_dir().join("keys/pseudonym.key")).expect("yima migrate makes the keys");
        PseudonymKey::from_bytes(&key.try_into().expect("32 bytes"))
    }

    /// The options of its services, whose data directory has the keys.
    pub fn options(&self) -> &Options {
        &self.options
    }
}
