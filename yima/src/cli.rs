//! The command line: commands, their options and how their values are parsed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use yima_schema::bundle::duration;
use yima_schema::dead_letter::DeadLetterId;
use yima_writer::Rate;

use crate::keys::KeyKind;

/// Shows and checks health codes. Without a command: everything in one process, with a demo population.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub options: Options,
}

// Options that several commands share. No doc comment: clap would print it as the program's description.
#[derive(Args)]
pub struct Options {
    /// Directory of the keys and the embedded store.
    #[arg(long, global = true, env = "YIMA_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// Settings file (TOML); environment variables override it: `YIMA_<SECTION>__<KEY>`.
    #[arg(long, global = true, env = "YIMA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Synthetic people to seed an empty store with, when everything runs in one process [default: 100000; 10000 with
    /// --store cql, but 0 there when identity_provider.keys_file is set].
    #[arg(long)]
    pub population: Option<u64>,
    /// The store's engine [default: embedded; cql for a service apart].
    #[arg(long, global = true, value_enum)]
    pub store: Option<Engine>,
}

/// The engine of the store.
#[derive(Clone, Copy, ValueEnum)]
pub enum Engine {
    /// fjall tables in the data directory, for one process.
    Embedded,
    /// ScyllaDB or Apache Cassandra (settings: section store.cql).
    Cql,
}

/// What runs in a process.
#[derive(Clone, Copy, ValueEnum)]
pub enum Service {
    /// `yima` without a command.
    Everything,
    /// `yima read-api`.
    ReadApi,
    /// `yima writer`.
    Writer,
}

/// How codes stand on paper.
#[derive(Clone, Copy, ValueEnum)]
pub enum PaperLayout {
    /// One on each page.
    A4,
    /// Ten on each page, as large as a bank card.
    Card,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the read service apart, on the CQL store.
    ReadApi,
    /// Run the writer apart, on the CQL store.
    Writer,
    /// Create the missing keys, keyspaces and tables of the CQL store, and register the region.
    Migrate {
        /// Replicas of the keyspace that all regions share, such as `dc1=3,dc2=3` [default: 3 in each datacenter, or as
        /// many as it has nodes].
        #[arg(long)]
        replication: Option<Replication>,
        /// Without the replicas of the other regions, which are down. Two regions that are cut from each other must not
        /// both do so.
        #[arg(long)]
        alone: bool,
    },
    /// List the regions, give one up that is lost for good, or take it back. Needs the CQL store, and no service.
    Region {
        #[command(subcommand)]
        action: RegionAction,
    },
    /// Find and repair divergence: events that a region lacks, views that are not the fold of their events.
    Reconcile(Reconcile),
    /// Rebuild this region's keyspace from events alone. Stop its writers first.
    Rebuild(Rebuild),
    /// List or replay dead letters: results that are or may be positive and were not understood. The writer of the data
    /// directory has to run.
    DeadLetters {
        #[command(subcommand)]
        action: DeadLetterAction,
    },
    /// Let checkpoints without a network accept codes that have expired, for a limited time. The writer of the data
    /// directory has to run.
    Emergency {
        #[command(subcommand)]
        action: EmergencyAction,
    },
    /// Set or print the level of degradation of a node that serves reads: what it leaves out. It has to run.
    Level {
        #[command(subcommand)]
        action: LevelAction,
    },
    /// Print the state of all nodes in plain words. Exit code: 0, 1 with warnings, 2 if something is critical.
    Status(Status),
    /// Check whether this machine could serve, before it does: settings, files, keys, ports, disk, certificates, database,
    /// clocks. Changes nothing. Exit code: 0, 1 with warnings, 2 if the service would not start or not work.
    Doctor {
        /// What will run here.
        #[arg(value_enum, default_value = "everything")]
        service: Service,
    },
    /// Write everything in the data directory, including the keys, to one encrypted file; yima may keep running.
    /// Embedded store.
    Backup {
        /// A file that does not exist yet; `-`: standard output.
        file: PathBuf,
        #[command(flatten)]
        secret: BackupSecret,
    },
    /// Create a data directory from a backup. Embedded store.
    Restore {
        /// A file written by `yima backup`; `-`: standard input.
        file: PathBuf,
        #[command(flatten)]
        secret: BackupSecret,
    },
    /// List, rotate or revoke the keys of codes and sessions. A running service follows within seconds.
    Keys {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Write a page with codes to be printed, from the keys alone: no service has to run. For people without phones, and
    /// for the day on which everything else is down.
    Paper {
        /// The people: CSV in UTF-8 with the columns document_type, document_number and, if known, name.
        #[arg(long)]
        from: PathBuf,
        /// The page, an HTML file that does not exist yet; print it from a browser.
        #[arg(long)]
        out: PathBuf,
        /// One person a page, or cards for a wallet.
        #[arg(long, value_enum, default_value = "a4")]
        layout: PaperLayout,
    },
    /// Send requests to a running service as a mix file says, and report what it answered, how soon, and how many people
    /// it would serve. Uploads are events about demo people: never aim it at a service with real ones.
    Load(Load),
    /// Ask read nodes as phones do for what was just acknowledged, and export how soon they show it, until it is stopped.
    /// Settings: section audit. The log of operators' actions is another thing: GET /audit of a service's admin port.
    Audit,
    /// Print an identity token (JWT) of the demo identity provider.
    Token {
        #[command(subcommand)]
        holder: TokenHolder,
    },
    /// Print sealed session tokens of the first demo citizens, one per line.
    Sessions {
        /// Number of tokens.
        #[arg(long)]
        count: u64,
    },
}

// What encrypts a backup and authenticates it. No doc comment: clap would print it as the command's description.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct BackupSecret {
    /// File with secret keys as `age-keygen` makes them (AGE-SECRET-KEY-1…).
    #[arg(long)]
    pub key_file: Option<PathBuf>,
    /// File with a passphrase of at least 16 characters.
    #[arg(long)]
    pub passphrase_file: Option<PathBuf>,
}

