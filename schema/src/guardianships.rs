//! Who may show a subject's codes for them. The view of the ward alone decides; the wards in a guardian's view are a
//! list of whom to look up.

use serde::{Deserialize, Serialize};

use crate::phones::Phone;
use crate::subject::SubjectId;
use crate::time::Time;

/// Most guardians of a subject. Of more, those that began last count.
pub const MAX_GUARDIANS: usize = 16;
/// Most wards that a view lists: those that began last.
pub const MAX_WARDS: usize = 16;

/// Another subject who may show the subject's codes.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardian {
    /// When it began.
    pub started_at: Time,
    /// The guardian.
    pub subject: SubjectId,
    /// The first moment at which it is over; `None`: no such moment is known.
    pub until: Option<Time>,
    /// The agency that stated it; `None`: the two have agreed.
    pub agency: Option<String>,
    /// The guardian's phones that have tokens of the subject, the one that was registered last first.
    pub phones: Vec<Phone>,
}

/// The guardianships of one subject, on both sides.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Guardianships {
    /// Who may show the subject's codes, the one that began last first.
    pub guardians: Vec<Guardian>,
    /// Whose codes the subject may show if their views say so, in the same order.
    pub wards: Vec<SubjectId>,
}

impl Guardian {
    /// Whether it is in force.
    pub fn is_in_force(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The guardian's phone with this id.
    pub fn phone(&self, id: u64) -> Option<&Phone> {
        self.phones.iter().find(|phone| phone.id == id)
    }
}

impl Guardianships {
    /// Whether there are none on either side.
    pub fn is_empty(&self) -> bool {
        self.guardians.is_empty() && self.wards.is_empty()
    }

    /// The guardianship of this subject, if it is in force.
    pub fn guardian(&self, subject: SubjectId, now: Time) -> Option<&Guardian> {
        self.guardians.iter().find(|guardian| guardian.subject == subject && guardian.is_in_force(now))
    }
}
