//! What a region has stored of people, held against its own events.

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

/// A region's store, opened beside its services.
pub struct Stored {
    /// The store.
    pub store: Arc<CqlStore>,
    /// Where it is asked.
    pub runtime: Runtime,
    rules: Rules,
    key: PseudonymKey,
}

/// What is stored of somebody.
pub struct OfOne {
    /// The ids of the events.
    pub events: BTreeSet<String>,
    /// How many of them the view was made from.
    pub folded: usize,
    /// Whether the view is what derives from all of them; or there are none, and no view.
    pub is_fold: bool,
}

impl Stored {
    /// Opens the store of a region whose options are of [`crate::checker::options`].
    ///
    /// # Panics
    /// When the database does not answer.
    pub fn open(region: &Region) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let store = runtime.block_on(CqlStore::open(region.store_options())).expect("the database answers");
        let rules = fs::read_to_string(region.options().directory().join("rules.toml")).expect("the region's rules");
        let rules = Rules::parse(&rules).expect("rules that its services take");
        Self { store, runtime, rules, key: region.pseudonym_key() }
    }

    /// By whom a region knows somebody.
    ///
    /// # Panics
    /// If the document's number is none.
    pub fn subject(&self, person: &Person) -> SubjectId {
        let document = Document::new(DocumentType::CnResidentId, &person.document);
        self.key.subject(&document.expect("people of tests have valid documents"))
    }

    /// What is stored of people, in their order.
    ///
    /// # Panics
    /// When the database does not answer, or a view cannot be read.
    pub fn of<'a>(&self, people: impl IntoIterator<Item = &'a Person>) -> Vec<OfOne> {
        let subjects: Vec<SubjectId> = people.into_iter().map(|person| self.subject(person)).collect();
        let (views, events) = self.runtime.block_on(async {
            // In this order, so that a view is never made from more than the events that are read.
            let views = self.store.lookup_many(&subjects).await.expect("the database answers");
            (views, self.store.events(&subjects).await.expect("the database answers"))
        });
        events.into_iter().zip(views).map(|(events, view)| self.of_one(&events, view)).collect()
    }

    fn of_one(&self, events: &[StoredEvent], view: Option<VersionedView>) -> OfOne {
        let view = view.map(|found| View::decode(&found.view).expect("a view that this program wrote"));
        OfOne {
            events: events.iter().map(|event| event.event.id.clone()).collect(),
            folded: view.as_ref().map_or(0, |view| view.events.count as usize),
            is_fold: view.map_or(events.is_empty(), |view| view == derive(events, &self.rules)),
        }
    }
}

/// Holds everybody's view in each region to be the fold of the same events, among which is all that was acknowledged.
///
/// # Panics
/// With what does not hold.
pub fn assert_same_folds(regions: &[&Stored], people: &[(Person, String)], acknowledged: &[Acknowledged]) {
    let mut first: Option<Vec<BTreeSet<String>>> = None;
    for region in regions {
        let stored = region.of(people.iter().map(|(person, _)| person));
        for (subject, of) in stored.iter().enumerate() {
            assert!(of.is_fold, "subject {subject}: the view is of {} of {} events", of.folded, of.events.len());
        }
        for event in acknowledged {
            let id = format!("t-{}", event.event);
            assert!(stored[event.subject].events.contains(&id), "{event:?} is lost");
        }
        let ids: Vec<_> = stored.into_iter().map(|of| of.events).collect();
        let same = *first.get_or_insert_with(|| ids.clone()) == ids;
        assert!(same, "regions have different events");
    }
}
