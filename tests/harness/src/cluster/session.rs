//! A client of a cluster.

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

/// Who may do everything where clients have to log in.
pub const USER: &str = "tests";
/// The password of [`USER`].
pub const PASSWORD: &str = "tests' password";
/// A user and the password.
pub(super) type Login = (&'static str, &'static str);
/// As [`USER`].
pub(super) const LOGIN: Login = (USER, PASSWORD);
/// As the user that Cassandra comes with.
const FIRST_LOGIN: Login = ("cassandra", "cassandra");

impl Cluster {
    /// Connects to the nodes of a datacenter, as [`USER`] and with TLS where the options say so.
    ///
    /// # Panics
    /// When that fails.
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

    /// What a client needs to trust the cluster; `None` without TLS.
    fn client_tls(&self) -> Option<Arc<ClientConfig>> {
        let certificate = CertificateDer::from_pem_file(self.certificate()?).expect("a certificate of this cluster");
        let mut trusted = RootCertStore::empty();
        trusted.add(certificate).expect("a certificate of this cluster");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.expect("aws-lc has them").with_root_certificates(trusted).with_no_client_auth();
        Some(Arc::new(config))
    }

    /// Waits until each of these nodes tells its clients of every node that runs and that it can reach. It learns their datacenters later than
    /// that they are up, and who makes a keyspace replicates it to those it is told of.
    pub(super) fn wait_until_told(&self, members: &[&Member], login: Login) {
        let is_told = |state: &ClusterState, of: &Member| {
            let mut nodes = state.get_nodes_info().iter();
            nodes.any(|node| node.address.ip() == of.address && node.datacenter.is_some())
        };
        blocking(async || {
            for member in members {
                let begun = Instant::now();
                loop {
                    let builder = self.session_to(&[member.cql()], member.datacenter, login);
                    let session = builder.build().await.expect("a node that takes clients");
                    let state = session.get_cluster_state();
                    if self.running().filter(|other| self.joins(member, other)).all(|other| is_told(&state, other)) {
                        break;
                    }
                    assert!(begun.elapsed() < super::START_DEADLINE, "{member} does not tell of all others");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
    }

    /// Keeps who may log in on every node, so that one that is cut off can tell too, and adds [`USER`].
    pub(super) fn create_user(&self) {
        self.wait_for_first_user();
        // A datacenter that the node asked has not been told of is refused as a replica.
        self.wait_until_told(&self.members.iter().collect::<Vec<_>>(), FIRST_LOGIN);
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

    /// The user that Cassandra comes with is made a while after it takes clients.
    fn wait_for_first_user(&self) {
        blocking(async || {
            for member in &self.members {
                let begun = Instant::now();
                let builder = self.session_to(&[member.cql()], member.datacenter, FIRST_LOGIN);
                while let Err(fault) = builder.build().await {
                    assert!(begun.elapsed() < super::START_DEADLINE, "nobody can log in at {member}: {fault}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
    }
}

/// Does something on a thread of its own: the caller's may be a runtime's.
fn blocking<W: Future<Output = ()>>(work: impl FnOnce() -> W + Send) {
    thread::scope(|scope| {
        let done = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work());
        });
        done.join().expect("what is done with a cluster that is up");
    });
}
