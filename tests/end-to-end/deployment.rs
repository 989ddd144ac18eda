//! What an operator deploys from, `deploy/multi-region`: each file is accepted by the program that reads it.

mod chart;
mod collector;
mod edge_rules;
mod inventory;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use yima_harness::CertificateFiles;

fn multi_region() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/multi-region")).to_owned()
}

/// Runs a command, which must succeed, and returns what it prints, both streams.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?} ({}):\n{printed}", output.status);
    printed
}

/// HAProxy accepts a folder's haproxy.cfg and nodes.cfg, without a warning.
#[track_caller]
fn assert_haproxy_accepts(directory: &Path) {
    let certificate = CertificateFiles::make(directory, 2099);
    fs::copy(&certificate.key, format!("{}.key", certificate.cert.display())).expect("a file");
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-c", "-f"]).arg(directory.join("haproxy.cfg")).arg("-f").arg(directory.join("nodes.cfg"));
    command.env("EDGE_CERTIFICATE", &certificate.cert).env("EDGE_AGENCIES", "agencies.test");
    for (variable, port) in [("EDGE_HTTP", 80), ("EDGE_HTTPS", 443), ("EDGE_ADMIN", 8404)] {
        command.env(variable, format!("127.0.0.1:{port}"));
    }
    let printed = output(&mut command);
    assert_eq!(printed.trim(), "Configuration file is valid");
}
