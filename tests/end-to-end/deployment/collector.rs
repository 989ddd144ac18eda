//! The configuration of the OpenTelemetry Collector. The test needs a collector with the parts that it names, which
//! `tests/run` builds from their Go modules (`tests/deployment/collector`).

use std::process::Command;

use super::{multi_region, output};

#[test]
fn a_collector_accepts_its_configuration() {
    let mut command = Command::new("yima-test-collector");
    command.arg("validate").arg("--config").arg(multi_region().join("collector.yml"));
    command.env("COLLECTOR_LISTEN", "127.0.0.1:4318").env("TRACES_ENDPOINT", "http://127.0.0.1:14318");
    output(&mut command);
}
