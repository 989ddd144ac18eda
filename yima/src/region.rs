//! `yima region`: lists the regions, gives one up for good, or takes it back. Needs the database, and no service.

use std::io::Write;
use std::path::Path;

use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::time::Time;
use yima_service::clock::now;
use yima_store::AuditLog;
use yima_store::cql::{CqlStore, RegionStatus, RetirementState};
use yima_writer::rejoin::rejoin;
use yima_writer::retire::{Retired, retire};
use yima_writer::{rebuild, reconcile};

use crate::cli::{Options, RegionAction};
use crate::error::CommandError;
use crate::maintenance::{ProgressPrinter, SETTLE, block_on, rebuild_line, reconcile_line, settings};

/// The exit code of a list with a region that needs attention.
const ATTENTION: u8 = 1;
/// A region whose events of so long ago may be missing needs attention; alerts fire then too.
const MAX_LAG_S: u64 = 60;

/// Lists, retires or takes back; returns the exit code.
///
/// # Errors
/// Settings, keys or the store; a command line that does not name the region twice.
pub fn run(options: &Options, action: &RegionAction) -> Result<u8, CommandError> {
    match action {
        RegionAction::List => list(options),
        RegionAction::Retire { name, confirm, force } => {
            if confirm != name {
                return Err(CommandError::Usage(format!(
                    "--confirm: expected {name} once more; the region is given up for good"
                )));
            }
            retire_region(options, name, *force).map(|()| 0)
        }
        RegionAction::Rejoin { name, without } => rejoin_region(options, name, without).map(|()| 0),
    }
}