/// Options of `yima reconcile`.
#[derive(Args)]
pub struct Reconcile {
    /// Only count; change nothing.
    #[arg(long)]
    pub report: bool,
    /// Subjects per second [default: as fast as the store allows].
    #[arg(long, value_parser = rate)]
    pub rate: Option<Rate>,
    /// Begin anew, even if an earlier run was interrupted.
    #[arg(long)]
    pub restart: bool,
    /// Leave out a region that is down; may be repeated. Run it again with that region later.
    #[arg(long, value_name = "REGION")]
    pub without: Vec<String>,
}

/// What to do about regions.
#[derive(Subcommand)]
pub enum RegionAction {
    /// Print one a line: state, nodes that answer, newest heartbeat, up to which moment it is followed here. Exit code 1:
    /// a region needs attention, and standard error says why.
    List,
    /// Give up another region for good: it is fenced, and nobody waits for it any more. Prints from which moment agencies
    /// have to send events again. Safe to repeat.
    Retire {
        /// The region that is lost.
        name: String,
        /// The same once more.
        #[arg(long, value_name = "NAME")]
        confirm: String,
        /// Also if its nodes answer or its heartbeats arrive: whoever is connected to it is refused from now on.
        #[arg(long)]
        force: bool,
    },
    /// Bring this region back after it was retired: replicas, views, and the events of either side. Safe to repeat.
    Rejoin {
        /// This region.
        name: String,
        /// Leave out another region, which is down; may be repeated.
        #[arg(long, value_name = "REGION")]
        without: Vec<String>,
    },
}

/// Options of `yima rebuild`.
#[derive(Args)]
pub struct Rebuild {
    /// Subjects per second [default: as fast as the store allows].
    #[arg(long, value_parser = rate)]
    pub rate: Option<Rate>,
}

