//! The findings of a node by its metrics.

use super::findings::{RULES, by_metrics};
use super::*;

const ALERTS: &str = include_str!("../../../deploy/multi-region/alerts.yml");
const METRICS: &str = include_str!("../../../docs/metrics.md");

fn texts(scrape: &str) -> Vec<String> {
    by_metrics(&Samples::parse(scrape), 1_000_000.0).into_iter().map(|finding| finding.text).collect()
}

#[test]
fn a_healthy_node_has_no_findings() {
    let healthy = "process_start_time_seconds 999000\ncache_poll_lag_seconds 0.2\ncache_breaker_state 0\n\
                   store_takes_writes 1\nlevel 0\nlevel_by_hand 0\ndata_dir_free_bytes 50\ndata_dir_total_bytes 100\n\
                   backup_as_of_seconds 999000\ntls_certificate_expires_seconds{service=\"writer\"} 9000000\n\
                   cache_region_lag_seconds{region=\"b\"} 1\nprocess_open_fds 20\nprocess_max_fds 1000\n";
    assert_eq!(texts(healthy), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_said_in_words() {
    for (scrape, text) in [
        ("cache_poll_lag_seconds 11", "changes of the store are 11 s behind: answers are marked as not live"),
        (
            "cache_region_lag_seconds{region=\"b\"} +Inf",
            "region b was last heard an unknown time ago: its newest events may be missing",
        ),
        ("store_takes_writes 0", "the store takes no events since a write failed: check the disk, then restart"),
        ("tls_certificate_expires_seconds{service=\"writer\"} -90000", "the certificate of writer ended 25 h ago"),
        ("tls_certificate_expires_seconds{service=\"writer\"} 90000", "the certificate of writer ends in 25 h"),
        ("process_start_time_seconds 900000\nbackup_as_of_seconds 0", "no backup in the 28 h since the start"),
        ("process_start_time_seconds 999990\nbackup_as_of_seconds 900000", "the last backup is 28 h old"),
        ("process_start_time_seconds 999990\noffline_bundle_age_seconds +Inf", ""),
        (
            "process_start_time_seconds 900000\noffline_bundle_age_seconds +Inf",
            "checkpoints without a network judge by a bundle of an unknown time ago",
        ),
        ("level 6", "busy, level 6: no vaccination"),
        ("data_dir_free_bytes 10\ndata_dir_total_bytes 100", "10 % of the disk is free"),
        ("key_active_since_seconds{kind=\"seal\"} -40000000", ""),
    ] {
        let expected = if text.is_empty() { vec![] } else { vec![text.to_owned()] };
        assert_eq!(texts(scrape), expected, "{scrape}");
    }
}

#[test]
fn each_rule_is_about_a_metric_that_exists_and_an_alert_with_a_section_in_the_runbook() {
    for rule in RULES {
        assert!(METRICS.contains(&format!("| `{}` |", rule.metric)), "{}", rule.metric);
        if let Some(alert) = rule.alert {
            assert!(ALERTS.contains(&format!("alert: {alert}\n")), "{alert}");
        }
    }
}
