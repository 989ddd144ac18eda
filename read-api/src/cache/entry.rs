//! A cached view: its bytes, its provenance, and the display body of the segment in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;
use yima_schema::ended_sessions::EndedSessions;
use yima_schema::session::Session;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_store::{StoreError, VersionedView};

use super::freshness::Provenance;
use crate::body::Detail;

/// A cached view, or a negative entry: a proved absence, with version 0 and an empty view.
pub struct Entry {
    provenance: Provenance,
    view: Bytes,
    ended_sessions: EndedSessions,
    display: ArcSwapOption<Display>,
    revalidated_at: AtomicI64,
}

/// A display body with its entity tag, valid for one segment of the timeline.
pub struct Display {
    /// The first moment for which it is valid; [`Time::MIN`] for the first segment.
    pub from: Time,
    /// The first moment for which it is no longer valid.
    pub until: Time,
    /// The fields that it has.
    pub detail: Detail,
    /// JSON.
    pub body: Bytes,
    /// Region, version, segment and detail, authenticated.
    pub etag: HeaderValue,
    /// The tags of the same display with more fields: a client that shows one of these needs nothing else.
    pub fuller: Box<[HeaderValue]>,
}

impl Display {
    /// The tags of displays of which everything is still right.
    pub fn right_tags(&self) -> impl Iterator<Item = &HeaderValue> {
        std::iter::once(&self.etag).chain(&self.fuller)
    }
}

impl Entry {
    /// The entry for a view of `subject` that was found in the store or in a change, or for its absence (`None`). It
    /// has the version of the view.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the bytes are no view, or the view of another subject.
    pub fn new(subject: SubjectId, found: Option<VersionedView>, provenance: Provenance) -> Result<Self, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt { table: "views", what: what.into() };
        let found = found.unwrap_or_else(|| VersionedView { version: Version::ABSENT, view: View::default().encode() });
        let view = View::decode(&found.view).map_err(|error| corrupt(&error.to_string()))?;
        if found.version != Version::ABSENT && view.subject != Some(subject) {
            return Err(corrupt("a view that belongs to another subject"));
        }
        Ok(Self {
            provenance: Provenance { version: found.version, ..provenance },
            // A copy: a slice would keep a whole block of the store or the feed in memory.
            view: Bytes::copy_from_slice(&found.view),
            ended_sessions: view.ended_sessions,
            display: ArcSwapOption::empty(),
            revalidated_at: AtomicI64::new(Time::MIN.as_millis()),
        })
    }

    /// The provenance by which the entry's freshness is judged.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// The version of the view; [`Version::ABSENT`] for a negative entry.
    pub fn version(&self) -> Version {
        self.provenance.version
    }

    /// Whether the entry was last revalidated at least `every` ago. If so, the caller is the one to revalidate it now.
    pub fn may_revalidate(&self, now: Time, every: Duration) -> bool {
        let last = self.revalidated_at.load(Ordering::Relaxed);
        now.since(Time::from_millis(last)) >= every
            && self.revalidated_at.compare_exchange(last, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The encoded view, as stored.
    pub fn bytes(&self) -> &[u8] {
        &self.view
    }

    /// The decoded view.
    ///
    /// # Panics
    /// Never: `new` decoded these bytes.
    pub fn view(&self) -> View {
        View::decode(&self.view).expect("decoded when the entry was made")
    }

    /// Whether this session of the subject was ended before its time.
    pub fn has_ended(&self, session: &Session) -> bool {
        !self.ended_sessions.is_empty() && self.ended_sessions.contains(session)
    }

    /// Whether this is a negative entry.
    pub fn is_absent(&self) -> bool {
        self.provenance.version == Version::ABSENT
    }

    /// The display for `now` with these fields; rendered again only when another segment or detail is in force than the
    /// last time.
    pub fn display(&self, now: Time, detail: Detail, render: impl FnOnce(&View) -> Display) -> Arc<Display> {
        if let Some(display) = &*self.display.load()
            && (display.from..display.until).contains(&now)
            && display.detail == detail
        {
            return Arc::clone(display);
        }
        let display = Arc::new(render(&self.view()));
        self.display.store(Some(Arc::clone(&display)));
        display
    }

    /// Bytes of memory that the entry takes, including a display body and the cache's own overhead.
    pub fn weight(&self) -> usize {
        const DISPLAY_AND_OVERHEAD: usize = 1_100;
        self.view.len() + DISPLAY_AND_OVERHEAD
    }
}
