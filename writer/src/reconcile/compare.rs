//! What differs about one subject: between regions by the keys of events, and between view and events by the digest.

use std::collections::BTreeSet;

use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::view::{EventSet, View};
use yima_store::VersionedView;

/// See the module. Regions are counted as asked for; the first is this one.
pub(super) struct Found {
    pub(super) subject: SubjectId,
    /// The view is not the fold of the events that are here.
    pub(super) behind: bool,
    /// What each region has.
    has: Vec<BTreeSet<EventName>>,
    /// What any region has.
    all: BTreeSet<EventName>,
}

/// Compares what regions have of subjects, region by region, and the views.
pub(super) fn compare(
    subjects: &[SubjectId],
    names: Vec<Vec<BTreeSet<EventName>>>,
    views: Vec<Option<VersionedView>>,
    rules_version: u32,
) -> Vec<Found> {
    let mut names: Vec<_> = names.into_iter().map(Vec::into_iter).collect();
    let of_each = subjects.iter().zip(views).map(|(subject, view)| {
        let has: Vec<BTreeSet<EventName>> = names.iter_mut().filter_map(Iterator::next).collect();
        let here = has.first().cloned().unwrap_or_default();
        let all = has.iter().flatten().cloned().collect();
        Found { subject: *subject, behind: is_behind(view.as_ref(), &here, rules_version), has, all }
    });
    of_each.collect()
}

/// Whether a view is another than the fold of these events. Nobody without events needs one.
fn is_behind(view: Option<&VersionedView>, here: &BTreeSet<EventName>, rules_version: u32) -> bool {
    let events = here.iter().fold(EventSet::default(), |set, name| set.with(name.hash));
    match view.map(|view| View::decode(&view.view)) {
        None => !here.is_empty(),
        Some(Err(_)) => true,
        Some(Ok(view)) => view.events != events || view.rules_version != rules_version,
    }
}

impl Found {
    /// Whether nothing differs.
    pub(super) fn is_clean(&self) -> bool {
        !self.behind && self.has.iter().all(|has| has.len() == self.all.len())
    }

    /// What some other region has and this one lacks.
    pub(super) fn missing_here(&self) -> Vec<EventName> {
        self.has.first().map_or_else(Vec::new, |here| self.all.difference(here).cloned().collect())
    }

    /// How many events the other regions lack.
    pub(super) fn missing_elsewhere(&self) -> usize {
        self.has.iter().skip(1).map(|has| self.all.len() - has.len()).sum()
    }

    /// What is fetched from a region: each missing event comes from the first that has it.
    pub(super) fn fetch_from(&self, region: usize) -> Vec<EventName> {
        let (before, of) = (self.has.get(..region).unwrap_or_default(), self.has.get(region));
        let earlier = |name: &&EventName| before.iter().any(|has| has.contains(*name));
        of.into_iter().flatten().filter(|name| !earlier(name)).cloned().collect()
    }

    /// What a region lacks.
    pub(super) fn send_to(&self, region: usize) -> Vec<EventName> {
        self.has.get(region).map_or_else(Vec::new, |has| self.all.difference(has).cloned().collect())
    }

    /// Whether this region's view has to be folded.
    pub(super) fn folds(&self) -> bool {
        self.behind || !self.missing_here().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use yima_schema::event::ContentHash;
    use yima_schema::view::Version;

    use super::*;

    const SUBJECT: SubjectId = SubjectId::from_bytes([1; 16]);

    fn names(ids: &[u8]) -> BTreeSet<EventName> {
        let name = |id: &u8| EventName {
            subject: SUBJECT,
            agency: "lab".into(),
            id: id.to_string(),
            revision: 0,
            hash: ContentHash([*id; 16]),
        };
        ids.iter().map(name).collect()
    }

    fn view(ids: &[u8], rules_version: u32) -> Option<VersionedView> {
        let events = ids.iter().fold(EventSet::default(), |set, id| set.with(ContentHash([*id; 16])));
        let view = View { events, rules_version, ..View::default() }.encode();
        Some(VersionedView { version: Version(1), view })
    }

    fn found(regions: &[&[u8]], view: Option<VersionedView>) -> Found {
        let names = regions.iter().map(|ids| vec![names(ids)]).collect();
        compare(&[SUBJECT], names, vec![view], 2).remove(0)
    }

    #[test]
    fn a_view_is_behind_without_its_events_or_rules() {
        assert!(found(&[&[1, 2], &[1, 2]], view(&[2, 1], 2)).is_clean());
        assert!(found(&[&[], &[]], None).is_clean());
        for view in [None, view(&[1], 2), view(&[1, 2, 3], 2), view(&[1, 2], 1)] {
            assert!(found(&[&[1, 2], &[1, 2]], view).behind);
        }
        let unreadable = VersionedView { version: Version(1), view: bytes::Bytes::from_static(b"?") };
        assert!(found(&[&[1]], Some(unreadable)).behind);
    }

    #[test]
    fn what_a_region_lacks_comes_from_the_first_that_has_it() {
        let found = found(&[&[1], &[1, 2], &[2, 3]], view(&[1], 2));
        assert!(!found.behind && !found.is_clean() && found.folds());
        assert_eq!(found.missing_here(), names(&[2, 3]).into_iter().collect::<Vec<_>>());
        assert!(found.fetch_from(1).into_iter().eq(names(&[2])));
        assert!(found.fetch_from(2).into_iter().eq(names(&[3])));
        assert!(found.send_to(1).into_iter().eq(names(&[3])));
        assert!(found.send_to(2).into_iter().eq(names(&[1])));
        assert_eq!(found.missing_elsewhere(), 2);
    }
}
