//! Cases of denials and of the offline bundle.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use yima_schema::code::DenialTag;
use yima_schema::time::{DAY, Time};
use yima_schema::view::Version;

use super::fixture::{subject, write};
use super::{ConformanceError, Harness, ensure};
use crate::{CompareAndSet, Denial, StoredIndex, ViewWrite};

fn now() -> Time {
    Time::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn denial(slot: i64) -> Denial {
    Denial { slot, tag: DenialTag(rand::random()) }
}

pub(super) async fn denials_are_there_once_their_view_is_set(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let slot = now().as_secs() / (6 * 3_600);
    let denials = [denial(slot), denial(slot), denial(slot + 1)];
    let first = Version::ABSENT.next(store.epoch());
    let view = ViewWrite { denials: denials.to_vec(), ..write(subject(), Version::ABSENT, first, 1) };
    let set = store.compare_and_set(vec![view]).await?;
    ensure!(set == [CompareAndSet::Set], "the view was not set");
    let has = async |slot, since, denial: &Denial| {
        let found = store.denials(slot, since, 10_000).await?;
        Ok::<_, ConformanceError>(found.contains(&denial.tag))
    };
    for denial in &denials {
        ensure!(has(denial.slot, now(), denial).await?, "a denial is missing just after its view was set");
        ensure!(has(denial.slot, now().minus(DAY), denial).await?, "a denial of an earlier time is missing");
        ensure!(!has(denial.slot + 2, now(), denial).await?, "a denial is in another slot");
        ensure!(!has(denial.slot, now().plus(DAY), denial).await?, "a denial is found after its time");
    }
    let few = store.denials(slot, now(), 1).await?;
    ensure!(!few.is_empty(), "a limit of 1 finds nothing");
    let store = harness.reopen(store).await;
    let found = store.denials(slot, now().minus(DAY), 10_000).await?;
    ensure!(found.contains(&denials[0].tag), "a restart has lost a denial");
    Ok(())
}

pub(super) async fn one_of_two_releases_replaces_the_index(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let index = |at: Time, n: u8| StoredIndex { released_at: at, signed: Bytes::from(vec![n; 2_000]) };
    // Other cases, or an earlier run of this one, may have released in the same store.
    let before = store.bundle_index().await?.map(|index| index.released_at);
    let at = before.unwrap_or(Time::from_secs(1_796_000_400)).plus(DAY);
    let (one, other) = tokio::join!(
        store.replace_bundle_index(before, index(at, 1)),
        store.replace_bundle_index(before, index(at, 2))
    );
    let (one, other) = (one?, other?);
    ensure!(one != other, "of two releases over the same one {}", if one { "both counted" } else { "none counted" });
    let found = store.bundle_index().await?;
    ensure!(found == Some(index(at, if one { 1 } else { 2 })), "the index is not the one that was released");
    ensure!(!store.replace_bundle_index(before, index(at.plus(DAY), 3)).await?, "a release replaced an unseen one");
    let next = index(at.plus(DAY), 4);
    ensure!(store.replace_bundle_index(Some(at), next.clone()).await?, "the next release was refused");
    let store = harness.reopen(store).await;
    ensure!(store.bundle_index().await? == Some(next), "a restart has lost the release");
    ensure!(store.lease_bundle().await?, "the only builder has no lease");
    Ok(())
}

pub(super) async fn parts_and_an_emergency_are_kept(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let (sha256, part): ([u8; 32], _) = (rand::random(), Bytes::from(vec![7; 200_000]));
    ensure!(store.bundle_part(sha256).await?.is_none(), "a part is there before it was written");
    for _ in 0..2 {
        store.keep_bundle_part(sha256, part.clone()).await?;
    }
    store.set_emergency(Some(b"{}".to_vec())).await?;
    let store = harness.reopen(store).await;
    ensure!(store.bundle_part(sha256).await? == Some(part), "a part is missing or altered");
    ensure!(store.emergency().await? == Some(b"{}".to_vec()), "an emergency is missing or altered");
    store.set_emergency(None).await?;
    ensure!(store.emergency().await?.is_none(), "an emergency is there after its end");
    Ok(())
}
