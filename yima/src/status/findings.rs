//! What is wrong with a node, in plain words, by its own metrics: the conditions of `deploy/multi-region/alerts.yml` that
//! one reading can tell.

use serde::{Deserialize, Serialize};
use yima_service::levels::Level;

use super::samples::Samples;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Somebody has to look at it, not at night.
    Warning,
    /// Somebody has to look at it now.
    Critical,
}

/// Something that an operator should know. No persons.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A sentence without its full stop.
    pub text: String,
    /// The alert of the same cause, whose section of the runbook says what to do.
    pub alert: Option<String>,
}

impl Finding {
    /// A finding with its alert, if it has one.
    pub fn new(severity: Severity, text: impl Into<String>, alert: Option<&str>) -> Self {
        Self { severity, text: text.into(), alert: alert.map(str::to_owned) }
    }
}

/// A reading: the value of a sample and of its label, and the time in seconds since the epoch and since the start.
pub(super) struct Reading<'a> {
    label: &'a str,
    value: f64,
    now: f64,
    up: f64,
}

/// What a value of a metric means.
pub(super) struct Rule {
    pub(super) metric: &'static str,
    is_met: fn(&Reading<'_>) -> bool,
    severity: Severity,
    text: fn(&Reading<'_>) -> String,
    pub(super) alert: Option<&'static str>,
}

const fn rule(
    metric: &'static str,
    is_met: fn(&Reading<'_>) -> bool,
    severity: Severity,
    text: fn(&Reading<'_>) -> String,
    alert: Option<&'static str>,
) -> Rule {
    Rule { metric, is_met, severity, text, alert }
}

const DAY: f64 = 86_400.0;

/// Every rule on one metric.
pub(super) const RULES: &[Rule] = &[
    rule(
        "cache_poll_lag_seconds",
        |read| read.value > 10.0,
        Severity::Critical,
        |read| format!("changes of the store are {} behind: answers are marked as not live", span(read.value)),
        Some("YimaFeedBehind"),
    ),
    rule(
        "cache_region_lag_seconds",
        |read| read.value > 60.0,
        Severity::Critical,
        |read| {
            format!("region {} was last heard {} ago: its newest events may be missing", read.label, span(read.value))
        },
        Some("YimaRegionBehind"),
    ),
    rule(
        "cache_breaker_state",
        |read| read.value > 0.0,
        Severity::Critical,
        |_| "the store does not answer: people whom memory and disk lack are refused".to_owned(),
        Some("YimaStoreFails"),
    ),
    rule(
        "store_takes_writes",
        |read| read.value == 0.0,
        Severity::Critical,
        |_| "the store takes no events since a write failed: check the disk, then restart".to_owned(),
        Some("YimaEventsNotTaken"),
    ),
    rule(
        "data_dir_space_low",
        |read| read.value > 0.0,
        Severity::Critical,
        |_| "the disk is nearly full: no events are accepted".to_owned(),
        Some("YimaNoRoom"),
    ),
    rule(
        "cache_audit_findings_total",
        |read| read.value > 0.0,
        Severity::Critical,
        |read| format!("the audit of the disk tier found {} views older than the store's", read.value),
        Some("YimaAuditFindings"),
    ),
    rule(
        "audit_inconsistencies_total",
        |read| read.value > 0.0,
        Severity::Critical,
        |read| format!("the auditor saw {} changes missing in answers that claimed them", read.value),
        Some("YimaInconsistency"),
    ),
    rule(
        "audit_source_up",
        |read| read.value == 0.0,
        Severity::Warning,
        |read| format!("the auditor learns of no {}", read.label),
        Some("YimaAuditorBlind"),
    ),
    rule(
        "cache_disk_errors_total",
        |read| read.value > 0.0,
        Severity::Warning,
        |read| format!("{} reads of the disk tier failed since the start", read.value),
        None,
    ),
    rule(
        "cache_tuning_file_accepted",
        |read| read.value == 0.0,
        Severity::Warning,
        |_| "the tuning file was refused: the values before it stay".to_owned(),
        None,
    ),
    rule(
        "read_api_file_accepted",
        |read| read.value == 0.0,
        Severity::Warning,
        |read| format!("the file {} was refused: its content before stays", read.label),
        None,
    ),
    rule(
        "writer_file_accepted",
        |read| read.value == 0.0,
        Severity::Warning,
        |read| format!("the file {} was refused: its content before stays", read.label),
        None,
    ),
    rule(
        "keys_file_accepted",
        |read| read.value == 0.0,
        Severity::Critical,
        |_| "keys.json was refused: the keys before it stay".to_owned(),
        Some("YimaKeysUnreadable"),
    ),
    rule(
        "keys_unreadable",
        |read| read.value > 0.0,
        Severity::Critical,
        |read| format!("{} keys are missing or cannot be read here", read.value),
        Some("YimaKeysUnreadable"),
    ),
    rule(
        "key_active_since_seconds",
        |read| read.value > 0.0 && read.now - read.value > 400.0 * DAY,
        Severity::Warning,
        |read| format!("the {} key is {} old: rotate it", read.label, span(read.now - read.value)),
        Some("YimaKeyOld"),
    ),
    rule(
        "tls_certificate_expires_seconds",
        |read| read.value < DAY,
        Severity::Critical,
        |read| match read.value {
            rest if rest < 0.0 => format!("the certificate of {} ended {} ago", read.label, span(-rest)),
            rest => format!("the certificate of {} ends in {}", read.label, span(rest)),
        },
        Some("YimaCertificateEndsToday"),
    ),
    rule(
        "tls_certificate_expires_seconds",
        |read| (DAY..7.0 * DAY).contains(&read.value),
        Severity::Warning,
        |read| format!("the certificate of {} ends in {}", read.label, span(read.value)),
        Some("YimaCertificateExpires"),
    ),
    rule(
        "backup_as_of_seconds",
        |read| backup_age(read) > 7_200.0,
        Severity::Warning,
        |read| match read.value {
            0.0 => format!("no backup in the {} since the start", span(read.up)),
            _ => format!("the last backup is {} old", span(backup_age(read))),
        },
        Some("YimaBackupOld"),
    ),
    rule(
        "offline_bundle_age_seconds",
        // Infinite without a bundle: the first is made just after the start.
        |read| read.value > 1_800.0 && (read.value.is_finite() || read.up > 120.0),
        Severity::Critical,
        |read| format!("checkpoints without a network judge by a bundle of {} ago", span(read.value)),
        Some("YimaOfflineBundleOld"),
    ),
    rule("level", |read| read.value >= 5.0, Severity::Critical, left_out, Some("YimaLevelHigh")),
    rule("level", |read| (1.0..5.0).contains(&read.value), Severity::Warning, left_out, None),
    rule("level_by_hand", |read| read.value > 0.0, Severity::Note, |_| "the level is set by hand".to_owned(), None),
    rule(
        "clock_offset_seconds",
        |read| read.value.abs() > 2.0,
        Severity::Critical,
        |read| format!("the clock was set by {} since the start", span(read.value.abs())),
        Some("YimaClockOff"),
    ),
    rule(
        "refold_done_ratio",
        |read| read.value < 1.0,
        Severity::Note,
        |read| format!("views are derived again after a change of rules or program: {:.0} %", read.value * 100.0),
        None,
    ),
];

fn left_out(read: &Reading<'_>) -> String {
    // A gauge of small whole numbers.
    let level = Level::ALL.into_iter().find(|level| f64::from(level.number()) == read.value).unwrap_or_default();
    format!("busy, level {}: {}", level.number(), level.name())
}

/// Of the last backup, or the time since the start.
fn backup_age(read: &Reading<'_>) -> f64 {
    if read.value > 0.0 { read.now - read.value } else { read.up }
}

/// What the metrics say at `now`, in seconds since the epoch.
pub(super) fn by_metrics(samples: &Samples<'_>, now: f64) -> Vec<Finding> {
    let up = now - samples.value("process_start_time_seconds").unwrap_or(now);
    let mut findings = Vec::new();
    for Rule { metric, is_met, severity, text, alert } in RULES {
        for (label, value) in samples.of(metric) {
            let reading = Reading { label, value, now, up };
            if is_met(&reading) {
                findings.push(Finding::new(*severity, text(&reading), *alert));
            }
        }
    }
    let part = |of: &str, whole: &str| Some(samples.value(of)? / samples.value(whole)?);
    if let Some(free) = part("data_dir_free_bytes", "data_dir_total_bytes").filter(|free| *free < 0.2) {
        let text = format!("{:.0} % of the disk is free", free * 100.0);
        findings.push(Finding::new(Severity::Warning, text, Some("YimaDiskNearlyFull")));
    }
    if let Some(open) = part("process_open_fds", "process_max_fds").filter(|open| *open > 0.8) {
        let text = format!("{:.0} % of the files that may be open are", open * 100.0);
        findings.push(Finding::new(Severity::Warning, text, None));
    }
    findings
}

/// A time span in its largest usual unit.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s.is_infinite() => "an unknown time".to_owned(),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 2.0 * DAY => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} d", s / DAY),
    }
}
