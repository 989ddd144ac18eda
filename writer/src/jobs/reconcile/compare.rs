//! Differences of one subject: between regions by the names of events, and between view and events by the digest.

use std::collections::BTreeSet;

use yima_schema::derive::DERIVE_VERSION;
use yima_schema::mark::EventName;
use yima_schema::subject::SubjectId;
use yima_schema::view::{EventSet, View};
use yima_store::VersionedView;

/// The comparison of one subject. Regions are numbered in the order of the scan; 0 is this region.
pub(super) struct Comparison {
    pub(super) subject: SubjectId,
    /// The view is not the fold of this region's events.
    pub(super) behind: bool,
    /// The events of each region.
    by_region: Vec<BTreeSet<EventName>>,
    /// The events of all regions together.
    all: BTreeSet<EventName>,
}

/// Compares the events of subjects, by region and then by subject, with each other and with the views.
pub(super) fn compare(
    subjects: &[SubjectId],
    names: Vec<Vec<BTreeSet<EventName>>>,
    views: Vec<Option<VersionedView>>,
    rules_version: u32,
) -> Vec<Comparison> {
    let mut names: Vec<_> = names.into_iter().map(Vec::into_iter).collect();
    let comparisons = subjects.iter().zip(views).map(|(subject, view)| {
        let by_region: Vec<BTreeSet<EventName>> = names.iter_mut().filter_map(Iterator::next).collect();
        let here = by_region.first().cloned().unwrap_or_default();
        let all = by_region.iter().flatten().cloned().collect();
        Comparison { subject: *subject, behind: is_behind(view.as_ref(), &here, rules_version), by_region, all }
    });
    comparisons.collect()
}

/// Whether a view differs from the fold of these events. A subject without events needs no view.
fn is_behind(view: Option<&VersionedView>, here: &BTreeSet<EventName>, rules_version: u32) -> bool {
    let events = here.iter().fold(EventSet::default(), |set, name| set.with(name.hash));
    let Some(view) = view else { return !here.is_empty() };
    match View::decode(&view.view) {
        Err(_) => !View::is_newer(&view.view),
        Ok(view) => {
            view.events != events || view.rules_version != rules_version || view.derive_version < DERIVE_VERSION
        }
    }
}

impl Comparison {
    /// Whether nothing differs.
    pub(super) fn is_clean(&self) -> bool {
        !self.behind && self.by_region.iter().all(|events| events.len() == self.all.len())
    }

    /// Events that another region has and this one lacks.
    pub(super) fn missing_here(&self) -> Vec<EventName> {
        self.by_region.first().map_or_else(Vec::new, |here| self.all.difference(here).cloned().collect())
    }

    /// Number of events that the other regions lack, once for each of them.
    pub(super) fn missing_elsewhere(&self) -> usize {
        self.by_region.iter().skip(1).map(|events| self.all.len() - events.len()).sum()
    }

    /// Events to fetch from a region: each missing event comes from the first region that has it.
    pub(super) fn fetch_from(&self, region: usize) -> Vec<EventName> {
        let (before, events) = (self.by_region.get(..region).unwrap_or_default(), self.by_region.get(region));
        let earlier = |name: &&EventName| before.iter().any(|events| events.contains(*name));
        events.into_iter().flatten().filter(|name| !earlier(name)).cloned().collect()
    }

    /// Events that a region lacks.
    pub(super) fn send_to(&self, region: usize) -> Vec<EventName> {
        self.by_region.get(region).map_or_else(Vec::new, |events| self.all.difference(events).cloned().collect())
    }

    /// Whether this region's view has to be folded.
    pub(super) fn needs_fold(&self) -> bool {
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
        let view = View { events, rules_version, derive_version: DERIVE_VERSION, ..View::default() }.encode();
        Some(VersionedView { version: Version(1), view })
    }

    fn comparison(regions: &[&[u8]], view: Option<VersionedView>) -> Comparison {
        let names = regions.iter().map(|ids| vec![names(ids)]).collect();
        compare(&[SUBJECT], names, vec![view], 2).remove(0)
    }

    #[test]
    fn a_view_is_behind_if_its_events_or_rules_differ() {
        assert!(comparison(&[&[1, 2], &[1, 2]], view(&[2, 1], 2)).is_clean());
        assert!(comparison(&[&[], &[]], None).is_clean());
        for view in [None, view(&[1], 2), view(&[1, 2, 3], 2), view(&[1, 2], 1)] {
            assert!(comparison(&[&[1, 2], &[1, 2]], view).behind);
        }
        let unreadable = VersionedView { version: Version(1), view: bytes::Bytes::from_static(b"?") };
        assert!(comparison(&[&[1]], Some(unreadable)).behind);
    }

    #[test]
    fn a_missing_event_comes_from_the_first_region_that_has_it() {
        let comparison = comparison(&[&[1], &[1, 2], &[2, 3]], view(&[1], 2));
        assert!(!comparison.behind && !comparison.is_clean() && comparison.needs_fold());
        assert_eq!(comparison.missing_here(), names(&[2, 3]).into_iter().collect::<Vec<_>>());
        assert!(comparison.fetch_from(1).into_iter().eq(names(&[2])));
        assert!(comparison.fetch_from(2).into_iter().eq(names(&[3])));
        assert!(comparison.send_to(1).into_iter().eq(names(&[3])));
        assert!(comparison.send_to(2).into_iter().eq(names(&[1])));
        assert_eq!(comparison.missing_elsewhere(), 2);
    }
}
