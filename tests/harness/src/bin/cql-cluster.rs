//! A CQL cluster by hand, for trying things: `tests/cql-cluster` installs what it takes and runs this.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use yima_harness::ClusterOptions;
use yima_harness::cluster::{down, status, up};

/// A line on standard output.
macro_rules! say {
    ($($words:tt)*) => { writeln!(std::io::stdout(), $($words)*).expect("standard output is open") };
}

/// Apache Cassandra on 127.0.0.1, 127.0.0.2, …, port 9042; datacenters are named dc1, dc2, …
#[derive(Parser)]
#[command(name = "tests/cql-cluster", disable_help_subcommand = true)]
enum Arguments {
    /// Start nodes, which go on until `down`.
    Up {
        /// In each region.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// Each is a datacenter of its own.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=24))]
        regions: u8,
    },
    /// End all nodes and delete their data.
    Down,
    /// List the nodes that run.
    Status,
    /// Fetch Cassandra, if it is not there.
    Fetch,
}

fn main() -> ExitCode {
    match Arguments::parse() {
        Arguments::Up { nodes, regions } => {
            let options = ClusterOptions::default().nodes(vec![nodes.into(); regions.into()]);
            let Some(lines) = up(options) else {
                say!("it is up already; `tests/cql-cluster down` ends it:");
                list(&status());
                return ExitCode::FAILURE;
            };
            list(&lines);
        }
        Arguments::Down => say!("ended {} nodes", down()),
        Arguments::Status => {
            let lines = status();
            list(&lines);
            if lines.is_empty() {
                say!("no node runs");
                return ExitCode::FAILURE;
            }
        }
        Arguments::Fetch => {
            yima_harness::cluster::fetch_cassandra();
        }
    }
    ExitCode::SUCCESS
}

fn list(lines: &[String]) {
    for line in lines {
        say!("{line}");
    }
}
