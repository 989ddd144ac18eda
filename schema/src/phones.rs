//! The phones that show a subject's codes with keys of their own. A token is of a phone that the view has: to end a
//! phone is to take it out.

use serde::{Deserialize, Serialize};

use crate::ended_sessions::MAX_ENTRIES;
use crate::time::Time;

/// Most phones of a view. The settings allow as many or fewer.
pub const MAX_PHONES: usize = 8;
/// Most phones of one guardian with tokens of one ward. The settings may allow fewer.
pub const MAX_PHONES_OF_GUARDIAN: usize = 4;
/// Longest name of a phone, in characters.
pub const MAX_NAME_CHARS: usize = 32;

/// A phone.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Phone {
    /// When it was registered.
    pub started_at: Time,
    /// Random.
    pub id: u64,
    /// As its holder calls it.
    pub name: String,
}

/// The phones of one subject.
#[cfg_attr(test, derive(Debug))] // for counterexamples
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phones {
    /// Those that have not ended, the one that started last first.
    pub open: Vec<Phone>,
    /// How many have ever started; [`MAX_PHONES`]: as many, or more.
    pub started: u8,
    /// The number of the subject's events of which each may have made the colour worse; it only rises. Part of the
    /// denial tags of tokens, so that a tag names none that was issued after the colour got worse.
    pub worsenings: u32,
}

impl Phones {
    /// The phones that have `started` and not ended by `has_ended`. Of more than [`MAX_PHONES`], ended ones included,
    /// those that started first are over too: so a phone that is over stays so. `worsenings` is 0 where no phone was
    /// ever registered, neither by a guardian.
    pub fn new(started: impl IntoIterator<Item = Phone>, has_ended: impl Fn(&Phone) -> bool, worsenings: u32) -> Self {
        let newest = newest(started, MAX_PHONES);
        let started = newest.len() as u8; // at most MAX_PHONES
        Self { open: open(newest, has_ended), started, worsenings }
    }

    /// Whether no phone was ever registered, neither by a guardian.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The phones of one guardian that have `started` and not ended, under the same rule with
    /// [`MAX_PHONES_OF_GUARDIAN`].
    pub fn of_guardian(started: impl IntoIterator<Item = Phone>, has_ended: impl Fn(&Phone) -> bool) -> Vec<Phone> {
        open(newest(started, MAX_PHONES_OF_GUARDIAN), has_ended)
    }

    /// The subject's own phone with this id, unless it has ended.
    pub fn find(&self, id: u64) -> Option<&Phone> {
        self.open.iter().find(|phone| phone.id == id)
    }

    /// How many entries are left to ended sessions: with the phones a view has at most [`MAX_ENTRIES`]. It only falls,
    /// so that no ended session comes back.
    pub fn room_for_sessions(&self) -> usize {
        MAX_ENTRIES - usize::from(self.started)
    }
}

/// So many of the phones that have started, the one that started last first.
fn newest(started: impl IntoIterator<Item = Phone>, most: usize) -> Vec<Phone> {
    let mut phones: Vec<_> = started.into_iter().collect();
    phones.sort_unstable_by(|a, b| b.cmp(a));
    phones.truncate(most);
    phones
}

/// Those that have not ended, each once.
fn open(mut phones: Vec<Phone>, has_ended: impl Fn(&Phone) -> bool) -> Vec<Phone> {
    let mut seen = Vec::with_capacity(phones.len());
    phones.retain(|phone| {
        let is_first = !seen.contains(&phone.id);
        seen.push(phone.id);
        is_first && !has_ended(phone)
    });
    phones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nine_phones_the_first_is_over_and_stays_over_when_others_end() {
        let phone = |id: u64| Phone { started_at: Time::from_secs(id as i64), id, name: id.to_string() };
        let open = |ended: &[u64]| {
            let phones = Phones::new((1..=9).map(phone), |phone| ended.contains(&phone.id), 3);
            assert_eq!((phones.started, phones.worsenings, phones.room_for_sessions()), (8, 3, 8));
            phones.open.iter().map(|phone| phone.id).collect::<Vec<_>>()
        };
        assert_eq!(open(&[]), [9, 8, 7, 6, 5, 4, 3, 2]);
        assert_eq!(open(&[9, 2]), [8, 7, 6, 5, 4, 3]);
        let none = Phones::new([], |_| false, 0);
        assert!(none.is_empty() && none == Phones::default() && none.room_for_sessions() == MAX_ENTRIES);
    }
}
