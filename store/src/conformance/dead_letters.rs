//! Cases of dead letters.

use std::time::{SystemTime, UNIX_EPOCH};

use yima_schema::dead_letter::DeadLetterId;
use yima_schema::time::{DAY, Time};

use super::{ConformanceError, Harness, ensure};
use crate::SealedLetter;

/// A letter of so many days ago.
fn letter(days_ago: u32) -> SealedLetter {
    let now = Time::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let id = DeadLetterId::new(now.minus(DAY * days_ago), rand::random());
    SealedLetter { id, content: id.digest.to_vec() }
}

pub(super) async fn a_dead_letter_is_kept_until_it_is_removed(harness: &dyn Harness) -> Result<(), ConformanceError> {
    let store = harness.open().await;
    let mut kept = [letter(2), letter(0), letter(0), letter(1)];
    store.keep_dead_letters(kept.to_vec()).await?;
    store.keep_dead_letters(vec![kept[0].clone()]).await?;
    kept.sort_by_key(|letter| letter.id);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.dead_letters(after, 3).await?;
        ensure!(page.len() <= 3, "a page of 3 had {} letters", page.len());
        let Some(last) = page.last() else { break };
        ensure!(after.is_none_or(|after| page[0].id > after), "a page has letters at or before its start");
        after = Some(last.id);
        found.extend(page);
    }
    // Other cases may have letters in the same store.
    found.retain(|found| kept.iter().any(|letter| letter.id == found.id));
    ensure!(
        found == kept,
        "{} letters were kept and {} found, or their order or content differs",
        kept.len(),
        found.len()
    );
    store.remove_dead_letter(kept[1].id).await?;
    store.remove_dead_letter(kept[1].id).await?;
    let left = store.dead_letters(None, 1_000).await?;
    ensure!(left.iter().all(|letter| letter.id != kept[1].id), "a removed letter is still there");
    ensure!(left.iter().any(|letter| letter.id == kept[0].id), "another letter was removed");
    Ok(())
}
