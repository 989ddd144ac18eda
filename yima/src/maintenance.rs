//! `yima reconcile` and `yima rebuild`: full scans over all subjects, on the CQL store.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use yima_schema::audit::OperatorAction;
use yima_schema::code::TokenKeys;
use yima_schema::rules::Rules;
use yima_service::clock::now;
use yima_store::AuditLog;
use yima_store::cql::{CqlOptions, CqlStore};
use yima_writer::rebuild::{self, rebuild};
use yima_writer::reconcile::{self, reconcile};

use crate::audit::record;
use crate::cli::{Engine, Options, Rebuild, Reconcile};
use crate::config::{Config, Role};
use crate::error::CommandError;

/// How long an event may be in transit between regions.
pub const SETTLE: Duration = Duration::from_secs(2);
/// Interval of progress lines on a terminal.
const TERMINAL_EVERY: Duration = Duration::from_secs(1);
/// Interval of progress lines in a file or journal.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Reconciles this region with the others and prints the counts.
///
/// # Errors
/// Settings, keys or the store.
pub fn reconcile_all(options: &Options, arguments: &Reconcile) -> Result<(), CommandError> {
    let (settings, rules, tokens) = settings(options)?;
    let how = reconcile::Options {
        report: arguments.report,
        rate: arguments.rate,
        without: arguments.without.clone(),
        restart: arguments.restart,
        settle: SETTLE,
        clock: now,
    };
    let printer = ProgressPrinter::default();
    let report = block_on(async {
        let store = CqlStore::open(settings).await?;
        if !arguments.report {
            store.audit(&record(OperatorAction::Reconcile)).await?;
        }
        let progress = |report: &reconcile::Report| printer.print(|| reconcile_line(report));
        Ok(reconcile(&store, rules, tokens, how, progress).await?)
    })?;
    print_result(&reconcile_line(&report));
    Ok(())
}

/// Rebuilds the region and prints the counts.
///
/// # Errors
/// Settings, keys or the store.
pub fn rebuild_region(options: &Options, arguments: &Rebuild) -> Result<(), CommandError> {
    let (settings, rules, tokens) = settings(options)?;
    let printer = ProgressPrinter::default();
    let progress = |report: &rebuild::Report| printer.print(|| rebuild_line(report));
    let report = block_on(async {
        let report = rebuild(&settings, rules, tokens, arguments.rate, progress).await?;
        CqlStore::open(settings).await?.audit(&record(OperatorAction::Rebuild)).await?;
        Ok(report)
    })?;
    print_result(&rebuild_line(&report));
    Ok(())
}

pub fn settings(options: &Options) -> Result<(CqlOptions, Arc<Rules>, Arc<TokenKeys>), CommandError> {
    if matches!(options.store, Some(Engine::Embedded)) {
        return Err(CommandError::Usage("--store embedded: this command is for the CQL store".into()));
    }
    let config = Config::load(options.config.as_deref(), Role::Writer)?;
    let rules = Arc::new(config.rules()?);
    let pseudonyms = config.keys(&options.data_dir).pseudonyms()?;
    let tokens = Arc::new(TokenKeys::new(&pseudonyms));
    Ok((CqlOptions { pseudonym_fingerprint: pseudonyms.fingerprint(), ..config.cql()? }, rules, tokens))
}

pub fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?.block_on(work)
}

pub fn reconcile_line(report: &reconcile::Report) -> String {
    let reconcile::Report { subjects, behind, fetched, sent, unreadable, part } = report;
    format!(
        "{:.1} % subjects={subjects} views_behind={behind} events_fetched={fetched} events_sent={sent} \
         unreadable={unreadable}",
        part * 100.0
    )
}

pub fn rebuild_line(report: &rebuild::Report) -> String {
    let rebuild::Report { subjects, unreadable, part } = report;
    format!("{:.1} % subjects={subjects} unreadable={unreadable}", part * 100.0)
}

/// Prints the result. A closed standard output is ignored.
fn print_result(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints progress to standard error, at most once per interval.
#[derive(Default)]
pub struct ProgressPrinter {
    printed_at: Mutex<Option<Instant>>,
}

impl ProgressPrinter {
    pub fn print(&self, line: impl Fn() -> String) {
        let every = if std::io::stderr().is_terminal() { TERMINAL_EVERY } else { LOG_EVERY };
        let mut printed_at = self.printed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if printed_at.is_none_or(|printed_at| printed_at.elapsed() >= every) {
            *printed_at = Some(Instant::now());
            let _ = writeln!(std::io::stderr(), "{}", line());
        }
    }
}