fn list(options: &Options) -> Result<u8, CommandError> {
    let (settings, ..) = settings(options)?;
    let regions = block_on(async { Ok(CqlStore::open(settings).await?.regions().await?) })?;
    let now = now();
    let header = ["REGION", "DATACENTER", "STATE", "NODES UP", "HEARD AT", "FOLLOWED TO", "LAG"].map(str::to_owned);
    let rows: Vec<[String; 7]> = [header].into_iter().chain(regions.iter().map(|region| cells(region, now))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    print(rows.iter().map(line))?;
    let wrong: Vec<String> = regions.iter().filter_map(|region| attention(region, now)).collect();
    for what in &wrong {
        // A closed standard error is ignored.
        let _ = writeln!(std::io::stderr(), "{what}");
    }
    Ok(if wrong.is_empty() { 0 } else { ATTENTION })
}

fn cells(region: &RegionStatus, now: Time) -> [String; 7] {
    let time = |at: Option<Time>| at.map_or_else(|| "unknown".to_owned(), |at| at.to_string());
    let state = match &region.retirement {
        _ if region.is_own => "this one".to_owned(),
        Some(retirement) => match retirement.state {
            RetirementState::Rejoined => "active".to_owned(),
            RetirementState::Retiring => format!("active, retirement begun {}", retirement.at),
            RetirementState::Retired => format!("retired since {}", retirement.at),
            RetirementState::Rejoining => format!("rejoining since {}", retirement.at),
        },
        None => "active".to_owned(),
    };
    let (up, all) = region.nodes;
    let is_followed = !region.is_own;
    let lag = region.followed_to.filter(|_| !region.is_out_of_service());
    [
        region.name.clone(),
        region.datacenter.clone(),
        state,
        format!("{up}/{all}"),
        time(region.heard_at),
        if is_followed { time(region.followed_to) } else { "-".to_owned() },
        lag.map_or_else(|| "-".to_owned(), |at| format!("{} s", now.since(at).as_secs())),
    ]
}

/// What is wrong with a region, if anything.
fn attention(region: &RegionStatus, now: Time) -> Option<String> {
    let RegionStatus { name, nodes: (up, all), .. } = region;
    if region.is_own {
        return None;
    }
    if region.is_out_of_service() {
        return (*up > 0).then(|| {
            format!(
                "{name} is retired, and {up} of {all} nodes of its datacenter are up: `yima region rejoin {name}` \
                 there, or switch them off"
            )
        });
    }
    if region.retirement.as_ref().is_some_and(|row| row.state == RetirementState::Retiring) {
        return Some(format!("the retirement of {name} has not finished: run it again"));
    }
    match region.followed_to {
        _ if *up == 0 => Some(format!("no node of {name} answers: cut or gone? See docs/operations/regions.md")),
        None => Some(format!("it is unknown up to which moment {name} was followed")),
        Some(at) if now.since(at).as_secs() > MAX_LAG_S => {
            Some(format!("events of {name} since {at} may be missing here"))
        }
        Some(_) => None,
    }
}

fn retire_region(options: &Options, name: &str, force: bool) -> Result<(), CommandError> {
    let (settings, rules, tokens) = settings(options)?;
    let Retired { retirement, replicas_removed } = block_on(async {
        let store = CqlStore::open(settings.clone()).await?;
        let retired = retire(&store, rules, tokens, name, force).await?;
        let entry =
            AuditEntry::RegionRetired { region: name.to_owned(), events_from: retired.retirement.followed_to, force };
        store.audit(&AuditRecord { at: now(), entry }).await?;
        Ok(retired)
    })?;
    let from = match retirement.followed_to {
        Some(at) => {
            format!("{name} was followed to {at}: agencies send again what it accepted at that moment or later")
        }
        None => {
            format!("it is unknown up to which moment {name} was followed: agencies send again all that it accepted")
        }
    };
    let mut lines = vec![
        format!("{name} is retired since {}", retirement.at),
        from,
        "an event that is here already is answered `duplicate`; an agency finds them by the times of its own \
         acknowledgements from that region"
            .to_owned(),
    ];
    if !replicas_removed {
        lines.push(format!(
            "the replicas of the keyspace {} are not given by numbers: take the datacenter of {name} out with ALTER \
             KEYSPACE",
            settings.keyspace
        ));
    }
    print(lines)
}

fn rejoin_region(options: &Options, name: &str, without: &[String]) -> Result<(), CommandError> {
    let (settings, rules, tokens) = settings(options)?;
    if settings.region != name {
        return Err(CommandError::Usage(format!(
            "this is the region {}: run `yima region rejoin {name}` on a machine of {name}",
            settings.region
        )));
    }
    let how = reconcile::Options {
        report: false,
        rate: None,
        without: without.to_vec(),
        restart: false,
        settle: SETTLE,
        clock: now,
    };
    let printer = ProgressPrinter::default();
    let rejoined = block_on(async {
        let on_rebuild = |report: &rebuild::Report| printer.print(|| format!("rebuild {}", rebuild_line(report)));
        let on_reconcile =
            |report: &reconcile::Report| printer.print(|| format!("reconcile {}", reconcile_line(report)));
        let rejoined = rejoin(&settings, rules, tokens, how, on_rebuild, on_reconcile).await?;
        if rejoined.is_some() {
            let entry = AuditEntry::RegionRejoined { region: name.to_owned() };
            CqlStore::open(settings).await?.audit(&AuditRecord { at: now(), entry }).await?;
        }
        Ok(rejoined)
    })?;
    let Some(rejoined) = rejoined else {
        return print([format!("{name} is not retired: nothing to do")]);
    };
    print([
        reconcile_line(&rejoined.reconciled),
        format!("{name} is active again: start its services anew, also those that run"),
        "then run `yima reconcile` in each other region: until then answers there may not claim the events of before"
            .to_owned(),
    ])
}

fn print(lines: impl IntoIterator<Item = String>) -> Result<(), CommandError> {
    let written = lines.into_iter().try_for_each(|line| writeln!(std::io::stdout(), "{line}"));
    written.map_err(|e| CommandError::file(Path::new("standard output"), &e))
}
