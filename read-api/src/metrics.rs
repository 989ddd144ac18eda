//! The metrics that this crate emits, described in one place.

use yima_service::telemetry::MetricDescription;
use yima_service::telemetry::MetricKind::{self, Counter, Gauge, Histogram};

/// Every metric of this crate.
pub const METRICS: &[MetricDescription] = &[
    metric(
        "cache_requests_total",
        Counter,
        &["module", "outcome"],
        "Lookups by outcome; the outcomes add up to all lookups.",
    ),
    metric(
        "codes_copied_total",
        Counter,
        &["kind"],
        "Genuine codes that more than one holder showed: `phone`, one token with two proofs for one moment; `paper`, a \
         print that one node scanned ten times in a minute.",
    ),
    metric(
        "cache_loads_total",
        Counter,
        &["module", "outcome"],
        "Loads that are nobody's answer: `revalidated`, in the background of a stale one; `abandoned`, not made, or given \
         up at the deadline, because the requests had ended.",
    ),
    metric("cache_loads", Gauge, &[], "Loads under way."),
    metric(
        "cache_tier_duration_seconds",
        Histogram,
        &["tier"],
        "Time of one lookup in `memory` (one of 64 is timed), of one read of the `disk` tier with the wait for a thread, \
         of one call of the `store` for a load with the wait for its turn. A read or call may be for many subjects.",
    ),
    metric(
        "cache_memory_entries",
        Gauge,
        &["module"],
        "Entries in memory: views, negative entries, signed tokens (`code`), opened sessions (`session`).",
    ),
    metric("cache_ledger_entries", Gauge, &[], "Subjects whose newest known version the ledger remembers."),
    metric(
        "cache_generation",
        Gauge,
        &[],
        "Number of the current generation; it rises when a change may have been missed.",
    ),
    metric(
        "cache_poll_lag_seconds",
        Gauge,
        &[],
        "Time since the last complete poll of the feed began; beyond max_lag_ms answers are stale.",
    ),
    metric(
        "feed_hint_writers",
        Gauge,
        &[],
        "Writers of `read_api.writers` to which this node listens for hints; the changes of others show by polls.",
    ),
    metric("feed_hints_total", Counter, &[], "Hints of writers that were passed to the follower."),
    metric(
        "offline_bundle_age_seconds",
        Gauge,
        &[],
        "Time since the release of the offline bundle that this node serves; infinite without one.",
    ),
    metric(
        "cache_region_lag_seconds",
        Gauge,
        &["region"],
        "Read nodes on CQL: time since the moment up to which another region is in every answer; infinite if unknown.",
    ),
    metric(
        "cache_breaker_state",
        Gauge,
        &[],
        "Circuit breaker of the store: 0 closed, 1 half-open (probes), 2 open (loads are refused).",
    ),
    metric(
        "cache_tuning_file_accepted",
        Gauge,
        &[],
        "0 after the tuning file was refused: the previous cache settings stay in force.",
    ),
    metric("cache_disk_up", Gauge, &[], "1 while the disk tier is used."),
    metric("cache_disk_entries", Gauge, &[], "Subjects in the disk tier, about."),
    metric("cache_disk_bytes", Gauge, &[], "Size of the disk tier in bytes."),
    metric("cache_disk_errors_total", Counter, &[], "Reads of the disk tier that failed."),
    metric(
        "cache_audit_findings_total",
        Counter,
        &[],
        "Views that the audit found older than the store's without a change in the feed; should stay 0.",
    ),
    metric("cache_audit_subjects_total", Counter, &[], "Subjects that the audit compared with the store."),
    metric("cache_audit_rounds_total", Counter, &[], "Walks of the audit over the whole disk tier."),
    metric(
        "scan_documents_total",
        Counter,
        &["outcome"],
        "Scans of an identity document: `asked`, `refused` (over the limit) or `forbidden` (no scope).",
    ),
    metric(
        "scan_documents_checkpoint_max",
        Gauge,
        &[],
        "Most scans of identity documents by one checkpoint in the last whole minute; the audit log names it.",
    ),
    metric(
        "scan_foreign_total",
        Counter,
        &["scheme", "outcome"],
        "Scans of codes of other systems by scheme: `accepted`, `not_accepted` by the rules, `issuer_unknown`, or \
         `refused`.",
    ),
    metric(
        "read_api_file_accepted",
        Gauge,
        &["file"],
        "0 after a `trust_list`, `acceptance` or `revocations` file was refused: its previous content stays in force.",
    ),
    metric(
        "session_ends_total",
        Counter,
        &["cause", "outcome"],
        "Ends of citizens' sessions and printed codes by cause (`sign_out`, `everywhere`, `too_many`, `paper`): `written`, or `failed` because no \
         writer took it; those of `too_many` are tried again.",
    ),
    metric("tokens_issued_total", Counter, &[], "Tokens that were signed for phones with keys."),
    metric("live_displays_open", Gauge, &[], "Live displays that are open."),
    metric(
        "live_displays_refused_total",
        Counter,
        &["reason"],
        "Live displays that were refused: busy, full (max_open) or person (max_per_person).",
    ),
];

const fn metric(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricDescription {
    MetricDescription { name, kind, labels, help }
}
