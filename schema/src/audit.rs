//! The audit: what operators did and what checkpoints asked for. No record names a person.

use serde::Serialize;

use crate::time::Time;

/// A record. As JSON it is `{"at":"…","kind":"…",…}`; later programs add kinds and fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuditRecord {
    /// When it happened.
    pub at: Time,
    /// What happened.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// What a record tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditEntry {
    /// Look-ups of people by identity document at a checkpoint, in the minute that ends at `at`.
    DocumentLookups {
        /// The checkpoint; `None` for all beyond those that a node counts apart.
        checkpoint: Option<String>,
        /// Who of its staff, by the identity provider's name for them; `None` if their token names nobody.
        #[serde(skip_serializing_if = "Option::is_none")]
        operator: Option<String>,
        /// Look-ups that were answered.
        asked: u32,
        /// Look-ups over the checkpoint's limit.
        refused: u32,
        /// Look-ups without the scope for them.
        forbidden: u32,
    },
    /// A person of an agency or a checkpoint has signed in.
    OperatorSignedIn {
        /// The agency, if they are of one.
        #[serde(skip_serializing_if = "Option::is_none")]
        agency: Option<String>,
        /// The checkpoint, if they are of one.
        #[serde(skip_serializing_if = "Option::is_none")]
        checkpoint: Option<String>,
        /// Who, by the identity provider's name for them.
        operator: String,
    },
    /// A person of an agency has sent events on its page.
    EventsSent {
        /// The agency.
        agency: String,
        /// Who, likewise.
        operator: String,
        /// Rows that they sent.
        rows: u64,
        /// Rows of these that were accepted.
        accepted: u64,
    },
    /// A service read a file again that an operator replaced.
    FileReloaded {
        /// Of a writer `agencies` (the registry) or `codes`; of a read node `trust_list`, `acceptance` or `keys`.
        file: String,
        /// Whether it is in force now; else the previous content stays.
        accepted: bool,
    },
    /// An operator has checkpoints without a network accept expired codes; recorded before it is in force.
    EmergencyStarted {
        /// When it ends, unless it is ended before.
        until: Time,
        /// How long ago a code may have expired.
        expired_s: u64,
        /// Why, as the operator gave it.
        why: String,
    },
    /// An operator has ended it.
    EmergencyEnded {},
    /// An operator has set a node's level of degradation.
    LevelSet {
        /// The level, 0 to 8.
        level: u8,
        /// When it is automatic again, unless it is set before.
        until: Time,
        /// Why, as the operator gave it.
        why: String,
        /// Who: `user` and the id of the command's user, or `admin port`.
        by: String,
    },
    /// An operator has made it automatic again.
    LevelReleased {
        /// Who, likewise.
        by: String,
    },
    /// An operator has retired another region, or finished that.
    RegionRetired {
        /// The region.
        region: String,
        /// Events that it acknowledged at this moment or later have to be sent again; `None`: all of them.
        events_from: Option<Time>,
        /// Whether its signs of life were ignored.
        force: bool,
    },
    /// An operator has taken this region back.
    RegionRejoined {
        /// The region.
        region: String,
    },
    /// An operator did something to the store as a whole.
    OperatorAction {
        /// The command.
        action: OperatorAction,
    },
}

/// What an operator did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAction {
    /// A backup of the embedded store was made and kept.
    Backup,
    /// The embedded store was made from a backup.
    Restore,
    /// `yima reconcile` was started, to repair.
    Reconcile,
    /// `yima rebuild` has rebuilt the region.
    Rebuild,
}

impl AuditRecord {
    /// The record as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a record consists of texts and numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_flat_json() {
        let lookups = AuditEntry::DocumentLookups {
            checkpoint: Some("gate-1".into()),
            operator: None,
            asked: 3,
            refused: 0,
            forbidden: 0,
        };
        let record = AuditRecord { at: Time::from_secs(1_790_000_000), entry: lookups };
        assert_eq!(
            record.to_json(),
            r#"{"at":"2026-09-21T14:13:20Z","kind":"document_lookups","checkpoint":"gate-1","asked":3,"refused":0,"forbidden":0}"#
        );
        let entry = AuditEntry::OperatorAction { action: OperatorAction::Reconcile };
        let record = AuditRecord { at: Time::default(), entry };
        assert!(record.to_json().ends_with(r#""kind":"operator_action","action":"reconcile"}"#));
    }
}
