//! The store of a region, and the check that its views are the folds of its events.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use tokio::runtime::Runtime;
use yima_schema::derive::derive;
use yima_schema::event::StoredEvent;
use yima_schema::rules::Rules;
use yima_schema::subject::{Document, DocumentType, PseudonymKey, SubjectId};
use yima_schema::view::View;
use yima_store::cql::CqlStore;
use yima_store::{EventReader, VersionedView, ViewReader};

use crate::checker::Acknowledged;
use crate::{Person, Region};

/// The store of a region, opened beside the region's services.
pub struct RegionStore {
    /// The store.
    pub store: Arc<CqlStore>,
    /// The runtime on which the store is called.
    pub runtime: Runtime,
    rules: Rules,
    key: PseudonymKey,
}

/// Everything that is stored of a subject.
pub struct StoredSubject {
    /// The ids of its events.
    pub events: BTreeSet<String>,
    /// Number of events that the view was derived from.
    pub folded: usize,
    /// Whether the view derives from all events; without events, whether there is no view.
    pub is_fold: bool,
}

impl RegionStore {
    /// Opens the store of a region that was made with [`crate::checker::options`].
    ///
    /// # Panics
    /// When the database does not answer.
    pub fn open(region: &Region) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let store = runtime.block_on(CqlStore::open(region.store_options())).expect("the database answers");
        let rules = fs::read_to_string(region.options().directory().join("rules.toml")).expect("the region's rules");
        let rules = Rules::parse(&rules).expect("rules that its services accept");
        Self { store, runtime, rules, key: region.pseudonym_key() }
    }

    /// The subject of a person in this region.
    ///
    /// # Panics
    /// When the document number is not valid.
    pub fn subject(&self, person: &Person) -> SubjectId {
        let document = Document::new(DocumentType::CnResidentId, &person.document);
        self.key.subject(&document.expect("people of tests have valid documents"))
    }

    /// Reads the subjects of people, in their order.
    ///
    /// # Panics
    /// When the database does not answer, or a view cannot be decoded.
    pub fn read<'a>(&self, people: impl IntoIterator<Item = &'a Person>) -> Vec<StoredSubject> {
        let subjects: Vec<SubjectId> = people.into_iter().map(|person| self.subject(person)).collect();
        let (views, events) = self.runtime.block_on(async {
            // In this order, so that a view never derives from an event that is not read here.
            let views = self.store.lookup_many(&subjects).await.expect("the database answers");
            (views, self.store.events(&subjects).await.expect("the database answers"))
        });
        events.into_iter().zip(views).map(|(events, view)| self.subject_from(&events, view)).collect()
    }

    fn subject_from(&self, events: &[StoredEvent], view: Option<VersionedView>) -> StoredSubject {
        let view = view.map(|found| View::decode(&found.view).expect("a view that this program wrote"));
        StoredSubject {
            events: events.iter().map(|event| event.event.id.clone()).collect(),
            folded: view.as_ref().map_or(0, |view| view.events.count as usize),
            is_fold: view.map_or(events.is_empty(), |view| view == derive(events, &self.rules)),
        }
    }
}

/// Checks that every subject's view is the fold of its events, that all regions have the same events, and that no
/// acknowledged event is lost.
///
/// # Panics
/// When a check fails.
pub fn assert_same_folds(regions: &[&RegionStore], people: &[(Person, String)], acknowledged: &[Acknowledged]) {
    let mut first: Option<Vec<BTreeSet<String>>> = None;
    for region in regions {
        let stored = region.read(people.iter().map(|(person, _)| person));
        for (subject, found) in stored.iter().enumerate() {
            assert!(
                found.is_fold,
                "subject {subject}: the view derives from {} of {} events",
                found.folded,
                found.events.len()
            );
        }
        for event in acknowledged {
            let id = format!("t-{}", event.event);
            assert!(stored[event.subject].events.contains(&id), "{event:?} is lost");
        }
        let ids: Vec<_> = stored.into_iter().map(|found| found.events).collect();
        let same = *first.get_or_insert_with(|| ids.clone()) == ids;
        assert!(same, "regions have different events");
    }
}