/// Options of `yima status`.
#[derive(Args)]
pub struct Status {
    /// Admin port of a node, `host:port`; may be given several times [default: setting admin.nodes, or else this
    /// machine's node].
    #[arg(long = "node")]
    pub nodes: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `yima load`.
#[derive(Args)]
pub struct Load {
    /// The mix file (TOML).
    pub mix: PathBuf,
    /// Threads that send; each has its share of the connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// Repeats the arrivals of the run that printed it.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Also write the report as JSON to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What to do with dead letters.
#[derive(Subcommand)]
pub enum DeadLetterAction {
    /// Print one a line: id, time of receipt, agency, code of the test, reason. No persons and no results.
    List,
    /// Read them again by the codes in force now; those that are taken are removed. Replaying twice changes nothing.
    Replay {
        /// The letter's id [default: all of them].
        id: Option<DeadLetterId>,
    },
}

/// What to do about the acceptance of expired codes.
#[derive(Subcommand)]
pub enum EmergencyAction {
    /// Start it, or replace the one in force. The next release of the offline bundle, within a second, has it.
    Start {
        /// How long it lasts, at most 72h: `6h`, `90m`.
        #[arg(long = "for", value_parser = duration)]
        length: Duration,
        /// How long ago a code may have expired, at most 24h.
        #[arg(long, value_parser = duration)]
        expired: Duration,
        /// Why, for the audit log and the staff of checkpoints; up to 200 characters.
        #[arg(long)]
        why: String,
    },
    /// End it.
    End,
    /// Print whether one is in force, and of when the newest bundle is.
    Status,
}

/// What to do about the level of degradation.
#[derive(Subcommand)]
pub enum LevelAction {
    /// Set it for a limited time, whatever is measured.
    Set {
        /// 0 (nothing is left out) to 8 (scans only).
        level: u8,
        /// For how long, at most 72h: `2h`, `90m`.
        #[arg(long = "for", value_parser = duration)]
        length: Duration,
        /// Why, for the audit log; up to 200 characters.
        #[arg(long)]
        why: String,
    },
    /// Let it follow utilization and queueing delay again.
    Automatic,
    /// Print it, and what was measured.
    Status,
}

/// What to do with the keys of the data directory.
#[derive(Subcommand)]
pub enum KeyAction {
    /// Print one a line: kind, id, state, times. No secrets.
    List,
    /// Make a key that is published now and becomes active later. The key before is kept until nothing that it made is
    /// valid.
    Rotate {
        #[arg(value_enum)]
        kind: KeyKind,
        /// Seconds until it becomes active: until then every node has to have its files, and every scanner the issuers'
        /// keys [default: 90000 for issuer, 3600 for seal and session].
        #[arg(long, value_parser = clap::value_parser!(u32).range(10..))]
        publish_s: Option<u32>,
    },
    /// Refuse at once what a lost key has made, and replace it: codes have to be refreshed, sessions begun anew.
    Revoke {
        #[arg(value_enum)]
        kind: KeyKind,
        /// Its id, as `yima keys list` prints it.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

/// The holder of an identity token.
#[derive(Subcommand)]
pub enum TokenHolder {
    /// A citizen.
    Citizen {
        /// The number of an identity document; a type other than `cn_resident_id` precedes it with a colon, such as
        /// `passport:E12345678` or `local:hospital-1/42`.
        document: String,
    },
    /// The staff of a checkpoint.
    Checkpoint {
        /// The checkpoint's name.
        #[arg(long, default_value = "demo-gate")]
        name: String,
        /// The checkpoint's policy: maximum age of a negative nucleic-acid test, in hours.
        #[arg(long)]
        require_test_within_h: Option<u16>,
        /// Allow looking people up by identity document too.
        #[arg(long)]
        look_up_documents: bool,
    },
    /// An agency.
    Agency {
        /// The agency's name.
        name: String,
    },
}

/// Replicas by datacenter, written `dc1=3,dc2=3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replication(pub BTreeMap<String, usize>);

impl FromStr for Replication {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut replicas = BTreeMap::new();
        for part in text.split(',') {
            let pair = part.split_once('=').and_then(|(name, count)| Some((name.trim(), count.trim().parse().ok()?)));
            let (name, count) = pair.filter(|(name, count)| !name.is_empty() && *count > 0).ok_or_else(|| {
                format!("expected datacenters with at least 1 replica each, such as dc1=3,dc2=3, not {part:?}")
            })?;
            if replicas.insert(name.to_owned(), count).is_some() {
                return Err(format!("expected each datacenter once, but {name} is there twice"));
            }
        }
        Ok(Self(replicas))
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    text.parse().map(Rate).map_err(|_| "expected subjects per second, from 1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn replication_names_each_datacenter_once_with_at_least_one_replica() {
        let parsed: Replication = "dc1=3, dc2=2".parse().unwrap();
        assert_eq!(parsed.0, BTreeMap::from([("dc1".to_owned(), 3), ("dc2".to_owned(), 2)]));
        for wrong in ["", "dc1", "dc1=", "dc1=0", "=3", "dc1=3,", "dc1=3,dc1=2", "dc1=-1"] {
            assert!(wrong.parse::<Replication>().is_err(), "{wrong}");
        }
    }
}
