//! Sessions of a client with a cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::ClusterState;

use super::member::Member;
use super::{Cluster, datacenter_name};

/// A user with every permission, for clusters whose clients must log in.
pub const USER: &str = "tests";
/// The password of [`USER`].
pub const PASSWORD: &str = "tests' password";
/// User and password.
pub(super) type Login = (&'static str, &'static str);
/// The login of [`USER`].
pub(super) const LOGIN: Login = (USER, PASSWORD);
/// The login of the user that Cassandra creates.
const FIRST_LOGIN: Login = ("cassandra", "cassandra");

impl Cluster {
    /// Connects to the nodes of a datacenter, as [`USER`] and with TLS where the options say so.
    ///
    /// # Panics
    /// When no node accepts the connection.
    pub async fn session(&self, datacenter: usize) -> Session {
        let builder = self.session_to(&self.contact_points(datacenter), datacenter, LOGIN);
        builder.build().await.expect("a session with a cluster that is up")
    }

    fn session_to(&self, nodes: &[SocketAddr], datacenter: usize, (user, password): Login) -> SessionBuilder {
        let builder = SessionBuilder::new()
            .known_nodes_addr(nodes)
            .prefer_datacenter(datacenter_name(datacenter))
            .tls_context(self.client_tls());
        if self.options.passwords { builder.user(user, password) } else { builder }
    }

    /// The TLS configuration of a client that trusts the cluster alone; `None` without TLS.
    fn client_tls(&self) -> Option<Arc<ClientConfig>> {
        let certificate = CertificateDer::from_pem_file(self.certificate()?).expect("a certificate of this cluster");
        let mut trusted = RootCertStore::empty();
        trusted.add(certificate).expect("a certificate of this cluster");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            versions.expect("aws-lc has the default versions").with_root_certificates(trusted).with_no_client_auth();
        Some(Arc::new(config))
    }

    /// Waits until each of these nodes lists to clients every running node that it can reach. It learns the datacenter
    /// of a node later than that the node is up, and a new keyspace is replicated to the nodes on the list only.
    pub(super) fn wait_until_topology_known(&self, members: &[&Member], login: Login) {
        let lists = |state: &ClusterState, other: &Member| {
            let mut nodes = state.get_nodes_info().iter();
            nodes.any(|node| node.address.ip() == other.address && node.datacenter.is_some())
        };
        blocking(async || {
            for member in members {
                let start = Instant::now();
                loop {
                    let builder = self.session_to(&[member.cql()], member.datacenter, login);
                    let session = builder.build().await.expect("a node that takes clients");
                    let state = session.get_cluster_state();
                    if self.running().filter(|other| self.connects(member, other)).all(|other| lists(&state, other)) {
                        break;
                    }
                    assert!(start.elapsed() < super::START_DEADLINE, "{member} does not list every other node");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }

    /// Replicates the logins to every node, so that a node that is cut off can check them too, and adds [`USER`].
    pub(super) fn create_user(&self) {
        self.wait_for_first_user();
        // A node refuses a datacenter that it does not list as a replica.
        self.wait_until_topology_known(&self.members.iter().collect::<Vec<_>>(), FIRST_LOGIN);
        let replicas: Vec<String> = (self.options.nodes.iter().zip(1..))
            .map(|(nodes, d)| format!("'{}': {nodes}", datacenter_name(d)))
            .collect();
        let quoted = PASSWORD.replace('\'', "''");
        let statements = [
            format!(
                "ALTER KEYSPACE system_auth WITH replication = {{'class': 'NetworkTopologyStrategy', {}}}",
                replicas.join(", ")
            ),
            format!("CREATE ROLE {USER} WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = '{quoted}'"),
        ];
        blocking(async || {
            let builder = self.session_to(&self.contact_points(1), 1, FIRST_LOGIN);
            let session = builder.build().await.expect("a session of the first user");
            for statement in statements {
                session.query_unpaged(statement, ()).await.expect("a statement for the first user");
            }
        });
    }

    /// Cassandra creates its first user a while after it accepts clients.
    fn wait_for_first_user(&self) {
        blocking(async || {
            for member in &self.members {
                let start = Instant::now();
                let builder = self.session_to(&[member.cql()], member.datacenter, FIRST_LOGIN);
                while let Err(error) = builder.build().await {
                    assert!(start.elapsed() < super::START_DEADLINE, "{member} accepts no login: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
    }
}

/// Runs work on a thread of its own: the caller's may be a runtime's worker.
fn blocking<W: Future<Output = ()>>(work: impl FnOnce() -> W + Send) {
    thread::scope(|scope| {
        let done = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work());
        });
        done.join().expect("the work on the cluster did not panic");
    });
}
