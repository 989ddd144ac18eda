//! The offline bundle that this node serves: the newest release whose parts it all has, in memory. It is served as long as
//! the node runs, whether or not the store answers; how old it is a scanner sees.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::MissedTickBehavior;
use yima_schema::bundle::{Blob, Index, ranges};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::time::Time;
use yima_service::http::public::{CDN_CACHE_CONTROL, Lifetime, Public};
use yima_store::{BundleReader, StoreError, StoredIndex};

use crate::keyring::CurrentKeyring;

/// Time between two looks for a new release.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Parts that are read together.
const CONCURRENT_PARTS: usize = 8;
/// How long caches may keep an index once the next one is due.
const OVERDUE: Duration = Duration::from_secs(2);
/// While a cache reaches no read node, an older index says more than none.
const IF_ERROR: &str = "stale-if-error=86400";

/// A part never changes.
const PART_LIFETIME: Lifetime =
    Lifetime { everywhere: "public, max-age=31536000, immutable", at_the_edge: "public, max-age=31536000, immutable" };

/// The bundle, and the task that follows its releases.
pub(crate) struct OfflineBundle {
    store: Arc<dyn BundleReader>,
    keyring: Arc<CurrentKeyring>,
    release_period: Duration,
    served: ArcSwapOption<Served>,
    clock: fn() -> Time,
}

/// A release with all that it names.
struct Served {
    stored: StoredIndex,
    index: Public,
    /// Those that it names, and those of the release before: a client may have got that one from a cache.
    parts: HashMap<[u8; 32], Part>,
}

#[derive(Clone)]
struct Part {
    body: Public,
    is_named: bool,
}

impl OfflineBundle {
    /// No bundle yet. `keyring`: the issuers whose releases count.
    pub(crate) fn new(
        store: Arc<dyn BundleReader>,
        keyring: Arc<CurrentKeyring>,
        release_period: Duration,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        Arc::new(Self { store, keyring, release_period, served: ArcSwapOption::empty(), clock })
    }

