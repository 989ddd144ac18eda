//! `yima region retire`: gives up another region for good. The steps in the database:
//! `store/src/cql/retirement/retire.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use yima_schema::code::TokenKeys;
use yima_schema::rules::Rules;
use yima_schema::subject::SubjectId;
use yima_store::cql::{CqlStore, Retirement};
use yima_store::{MarkFeed, Place, Source, StoreError};

use crate::backoff::with_backoff;
use crate::fold::Folder;

/// Marks read, and subjects folded, together.
const PAGE: usize = 500;

/// A region that was retired.
pub struct Retired {
    /// Its row.
    pub retirement: Retirement,
    /// Whether its datacenter was taken from the replicas of the shared keyspace; otherwise an operator has to do so,
    /// because they are not given by numbers.
    pub replicas_removed: bool,
}

/// Retires a region, or finishes a retirement that was interrupted.
///
/// `force`: also if it gives signs of life.
///
/// # Errors
/// The store's: steps that were taken stay, and the next run continues. `Rejected`, with what to do, also if the region
/// lives.
pub async fn retire(
    store: &Arc<CqlStore>,
    rules: Arc<Rules>,
    tokens: Arc<TokenKeys>,
    region: &str,
    force: bool,
) -> Result<Retired, StoreError> {
    if !force {
        let regions = store.regions().await?;
        let is_retired = regions.iter().any(|known| known.name == region && known.is_out_of_service());
        // A repetition: it may have come back, and stays retired.
        if !is_retired {
            store.check_is_silent(region).await?;
        }
    }
    let retirement = store.begin_retirement(region).await?;
    if !retirement.is_out_of_service() {
        let folder = Folder::start(store.clone(), rules, tokens).await?;
        let folded = fold_arrived(&**store, &folder, region).await;
        folder.close().await?;
        folded?;
    }
    let (retirement, replicas_removed) = store.finish_retirement(&retirement).await?;
    Ok(Retired { retirement, replicas_removed })
}

/// Folds every event of the region that has arrived here, also beyond marks that have not: once it is retired, nobody
/// follows its marks.
async fn fold_arrived(marks: &dyn MarkFeed, folder: &Folder, region: &str) -> Result<(), StoreError> {
    let sources = with_backoff(|| marks.sources()).await?;
    for source in sources.iter().filter(|source| source.region == region) {
        let mut after = source.position;
        while let Some((last, subjects)) = arrived(marks, source, after).await? {
            with_backoff(|| folder.refold(&subjects)).await?;
            after = last;
        }
    }
    Ok(())
}

/// The last mark of a page, and the subjects of those whose events are here; `None` without marks.
async fn arrived(
    marks: &dyn MarkFeed,
    source: &Source,
    after: u64,
) -> Result<Option<(u64, Vec<SubjectId>)>, StoreError> {
    let page = with_backoff(|| marks.marks(source, Place::Here, after, PAGE)).await?;
    let Some((last, _)) = page.last() else { return Ok(None) };
    let last = *last;
    let names: Vec<_> = page.into_iter().filter_map(|(_, name)| name).collect();
    let are_here = with_backoff(|| marks.arrived(&names)).await?;
    let here = names.iter().zip(are_here).filter(|(_, is_here)| *is_here);
    let subjects: BTreeSet<SubjectId> = here.map(|(name, _)| name.subject).collect();
    Ok(Some((last, subjects.into_iter().collect())))
}
