//! A region's row, read before the statements are prepared: at start, by `yima migrate` and before a rebuild.

use scylla::client::session::Session;

use crate::cql::CqlOptions;
use crate::cql::error::from_driver;
use crate::cql::outcome::rows;
use crate::{Result, StoreError};

const TABLE: &str = "regions";

/// A row of the registry of regions.
pub(in crate::cql) struct RegionRow {
    datacenter: String,
    pub(in crate::cql) epoch: i32,
    state: Option<String>,
    fingerprint: Vec<u8>,
}

impl RegionRow {
    /// Checks that it is the region that the options mean.
    pub(in crate::cql) fn check(&self, options: &CqlOptions) -> Result<()> {
        if self.datacenter != options.datacenter {
            return Err(StoreError::Rejected(format!(
                "the region {} is registered in datacenter {}, not {}: correct region.name or store.cql.datacenter",
                options.region, self.datacenter, options.datacenter
            )));
        }
        self.check_fingerprint(options)
    }

    /// Whether a rebuild has started and not finished.
    pub(in crate::cql) fn is_rebuilding(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state != "ready")
    }

    /// Checks that it derives subject ids by the same pseudonym key: so must every region.
    pub(super) fn check_fingerprint(&self, options: &CqlOptions) -> Result<()> {
        if self.fingerprint != options.pseudonym_fingerprint {
            return Err(StoreError::Rejected(
                "the database was filled with another pseudonym key, under which no subject would be found: restore \
                 that key (keys/pseudonym.key), the same in every region, or choose another store.cql.keyspace"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// Reads one region's row.
pub(in crate::cql) async fn region_row(session: &Session, keyspace: &str, region: &str) -> Result<Option<RegionRow>> {
    let text =
        format!("SELECT datacenter, epoch, state, pseudonym_fingerprint FROM {keyspace}.{TABLE} WHERE region = ?");
    let found = session.query_unpaged(text, (region,)).await.map_err(|e| from_driver(TABLE, &e))?;
    let corrupt = |_| StoreError::Corrupt { table: TABLE, what: "a row".into() };
    let row = rows(TABLE, found)?.maybe_first_row::<(String, i32, Option<String>, Vec<u8>)>().map_err(corrupt)?;
    Ok(row.map(|(datacenter, epoch, state, fingerprint)| RegionRow { datacenter, epoch, state, fingerprint }))
}