    /// Takes each new release, until it is dropped.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(POLL_EVERY.min(self.release_period));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logged = String::new();
        loop {
            ticks.tick().await;
            let problem = self.refresh().await.err().map(|error| error.to_string()).unwrap_or_default();
            if !problem.is_empty() && problem != logged {
                tracing::warn!(error = problem, "no new offline bundle; the one in memory is served");
            }
            logged = problem;
        }
    }

    /// Takes the newest release, unless it is served already.
    ///
    /// # Errors
    /// The store's; a release that cannot be verified, or of which a part is missing. The one served stays.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let Some(stored) = self.store.bundle_index().await? else { return Ok(()) };
        let served = self.served.load_full();
        if served.as_ref().is_some_and(|served| served.stored == stored) {
            return Ok(());
        }
        let corrupt = |what: String| StoreError::Corrupt { table: "bundle", what };
        let index = Index::open(&stored.signed, self.keyring.load().issuers());
        let index = index.map_err(|error| corrupt(format!("the index: {error}")))?;
        let before = served.map(|served| served.parts.clone()).unwrap_or_default();
        let named = index.blobs().collect::<std::collections::HashSet<_>>();
        let parts = stream::iter(named).map(|blob| self.part_of(blob, &before)).buffer_unordered(CONCURRENT_PARTS);
        let mut parts: HashMap<_, _> = parts.try_collect().await?;
        for (sha256, part) in before.into_iter().filter(|(_, part)| part.is_named) {
            parts.entry(sha256).or_insert(Part { is_named: false, ..part });
        }
        let lifetime = Lifetime { everywhere: "no-cache", at_the_edge: "no-cache" }; // replaced in each answer
        let body = Public::new(stored.signed.clone(), "application/cose", lifetime, "offline-bundle");
        self.served.store(Some(Arc::new(Served { stored, index: body, parts })));
        Ok(())
    }

    async fn part_of(&self, blob: Blob, before: &HashMap<[u8; 32], Part>) -> Result<([u8; 32], Part), StoreError> {
        if let Some(part) = before.get(&blob.sha256) {
            return Ok((blob.sha256, Part { is_named: true, ..part.clone() }));
        }
        let bytes = self.store.bundle_part(blob.sha256).await?.filter(|bytes| Blob::of(bytes) == blob);
        let missing = || StoreError::Corrupt { table: "bundle_parts", what: "a part that the index names".into() };
        let body =
            Public::new(bytes.ok_or_else(missing)?, "application/octet-stream", PART_LIFETIME, "offline-bundle-parts");
        Ok((blob.sha256, Part { body, is_named: true }))
    }

    /// The index, with the time until the next one.
    ///
    /// # Errors
    /// 503: none was released yet, or this node has not reached the store since its start.
    pub(crate) fn index(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let served = self.served.load();
        let served = served.as_ref().ok_or_else(|| {
            let detail = "This node has no offline bundle yet; another may have one, or the first is being made";
            Problem::new(ProblemType::Unavailable, detail).retry_after(5)
        })?;
        let next = ranges::release_before(served.stored.released_at, self.release_period).plus(self.release_period);
        let fresh = next.since((self.clock)()).max(OVERDUE).as_secs();
        let mut response = served.index.respond(request);
        for name in [CACHE_CONTROL, CDN_CACHE_CONTROL] {
            let value = HeaderValue::try_from(format!("public, max-age={fresh}, {IF_ERROR}"));
            response.headers_mut().insert(name, value.expect("digits are a header value"));
        }
        Ok(response)
    }

    /// A part, by its SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// 404: neither this release nor the one before names it.
    pub(crate) fn part(&self, sha256: &str, request: &HeaderMap) -> Result<Response, Problem> {
        let served = self.served.load();
        let part = sha256_of(sha256).and_then(|sha256| served.as_ref()?.parts.get(&sha256));
        let missing = || Problem::new(ProblemType::NotFound, "The bundle names no such part: read its index again");
        Ok(part.ok_or_else(missing)?.body.respond(request))
    }

    /// Reports the bundle's age.
    pub(crate) fn report(&self) {
        let now = (self.clock)();
        let age = self.served.load().as_ref().map(|served| now.since(served.stored.released_at).as_secs_f64());
        metrics::gauge!("offline_bundle_age_seconds").set(age.unwrap_or(f64::INFINITY));
    }
}

