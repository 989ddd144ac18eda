//! A cached view: its bytes, what proves it, and the display body for the segment in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::{Version, View};
use yima_store::{StoreError, VersionedView};

use super::freshness::Provenance;

/// A cached view, or the proved absence of one (version 0, an empty view).
pub struct Entry {
    /// What freshness is judged by.
    pub held: Provenance,
    view: Bytes,
    display: ArcSwapOption<Display>,
    revalidated_at: AtomicI64,
}

/// A display body with its entity tag, right for one segment of the timeline.
pub struct Display {
    /// The first moment for which it is right; [`Time::MIN`] for the first segment.
    pub from: Time,
    /// The first moment for which it is not right any more.
    pub until: Time,
    /// JSON.
    pub body: Bytes,
    /// Region, version and segment, authenticated.
    pub etag: HeaderValue,
}

impl Entry {
    /// Of what a store or a change said about `subject`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is not a view, or somebody else's.
    pub fn new(subject: SubjectId, found: Option<VersionedView>, held: Provenance) -> Result<Self, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt { table: "views", what: what.into() };
        let found = found.unwrap_or_else(|| VersionedView { version: Version::ABSENT, view: View::default().encode() });
        let view = View::decode(&found.view).map_err(|fault| corrupt(&fault.to_string()))?;
        if found.version != Version::ABSENT && view.subject != Some(subject) {
            return Err(corrupt("a view that belongs to another subject"));
        }
        let held = Provenance { version: found.version, ..held };
        // A copy of its own: a slice would keep a whole block of the store or the feed in memory.
        Ok(Self {
            held,
            view: Bytes::copy_from_slice(&found.view),
            display: ArcSwapOption::empty(),
            revalidated_at: AtomicI64::new(Time::MIN.as_millis()),
        })
    }

    /// Whether nobody has asked this since `every` ago; if so, whoever asks is the one to load it again.
    pub fn may_revalidate(&self, now: Time, every: Duration) -> bool {
        let last = self.revalidated_at.load(Ordering::Relaxed);
        now.since(Time::from_millis(last)) >= every
            && self.revalidated_at.compare_exchange(last, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The view as it was stored.
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

    /// Whether there is no view.
    pub fn is_absent(&self) -> bool {
        self.held.version == Version::ABSENT
    }

    /// The display for `now`; made with `render` when the segment in force is another than the last time.
    pub fn display(&self, now: Time, render: impl FnOnce(&View) -> Display) -> Arc<Display> {
        if let Some(display) = &*self.display.load()
            && (display.from..display.until).contains(&now)
        {
            return Arc::clone(display);
        }
        let display = Arc::new(render(&self.view()));
        self.display.store(Some(Arc::clone(&display)));
        display
    }

    /// Bytes that it takes in memory, with a display body and the cache's own overhead.
    pub fn weight(&self) -> usize {
        const DISPLAY_AND_OVERHEAD: usize = 1_100;
        self.view.len() + DISPLAY_AND_OVERHEAD
    }
}
