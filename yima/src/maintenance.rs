//! `yima reconcile` and `yima rebuild`: what goes over everyone, on the CQL store.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use yima_schema::rules::Rules;
use yima_service::clock::now;
use yima_store::cql::{CqlOptions, CqlStore};
use yima_writer::Rate;
use yima_writer::rebuild::{self, rebuild};
use yima_writer::reconcile::{self, reconcile};

use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::keys::KeyDir;
use crate::{Engine, Options};

/// How long something may be on its way between regions.
const SETTLE: Duration = Duration::from_secs(2);
/// How often progress is printed: on a terminal, and where lines are kept.
const TELL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Subjects per second.
fn rate(text: &str) -> Result<Rate, String> {
    text.parse().map(Rate).map_err(|_| "expected subjects per second, from 1".into())
}

/// Options of `yima reconcile`.
#[derive(Args)]
pub struct Reconcile {
    /// Only count; change nothing.
    #[arg(long)]
    report: bool,
    /// Subjects per second [default: as fast as the store goes].
    #[arg(long, value_parser = rate)]
    rate: Option<Rate>,
    /// Begin anew, also if an earlier run was interrupted.
    #[arg(long)]
    restart: bool,
}

/// Options of `yima rebuild`.
#[derive(Args)]
pub struct Rebuild {
    /// Subjects per second [default: as fast as the store goes].
    #[arg(long, value_parser = rate)]
    rate: Option<Rate>,
}

/// Reconciles and prints what was found.
///
/// # Errors
/// Settings, keys, or the store's.
pub fn reconcile_all(options: &Options, asked: &Reconcile) -> Result<(), CommandError> {
    let (settings, rules) = settings(options)?;
    let how = reconcile::Options {
        report: asked.report,
        rate: asked.rate,
        restart: asked.restart,
        settle: SETTLE,
        clock: now,
    };
    let tell = Tell::default();
    let report = block_on(async {
        let store = CqlStore::open(settings).await?;
        let progress = |report: &reconcile::Report| tell.progress(|| reconciled(report));
        Ok(reconcile(&store, rules, how, progress).await?)
    })?;
    print(&reconciled(&report));
    Ok(())
}

/// Rebuilds the region and prints what was done.
///
/// # Errors
/// Settings, keys, or the store's.
pub fn rebuild_region(options: &Options, asked: &Rebuild) -> Result<(), CommandError> {
    let (settings, rules) = settings(options)?;
    let tell = Tell::default();
    let progress = |report: &rebuild::Report| tell.progress(|| rebuilt(report));
    let report = block_on(async { Ok(rebuild(&settings, rules, asked.rate, progress).await?) })?;
    print(&rebuilt(&report));
    Ok(())
}

fn settings(options: &Options) -> Result<(CqlOptions, Arc<Rules>), CommandError> {
    if matches!(options.store, Some(Engine::Embedded)) {
        return Err(CommandError::Usage("--store embedded: this is for cql".into()));
    }
    let config = Config::load(options.config.as_deref(), Role::Writer)?;
    let rules = Arc::new(config.rules()?);
    let pseudonym_fingerprint = KeyDir::of(&options.data_dir).pseudonyms()?.fingerprint();
    Ok((CqlOptions { pseudonym_fingerprint, ..config.cql()? }, rules))
}

fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| CommandError::Usage(format!("the runtime cannot start: {e}")))?.block_on(work)
}

fn reconciled(report: &reconcile::Report) -> String {
    let reconcile::Report { subjects, behind, fetched, sent, unreadable, part } = report;
    format!(
        "{:.1} % subjects={subjects} views_behind={behind} events_fetched={fetched} events_sent={sent} unreadable={unreadable}",
        part * 100.0
    )
}

fn rebuilt(report: &rebuild::Report) -> String {
    let rebuild::Report { subjects, unreadable, part } = report;
    format!("{:.1} % subjects={subjects} unreadable={unreadable}", part * 100.0)
}

/// Prints the result; nobody may be reading.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints progress, not more often than one wants to read it.
#[derive(Default)]
struct Tell(Mutex<Option<Instant>>);

impl Tell {
    fn progress(&self, line: impl Fn() -> String) {
        let every = if std::io::stderr().is_terminal() { TELL.0 } else { TELL.1 };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= every) {
            *last = Some(Instant::now());
            let _ = writeln!(std::io::stderr(), "{}", line());
        }
    }
}
