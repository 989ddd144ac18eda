//! The certificate that nodes present to clients.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::CertifiedKey;

use super::member::Member;

/// Writes a certificate for the addresses of all nodes, and beside it a file with certificate and key, as Cassandra
/// reads them. Returns the path of the former.
pub(super) fn certify(directory: &Path, members: &[Member]) -> PathBuf {
    let addresses: Vec<String> = members.iter().map(|member| member.address.to_string()).collect();
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(addresses).expect("addresses can be certified");
    let certificate = directory.join("certificate.pem");
    fs::write(&certificate, cert.pem()).expect("the cluster's directory can be written");
    let key_and_certificate = signing_key.serialize_pem() + &cert.pem();
    fs::write(directory.join("server.pem"), key_and_certificate).expect("the cluster's directory can be written");
    certificate
}
