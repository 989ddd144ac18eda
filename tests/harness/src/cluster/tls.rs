//! The certificate with which nodes show clients who they are.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::CertifiedKey;

use super::member::Member;

/// Writes a certificate for the addresses of all nodes, and beside it one file with the key too, as Cassandra reads it. Returns the first.
pub(super) fn certify(directory: &Path, members: &[Member]) -> PathBuf {
    let addresses: Vec<String> = members.iter().map(|member| member.address.to_string()).collect();
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(addresses).expect("addresses can be certified");
    let certificate = directory.join("certificate.pem");
    fs::write(&certificate, cert.pem()).expect("the cluster's directory can be written");
    let both = signing_key.serialize_pem() + &cert.pem();
    fs::write(directory.join("server.pem"), both).expect("the cluster's directory can be written");
    certificate
}