/// 64 lower-case hexadecimal digits: a part has one path.
fn sha256_of(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8));
    bytes.collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use axum::http::StatusCode;
    use axum::http::header::{ETAG, IF_NONE_MATCH};
    use bytes::Bytes;
    use parking_lot::Mutex;
    use yima_schema::bundle::{AcceptanceRules, Ages, PartName, SlotParts};
    use yima_schema::code::{IssuerKey, IssuerKeys};
    use yima_schema::seal::SealKeys;

    use super::*;
    use crate::keyring::Keyring;

    /// A store with one release at a time.
    #[derive(Default)]
    struct Store {
        index: Mutex<Option<StoredIndex>>,
        parts: Mutex<HashMap<[u8; 32], Bytes>>,
        is_down: AtomicBool,
    }

    #[async_trait]
    impl BundleReader for Store {
        async fn bundle_index(&self) -> Result<Option<StoredIndex>, StoreError> {
            if self.is_down.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("down".into()));
            }
            Ok(self.index.lock().clone())
        }

        async fn bundle_part(&self, sha256: [u8; 32]) -> Result<Option<Bytes>, StoreError> {
            Ok(self.parts.lock().get(&sha256).cloned())
        }
    }

    impl Store {
        /// Releases an index at that second which names these parts.
        fn release(&self, key: &IssuerKey, second: i64, parts: &[&'static [u8]]) {
            let released_at = Time::from_secs(second);
            let name = |(from, part): (i64, &&[u8])| PartName {
                from: Time::from_secs(from),
                to: released_at,
                blob: Blob::of(part),
            };
            let hour = Duration::from_secs(3_600);
            let index = Index {
                region: "xian".into(),
                released_at,
                ages: Ages { warn: hour, grace: hour, stop: hour },
                issuers: vec![key.verifying_key()],
                rules: AcceptanceRules {
                    version: 1,
                    proof_age: hour,
                    ahead: hour,
                    lag: hour,
                    issued_not_before: Time::EPOCH,
                },
                denylist: vec![SlotParts { slot: 1, parts: (0..).zip(parts).map(name).collect() }],
                emergency: None,
                guidance: None,
                foreign: None,
            };
            let signed = index.sign(key).unwrap().into();
            *self.index.lock() = Some(StoredIndex { released_at, signed });
        }

        fn keep(&self, part: &'static [u8]) {
            self.parts.lock().insert(Blob::of(part).sha256, Bytes::from_static(part));
        }
    }

    fn key() -> IssuerKey {
        IssuerKey::from_pkcs8(&IssuerKey::generate()).unwrap()
    }

    /// 2026-11-30T01:36:40Z.
    fn clock() -> Time {
        Time::from_secs(1_796_002_600)
    }

    fn bundle(store: &Arc<Store>, key: &IssuerKey) -> Arc<OfflineBundle> {
        let seal = || SealKeys::new(&[[1; 32]], "handle");
        let issuers = IssuerKeys::new(vec![key.verifying_key()]);
        let keyring = CurrentKeyring::new(Keyring::new(None, issuers, seal(), seal(), seal()));
        OfflineBundle::new(store.clone(), keyring, Duration::from_secs(300), clock)
    }

    fn path(part: &[u8]) -> String {
        Blob::of(part).sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn the_newest_release_is_served_with_the_time_until_the_next_and_while_the_store_is_down() {
        let (store, key) = (Arc::new(Store::default()), key());
        let bundle = bundle(&store, &key);
        let none = HeaderMap::new();
        bundle.refresh().await.unwrap();
        assert_eq!(bundle.index(&none).err().unwrap().kind.status(), 503);
        store.keep(b"first");
        store.release(&key, 1_796_002_500, &[b"first"]);
        bundle.refresh().await.unwrap();
        store.is_down.store(true, Ordering::SeqCst);
        assert!(bundle.refresh().await.is_err());
        let index = bundle.index(&none).unwrap();
        assert_eq!(index.status(), StatusCode::OK);
        assert_eq!(index.headers()[CACHE_CONTROL], "public, max-age=200, stale-if-error=86400");
        assert_eq!(index.headers()[CDN_CACHE_CONTROL], index.headers()[CACHE_CONTROL]);
        let again = bundle.index(&HeaderMap::from_iter([(IF_NONE_MATCH, index.headers()[ETAG].clone())])).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let part = bundle.part(&path(b"first"), &none).unwrap();
        assert_eq!(part.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
        for wrong in ["", "0", &path(b"other"), &path(b"first").to_uppercase(), &path(b"first")[..63], "zz"] {
            assert_eq!(bundle.part(wrong, &none).err().unwrap().kind.status(), 404, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_part_is_served_for_one_release_more() {
        let (store, key) = (Arc::new(Store::default()), key());
        let bundle = bundle(&store, &key);
        let names: [&'static [u8]; 3] = [b"first", b"second", b"third"];
        for (at, part) in (1_796_002_500..).step_by(1).zip(names) {
            store.keep(part);
            store.release(&key, at, &[part]);
            bundle.refresh().await.unwrap();
        }
        let served = names.map(|part| bundle.part(&path(part), &HeaderMap::new()).is_ok());
        assert_eq!(served, [false, true, true]);
    }

    #[tokio::test]
    async fn a_release_that_lacks_a_part_or_is_not_rightly_signed_changes_nothing() {
        let (store, key) = (Arc::new(Store::default()), key());
        let bundle = bundle(&store, &key);
        store.keep(b"first");
        store.release(&key, 1_796_002_500, &[b"first"]);
        bundle.refresh().await.unwrap();
        store.release(&key, 1_796_002_800, &[b"first", b"lost"]);
        assert!(bundle.refresh().await.is_err());
        store.release(&self::key(), 1_796_002_800, &[b"first"]);
        assert!(bundle.refresh().await.is_err());
        assert_eq!(bundle.served.load().as_ref().unwrap().stored.released_at, Time::from_secs(1_796_002_500));
    }
}
