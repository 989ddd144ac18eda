//! Look-ups of people by identity document, counted by checkpoint and minute, so that a checkpoint that asks too much
//! is noticed. Nothing here knows who was looked up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::time::Time;
use yima_service::lifecycle::Lifecycle;
use yima_store::AuditLog;

/// How long look-ups are counted together.
const MINUTE: Duration = Duration::from_secs(60);
/// Checkpoints and persons counted apart in a minute; all others are counted together, since names come from tokens.
const MAX_CHECKPOINTS: usize = 1_000;

/// What became of a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It was answered.
    Asked,
    /// It was over the checkpoint's limit.
    Refused,
    /// The checkpoint has no scope for it.
    Forbidden,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Counts {
    asked: u32,
    refused: u32,
    forbidden: u32,
}

/// The counts since the last report.
#[derive(Default)]
pub(crate) struct DocumentLookups {
    /// `None`: all beyond [`MAX_CHECKPOINTS`].
    minute: Mutex<HashMap<Option<Asker>, Counts>>,
}

/// Who looks people up.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asker {
    checkpoint: Box<str>,
    /// Of its staff, if the session names one.
    operator: Option<Box<str>>,
}

impl DocumentLookups {
    /// Counts a look-up.
    pub(crate) fn count(&self, checkpoint: &str, operator: Option<&str>, outcome: Outcome) {
        metrics::counter!("scan_documents_total", "outcome" => outcome.label()).increment(1);
        let mut minute = self.minute.lock();
        let asker = Some(Asker { checkpoint: checkpoint.into(), operator: operator.map(Into::into) });
        let asker = if minute.len() < MAX_CHECKPOINTS || minute.contains_key(&asker) { asker } else { None };
        let counts = minute.entry(asker).or_default();
        match outcome {
            Outcome::Asked => counts.asked += 1,
            Outcome::Refused => counts.refused += 1,
            Outcome::Forbidden => counts.forbidden += 1,
        }
    }

    /// Ends the minute: reports its counts by checkpoint, and the highest of them as a metric.
    fn take(&self, at: Time) -> Vec<AuditRecord> {
        let minute = std::mem::take(&mut *self.minute.lock());
        let all = |counts: &Counts| counts.asked + counts.refused + counts.forbidden;
        let mut of_checkpoint: HashMap<Option<&str>, u32> = HashMap::new();
        for (asker, counts) in &minute {
            *of_checkpoint.entry(asker.as_ref().map(|asker| &*asker.checkpoint)).or_default() += all(counts);
        }
        let most = of_checkpoint.values().copied().max().unwrap_or_default();
        metrics::gauge!("scan_documents_checkpoint_max").set(most);
        let record = |(asker, counts): (Option<Asker>, Counts)| {
            let Counts { asked, refused, forbidden } = counts;
            let (checkpoint, operator) = asker.map(|Asker { checkpoint, operator }| (checkpoint, operator)).unzip();
            let (checkpoint, operator) = (checkpoint.map(String::from), operator.flatten().map(String::from));
            let entry = AuditEntry::DocumentLookups { checkpoint, operator, asked, refused, forbidden };
            AuditRecord { at, entry }
        };
        minute.into_iter().map(record).collect()
    }

    /// Reports each minute to the log and the audit log, and once more at the stop.
    pub(crate) async fn report(self: Arc<Self>, audit: Arc<dyn AuditLog>, clock: fn() -> Time, lifecycle: Lifecycle) {
        for outcome in [Outcome::Asked, Outcome::Refused, Outcome::Forbidden] {
            metrics::counter!("scan_documents_total", "outcome" => outcome.label()).increment(0);
        }
        let mut ticks = tokio::time::interval(MINUTE);
        loop {
            let goes_on = lifecycle.soft().run_until_cancelled(ticks.tick()).await.is_some();
            for record in self.take(clock()) {
                tracing::info!(record = record.to_json(), "people were looked up by their documents");
                if let Err(error) = audit.audit(&record).await {
                    tracing::warn!(%error, "look-ups by document are in the log, but not in the audit log");
                }
            }
            if !goes_on {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_counted_apart_up_to_a_bound() {
        let lookups = DocumentLookups::default();
        for outcome in [Outcome::Asked, Outcome::Asked, Outcome::Refused, Outcome::Forbidden] {
            lookups.count("gate-0", Some("u-1"), outcome);
        }
        for n in 1..MAX_CHECKPOINTS + 50 {
            lookups.count(&format!("gate-{n}"), None, Outcome::Asked);
        }
        lookups.count("gate-0", Some("u-1"), Outcome::Asked);
        let at = Time::default();
        let records = lookups.take(at);
        let record = |checkpoint: Option<&str>, asked, refused, forbidden| {
            let operator = (checkpoint == Some("gate-0")).then(|| "u-1".to_owned());
            let checkpoint = checkpoint.map(str::to_owned);
            AuditRecord { at, entry: AuditEntry::DocumentLookups { checkpoint, operator, asked, refused, forbidden } }
        };
        assert_eq!(records.len(), MAX_CHECKPOINTS + 1);
        assert!(records.contains(&record(Some("gate-0"), 3, 1, 1)));
        assert!(records.contains(&record(Some("gate-999"), 1, 0, 0)));
        assert!(records.contains(&record(None, 50, 0, 0)));
        assert!(lookups.take(at).is_empty(), "a minute is reported once");
    }
}
