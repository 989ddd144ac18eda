//! A client of a cluster.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use super::{Cluster, datacenter_name};

/// Who may do everything where clients have to log in.
pub const USER: &str = "tests";
/// The password of [`USER`].
pub const PASSWORD: &str = "tests' password";
/// The user that Cassandra comes with; the password is the same.
const FIRST_USER: &str = "cassandra";

impl Cluster {
    /// Connects to the nodes of a datacenter, as [`USER`] and with TLS where the options say so.
    ///
    /// # Panics
    /// When that fails.
    pub async fn session(&self, datacenter: usize) -> Session {
        self.session_builder(datacenter, USER, PASSWORD).build().await.expect("a session with a cluster that is up")
    }

    fn session_builder(&self, datacenter: usize, user: &str, password: &str) -> SessionBuilder {
        let builder = SessionBuilder::new()
            .known_nodes_addr(self.contact_points(datacenter))
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

    /// Keeps who may log in on every node, so that one that is cut off can tell too, and adds [`USER`].
    pub(super) fn create_user(&self) {
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
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // On a thread of its own: the caller's may be a runtime's.
        thread::scope(|scope| {
            let ran = scope.spawn(|| {
                runtime().block_on(async {
                    let session = self.first_session().await;
                    for statement in statements {
                        session.query_unpaged(statement, ()).await.expect("a statement for the first user");
                    }
                });
            });
            ran.join().expect("the first user can add another");
        });
    }

    /// As the user that Cassandra comes with, who is made a while after it takes clients.
    async fn first_session(&self) -> Session {
        let begun = Instant::now();
        loop {
            match self.session_builder(1, FIRST_USER, FIRST_USER).build().await {
                Ok(session) => return session,
                Err(fault) => assert!(begun.elapsed() < super::START_DEADLINE, "nobody can log in: {fault}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
