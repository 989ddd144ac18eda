//! The identity of a data directory: recorded when it is created, checked whenever it is opened.

use std::collections::BTreeMap;

use fjall::PersistMode;

use super::EmbeddedOptions;
use super::tables::Tables;
use crate::{Result, StoreError};

/// Key in `meta`: the next stream's number (u32).
pub(super) const NEXT_STREAM: &str = "next_stream";
/// Key in `meta`: present once no event has a date of birth.
pub(super) const BIRTH_DATES: &str = "birth_dates";
/// Key in `meta`: the state of an import.
pub(super) const IMPORT: &str = "import";

const FORMAT: &str = "format";
const REGION: &str = "region";
/// Key in `meta`: see [`Identity::epoch`].
pub(super) const EPOCH: &str = "epoch";
/// Key in `meta`: see [`Identity::store_id`].
pub(super) const STORE_ID: &str = "store_id";
const FINGERPRINT: &str = "pseudonym_fingerprint";

/// The format of keys and rows that this program writes; it refuses a newer one. 2: views of format 2.
const CURRENT_FORMAT: u32 = 2;
/// The first epoch of a store; 0 would leave no room below it.
const FIRST_EPOCH: u16 = 1;

/// Identifies a store.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    /// See [`crate::WriterStore::epoch`].
    pub(super) epoch: u16,
    /// Random, made at creation.
    pub(super) store_id: [u8; 16],
}

impl Identity {
    /// Checks the directory against the options, or records them in a new one.
    pub(super) fn check_or_create(tables: &Tables, options: &EmbeddedOptions) -> Result<Self> {
        match number::<4>(tables, FORMAT)?.map(u32::from_be_bytes) {
            None => Self::create(tables, options),
            Some(format) => {
                check_format(format)?;
                let identity = Self::check(tables, options)?;
                if format < CURRENT_FORMAT {
                    raise_format(tables)?;
                }
                Ok(identity)
            }
        }
    }

    fn create(tables: &Tables, options: &EmbeddedOptions) -> Result<Self> {
        if !tables.events.is_empty()? || !tables.views.is_empty()? {
            return Err(tables.meta.corrupt("the identity is missing"));
        }
        let identity = Self { epoch: FIRST_EPOCH, store_id: rand::random() };
        let mut rows = tables.db.batch().durability(Some(PersistMode::SyncAll));
        let meta = tables.meta.keyspace();
        rows.insert(meta, FORMAT, CURRENT_FORMAT.to_be_bytes());
        rows.insert(meta, REGION, options.region.as_bytes());
        rows.insert(meta, EPOCH, identity.epoch.to_be_bytes());
        rows.insert(meta, STORE_ID, identity.store_id);
        rows.insert(meta, FINGERPRINT, options.pseudonym_fingerprint);
        rows.commit().map_err(|e| tables.meta.error(&e))?;
        Ok(identity)
    }

    fn check(tables: &Tables, options: &EmbeddedOptions) -> Result<Self> {
        let missing = || tables.meta.corrupt("a part of the identity is missing");
        if number(tables, FINGERPRINT)?.ok_or_else(missing)? != options.pseudonym_fingerprint {
            return Err(StoreError::Rejected(
                "the data directory was made with another pseudonym key, under which no subject would be found: \
                 restore that key, or choose another data directory"
                    .into(),
            ));
        }
        let region = tables.meta.get(REGION)?.ok_or_else(missing)?;
        if region.as_ref() != options.region.as_bytes() {
            return Err(StoreError::Rejected(format!(
                "the data directory belongs to region {}, not {}: correct region.name, or choose another data \
                 directory",
                String::from_utf8_lossy(&region),
                options.region
            )));
        }
        Ok(Self {
            epoch: u16::from_be_bytes(number(tables, EPOCH)?.ok_or_else(missing)?),
            store_id: number(tables, STORE_ID)?.ok_or_else(missing)?,
        })
    }
}

/// The epoch of a store restored from these rows of `meta`.
///
/// # Errors
/// `Rejected` for a newer format or after the last epoch; `Corrupt` if the rows are not a store's.
pub(super) fn next_epoch(meta: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<u16> {
    let value = |key: &str| {
        let missing = || StoreError::Corrupt { table: "meta", what: "a part of the identity is missing".into() };
        meta.get(key.as_bytes()).ok_or_else(missing)
    };
    let corrupt = |_| StoreError::Corrupt { table: "meta", what: "a number of another length".into() };
    check_format(u32::from_be_bytes(value(FORMAT)?.as_slice().try_into().map_err(corrupt)?))?;
    let epoch = u16::from_be_bytes(value(EPOCH)?.as_slice().try_into().map_err(corrupt)?);
    epoch
        .checked_add(1)
        .ok_or_else(|| StoreError::Rejected("it was restored 65,534 times: there is no next epoch".into()))
}

/// Every format so far is read as it is; an older program must not open the store once new rows may be in it.
fn raise_format(tables: &Tables) -> Result<()> {
    let mut rows = tables.db.batch().durability(Some(PersistMode::SyncAll));
    rows.insert(tables.meta.keyspace(), FORMAT, CURRENT_FORMAT.to_be_bytes());
    rows.commit().map_err(|e| tables.meta.error(&e))
}

fn check_format(format: u32) -> Result<()> {
    if format <= CURRENT_FORMAT {
        return Ok(());
    }
    Err(StoreError::Rejected(format!(
        "the data has format {format} and this program reads up to {CURRENT_FORMAT}: use a newer program"
    )))
}

fn number<const N: usize>(tables: &Tables, key: &str) -> Result<Option<[u8; N]>> {
    let value = tables.meta.get(key)?;
    value.map(|v| v.as_ref().try_into().map_err(|_| tables.meta.corrupt("a number of another length"))).transpose()
}
