//! `yima region rejoin`: brings a retired region back, in that region. The steps in the database:
//! `store/src/cql/retirement/rejoin.rs`.

use std::sync::Arc;

use yima_schema::code::TokenKeys;
use yima_schema::rules::Rules;
use yima_store::cql::{CqlOptions, CqlStore, begin_rejoin};
use yima_store::{StoreError, failpoint};

use super::{rebuild, reconcile};

/// What the region lacked and had.
pub struct Rejoined {
    /// The events of this region that were copied to others, and those of others that were copied here.
    pub reconciled: reconcile::Report,
}

/// Takes the region back: its replicas, its views, the events of before that only its disks have, and those of others
/// since. `None` if it is not retired. Continues a rejoin that was interrupted.
///
/// # Errors
/// The store's, of any region: steps that were taken stay, and the next run continues. `Rejected`, with what to do.
pub async fn rejoin(
    options: &CqlOptions,
    rules: Arc<Rules>,
    tokens: Arc<TokenKeys>,
    how: reconcile::Options,
    on_rebuild: impl Fn(&rebuild::Report) + Send + Sync,
    on_reconcile: impl Fn(&reconcile::Report) + Send + Sync,
) -> Result<Option<Rejoined>, StoreError> {
    let options = CqlOptions { rejoins: true, ..options.clone() };
    let Some(begun) = begin_rejoin(&options, (options.clock)()).await? else { return Ok(None) };
    if !begun.rebuilt {
        rebuild::rebuild(&options, rules.clone(), tokens.clone(), how.rate, on_rebuild).await?;
    }
    failpoint::pass("region_rebuilt")?;
    let store = CqlStore::open(options).await?;
    let reconciled = reconcile::reconcile(&store, rules, tokens, how, on_reconcile).await?;
    failpoint::pass("region_reconciled")?;
    store.finish_rejoin(begun).await?;
    Ok(Some(Rejoined { reconciled }))
}
