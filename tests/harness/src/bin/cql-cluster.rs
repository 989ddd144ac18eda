//! A CQL cluster to try things on: `tests/cql-cluster` installs the missing tools and runs this program.

use std::process::ExitCode;

use clap::Parser;
use yima_harness::cluster::{down, status, up};
use yima_harness::{ClusterOptions, report};

/// Apache Cassandra on 127.0.0.1, 127.0.0.2, …, port 9042; datacenters are named dc1, dc2, …
#[derive(Parser)]
#[command(name = "tests/cql-cluster", disable_help_subcommand = true)]
enum Arguments {
    /// Start nodes, which run until `down`.
    Up {
        /// Nodes of each region.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// Regions, each a datacenter of its own.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=24))]
        regions: u8,
    },
    /// End all nodes and delete their data.
    Down,
    /// List the running nodes.
    Status,
    /// Fetch Cassandra, unless it is there.
    Fetch,
}

fn main() -> ExitCode {
    match Arguments::parse() {
        Arguments::Up { nodes, regions } => {
            let options = ClusterOptions::default().nodes(vec![nodes.into(); regions.into()]);
            let Some(lines) = up(options) else {
                report!("the cluster is up already; `tests/cql-cluster down` ends it:");
                list(&status());
                return ExitCode::FAILURE;
            };
            list(&lines);
        }
        Arguments::Down => report!("ended {} nodes", down()),
        Arguments::Status => {
            let lines = status();
            list(&lines);
            if lines.is_empty() {
                report!("no node is running");
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
        report!("{line}");
    }
}
