//! Releases on the real embedded store.

use yima_schema::bundle::{TagSet, cover};
use yima_schema::code::{DenialTag, SLOT};
use yima_schema::subject::SubjectId;
use yima_schema::time::{DAY, HOUR};
use yima_schema::view::{Version, View};
use yima_service::clock::now;
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{BundleReader, Denial, ViewWrite, WriterStore};

use super::*;

const PERIOD: Duration = Duration::from_secs(300);

fn key(n: u8) -> IssuerKey {
    static KEYS: std::sync::LazyLock<[Vec<u8>; 2]> =
        std::sync::LazyLock::new(|| [IssuerKey::generate(), IssuerKey::generate()]);
    IssuerKey::from_pkcs8(&KEYS[usize::from(n)]).unwrap()
}

fn issuers(n: u8) -> IssuerKeys {
    IssuerKeys::new(vec![key(n).verifying_key()])
}

fn store(dir: &tempfile::TempDir, name: &str) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(&dir.path().join(name), EmbeddedOptions::new("test", [0; 16])).unwrap()
}

/// A writer that has just started, with that key.
fn writer(store: &Arc<EmbeddedStore>, n: u8) -> Releases {
    let keys = move || Some(ReleaseKeys { signs: key(n), issuers: vec![key(n).verifying_key()] });
    let content = Content { guidance: Bytes::from_static(b"{}"), foreign: Arc::new(|| None) };
    Releases::new(store.clone(), "test".into(), OfflineConfig::default(), content, Arc::new(keys), now)
}

async fn release(writer: &Releases, at: Time) -> Option<Outcome> {
    writer.tick(at, &mut None, &mut PartCache::default()).await.unwrap()
}

/// A release's moment. The present, at which the store takes what is denied, is that of 20: no release looks back further
/// than an hour.
fn moment(n: u32) -> Time {
    ranges::release_before(now(), PERIOD).minus(PERIOD * 20).plus(PERIOD * n)
}

async fn deny(store: &EmbeddedStore, denials: Vec<Denial>) {
    let subject = SubjectId::from_bytes(rand_bytes());
    let (next, view) = (Version::ABSENT.next(store.epoch()), View::default().encode());
    let write = ViewWrite { subject, expected: Version::ABSENT, next, view, denials };
    store.compare_and_set(vec![write]).await.unwrap();
}

fn rand_bytes() -> [u8; 16] {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    u128::from(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).to_be_bytes()
}

/// A uniform tag in the slot of `at`, so many slots later.
fn denial(at: Time, later: i64, n: u64) -> Denial {
    let slot = at.as_secs() / SLOT.as_secs() as i64 + later;
    Denial { slot, tag: DenialTag(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()) }
}

async fn index(store: &EmbeddedStore, n: u8) -> Index {
    let stored = store.bundle_index().await.unwrap().unwrap();
    let index = Index::open(&stored.signed, &issuers(n)).unwrap();
    assert_eq!(index.released_at, stored.released_at);
    index
}

