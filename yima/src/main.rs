//! yima: the one binary.

mod backup;
mod config;
mod demo;
#[cfg(test)]
mod documents;
mod error;
mod keys;
mod maintenance;
mod migrate;
mod serve;
mod store;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::fs::Mode;

use config::Role;
use error::CommandError;
use migrate::Replication;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Shows and checks health codes. Without a command: everything in one process, with a demo population.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Where keys and the embedded store are.
    #[arg(long, global = true, env = "YIMA_DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Settings (TOML); the environment goes over it: `YIMA_<SECTION>__<KEY>`.
    #[arg(long, global = true, env = "YIMA_CONFIG")]
    config: Option<PathBuf>,
    /// Synthetic people to load into an empty store, when everything runs in one process [default: 100000; 10000 with --store cql, but 0
    /// there when identity_provider.keys_file is set].
    #[arg(long)]
    population: Option<u64>,
    /// The engine behind everything [default: embedded; cql for services apart].
    #[arg(long, global = true, value_enum)]
    store: Option<Engine>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// fjall tables in the data directory, of one process.
    Embedded,
    /// ScyllaDB or Apache Cassandra (settings: section store.cql).
    Cql,
}

#[derive(Subcommand)]
enum Command {
    /// Run the read service apart, on the CQL store.
    ReadApi,
    /// Run the writer apart, on the CQL store.
    Writer,
    /// Make the keys, keyspaces and tables of the CQL store that are missing, and register the region.
    Migrate {
        /// Replicas of the keyspace of all regions, such as `dc1=3,dc2=3` [default: 3 in each datacenter, or as many as it has nodes].
        #[arg(long)]
        replication: Option<Replication>,
    },
    /// Find and mend what drifted apart: events that a region lacks, views that are not the fold of their events.
    Reconcile(maintenance::Reconcile),
    /// Make this region's keyspace again from events alone. Stop its writers first.
    Rebuild(maintenance::Rebuild),
    /// Write everything of the data directory, keys too, to one file; yima may run meanwhile. Embedded store.
    Backup {
        /// A file that does not exist yet; `-`: standard output. Keep it secret: it has every key in it.
        file: PathBuf,
    },
    /// Make a data directory from a backup. Embedded store.
    Restore {
        /// What `yima backup` wrote; `-`: standard input.
        file: PathBuf,
    },
    /// Print an identity token (JWT) of the demo identity provider.
    Token {
        #[command(subcommand)]
        whose: tokens::Whose,
    },
    /// Print sealed session tokens of the first demo citizens, one a line.
    Sessions {
        /// How many.
        #[arg(long)]
        count: u64,
    },
}

fn main() -> ExitCode {
    // Views, events and keys are nobody else's on this machine, whoever starts it and however.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let Cli { command, options } = Cli::parse();
    let done = match command {
        None => serve::run(&options, Role::Everything),
        Some(Command::ReadApi) => serve::run(&options, Role::ReadApi),
        Some(Command::Writer) => serve::run(&options, Role::Writer),
        Some(Command::Migrate { replication }) => migrate::run(&options, replication).map(|()| 0),
        Some(Command::Reconcile(asked)) => maintenance::reconcile_all(&options, &asked).map(|()| 0),
        Some(Command::Rebuild(asked)) => maintenance::rebuild_region(&options, &asked).map(|()| 0),
        Some(Command::Backup { file }) => backup::backup(&options, &file).map(|()| 0),
        Some(Command::Restore { file }) => backup::restore(&options, &file).map(|()| 0),
        Some(Command::Token { whose }) => tokens::token(&options, &whose).map(|()| 0),
        Some(Command::Sessions { count }) => tokens::sessions(&options, count).map(|()| 0),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report(&failure),
    }
}

/// The exit code of a process that refused to start, as opposed to one that crashed.
const REFUSED: u8 = 3;

fn report(failure: &CommandError) -> ExitCode {
    eprintln!("yima: {failure}");
    ExitCode::from(REFUSED)
}