/// Which of the denials a scanner finds that holds nothing, or only the parts of ranges that are the shortest.
async fn found(store: &EmbeddedStore, index: &Index, denials: &[Denial]) -> Vec<bool> {
    let mut all = Vec::new();
    for holds_short in [false, true] {
        let mut found = Vec::new();
        for denial in denials {
            let slot = index.denylist.iter().find(|slot| slot.slot == denial.slot).unwrap();
            let is_held = |part: &yima_schema::bundle::PartName| holds_short && part.to.since(part.from) <= PERIOD;
            let mut is_found = false;
            for part in cover(&slot.parts, index.released_at, is_held).unwrap() {
                let bytes = store.bundle_part(part.blob.sha256).await.unwrap().unwrap();
                is_found |= TagSet::decode(&bytes).unwrap().matches(denial.tag);
            }
            found.push(is_found);
        }
        all.push(found);
    }
    assert_eq!(all[0], all[1]);
    all.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_release_has_what_is_denied_by_then_whoever_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, "store");
    let at = moment(0);
    // The release of the slot's last moments is of the next slot already.
    let denials: Vec<_> = (1..80).map(|n| denial(moment(20), (n % 4) as i64, n)).collect();
    for (n, denial) in (0..20).zip(&denials) {
        deny(&store, vec![*denial]).await;
        // Another process each time, so with nothing in memory.
        let writer = writer(&store, 0);
        assert_eq!(release(&writer, moment(n)).await, Some(Outcome::Released));
        assert_eq!(release(&writer, moment(n).plus(PERIOD / 2)).await, None, "the next one is not due");
        let index = index(&store, 0).await;
        assert_eq!(index.released_at, at.plus(PERIOD * n));
        let known = usize::try_from(n).unwrap() + 1;
        let in_index: Vec<_> = index.denylist.iter().map(|slot| slot.slot).collect();
        let here: Vec<_> = denials.iter().filter(|denial| in_index.contains(&denial.slot)).copied().collect();
        let expected: Vec<_> = here.iter().map(|denial| denials[..known].contains(denial)).collect();
        assert_eq!(found(&store, &index, &here).await, expected, "release {n}");
    }
    // A release after an hour's silence covers all of it.
    assert_eq!(release(&writer(&store, 0), moment(50)).await, Some(Outcome::Released));
    let index = index(&store, 0).await;
    let here: Vec<_> = denials[..20].iter().filter(|denial| denial.slot >= index.denylist[0].slot).copied().collect();
    assert!(found(&store, &index, &here).await.into_iter().all(|found| found));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_in_the_next_release_at_once_and_is_over_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, "store");
    let (writer, at) = (writer(&store, 0), moment(0));
    let (mut known, mut parts) = (None, PartCache::default());
    let mut tick = async |at| writer.tick(at, &mut known, &mut parts).await.unwrap();
    assert_eq!(tick(at).await, Some(Outcome::Released));
    let emergency = Emergency::start(at, HOUR, DAY, "the network is down").unwrap();
    store.set_emergency(Some(emergency.to_json().into_bytes())).await.unwrap();
    let started = at.plus(Duration::from_secs(7));
    assert_eq!(tick(started).await, Some(Outcome::Released));
    let released = index(&store, 0).await;
    assert_eq!((released.released_at, released.emergency.as_ref()), (started, Some(&emergency)));
    assert_eq!(tick(started.plus(Duration::from_secs(1))).await, None);
    assert_eq!(tick(emergency.until).await, Some(Outcome::Released));
    assert!(index(&store, 0).await.emergency.is_none());
    store.set_emergency(Some(b"{".to_vec())).await.unwrap();
    assert_eq!(tick(emergency.until.plus(Duration::from_secs(1))).await, None, "damage is no emergency");
    store.set_emergency(None).await.unwrap();
    assert_eq!(tick(emergency.until.plus(Duration::from_secs(1))).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_part_or_a_revoked_key_everything_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (store(&dir, "first"), store(&dir, "second"));
    let denials = [denial(moment(2), 0, 1), denial(moment(2), 1, 2)];
    for store in [&first, &second] {
        deny(store, denials.to_vec()).await;
    }
    release(&writer(&first, 0), moment(0)).await;
    // An index whose parts are not there.
    let stored = first.bundle_index().await.unwrap().unwrap();
    assert!(second.replace_bundle_index(None, stored).await.unwrap());
    assert_eq!(release(&writer(&second, 0), moment(1)).await, Some(Outcome::Released));
    assert_eq!(found(&second, &index(&second, 0).await, &denials).await, [true, true]);
    // Of a key that the writer does not know any more.
    assert_eq!(release(&writer(&second, 1), moment(2)).await, Some(Outcome::Released));
    let index = index(&second, 1).await;
    assert_eq!(index.denylist[0].parts.len(), 1, "nothing is taken over from it");
    assert_eq!(found(&second, &index, &denials).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_without_a_key_leaves_the_release_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, "store");
    let mut writer = writer(&store, 0);
    writer.keys = Arc::new(|| None);
    assert_eq!(release(&writer, moment(0)).await, Some(Outcome::NotMine));
    assert!(store.bundle_index().await.unwrap().is_none());
}
