//! Opening the store: the engine by role and options, migration at the first start, and a database that is unreachable
//! at the start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use yima_schema::subject::PseudonymKey;
use yima_service::clock::now;
use yima_service::lifecycle::Lifecycle;
use yima_store::cql::{self, CqlOptions, CqlStore};
use yima_store::embedded::EmbeddedStore;
use yima_store::{Deferred, StoreError};

use super::{ReadStore, WriteStore};
use crate::cli::{Engine, Options};
use crate::config::{Config, Role};
use crate::error::CommandError;
use crate::migrate;

/// Interval between attempts to reach an unreachable database.
const RECONNECT_EVERY: Duration = Duration::from_secs(2);

/// How the store will be opened: every check that needs no open store has passed.
pub enum Plan {
    /// See [`EmbeddedStore`].
    Embedded,
    /// See [`CqlStore`].
    Cql(Box<CqlOptions>),
}

/// The inputs of opening, beside the plan.
pub struct Opening<'a> {
    /// The role of the process.
    pub role: Role,
    /// Ends the attempts to reach a database.
    pub lifecycle: &'a Lifecycle,
    /// The command line.
    pub options: &'a Options,
    /// All settings.
    pub config: &'a Config,
    /// The key of the store's subject ids.
    pub pseudonyms: &'a PseudonymKey,
}

impl Plan {
    /// The engine of the command line, or the default of the role.
    ///
    /// # Errors
    /// The role cannot run on the engine, or settings of `store.cql` are invalid.
    pub fn new(role: Role, options: &Options, config: &Config) -> Result<Self, CommandError> {
        match (role, options.store) {
            (Role::Everything, None | Some(Engine::Embedded)) => Ok(Self::Embedded),
            (Role::ReadApi | Role::Writer, Some(Engine::Embedded)) => Err(CommandError::EmbeddedApart),
            (Role::Everything | Role::ReadApi | Role::Writer, None | Some(Engine::Cql)) => {
                Ok(Self::Cql(Box::new(config.cql()?)))
            }
        }
    }

    /// The default size of the demo population: none on a CQL store that may hold real data.
    pub fn population(&self, config: &Config) -> u64 {
        match self {
            Self::Embedded => 100_000,
            Self::Cql(_) if config.is_real() => 0,
            Self::Cql(_) => 10_000,
        }
    }

    /// Opens the store for a process with a writer. With everything in one process, missing keyspaces are created
    /// first.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub async fn open_for_writing(self, opening: Opening<'_>) -> Result<WriteStore, CommandError> {
        let Opening { role, options, config, pseudonyms, .. } = opening;
        match self {
            Self::Embedded => {
                let (path, settings) = (options.data_dir.join("store"), config.embedded(pseudonyms));
                let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path, settings)).await;
                Ok(WriteStore::Embedded(opened.map_err(|_| CommandError::Interrupted("opening the store"))??))
            }
            Self::Cql(settings) => {
                let settings = identified(*settings, pseudonyms);
                if role == Role::Everything && !cql::is_migrated(&settings).await? {
                    for step in cql::migrate(&settings, None, now()).await? {
                        tracing::info!("{}", migrate::describe(&step));
                    }
                }
                Ok(WriteStore::Cql(CqlStore::open(settings).await?))
            }
        }
    }

    /// Opens the store for a read node without a writer. With `can_defer` an unreachable database is no error: it is
    /// reached later, and until then the node serves from its disk tier.
    ///
    /// # Errors
    /// The store cannot be opened, or belongs to one process.
    pub async fn open_for_reading(self, opening: Opening<'_>, can_defer: bool) -> Result<ReadStore, CommandError> {
        let settings = match self {
            Self::Embedded => return Err(CommandError::EmbeddedApart),
            Self::Cql(settings) => identified(*settings, opening.pseudonyms),
        };
        match CqlStore::open(settings.clone()).await {
            Ok(store) => Ok(ReadStore::Cql(store)),
            Err(error @ (StoreError::Unavailable(_) | StoreError::TimedOut)) if can_defer => {
                tracing::warn!(%error, "database unreachable; serving from the disk tier");
                Ok(ReadStore::Deferred(reach_later(settings, opening.lifecycle)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn identified(settings: CqlOptions, pseudonyms: &PseudonymKey) -> CqlOptions {
    CqlOptions { pseudonym_fingerprint: pseudonyms.fingerprint(), ..settings }
}

/// Opens the store in the background as soon as the database answers; logs each new reason why it cannot be opened.
fn reach_later(settings: CqlOptions, lifecycle: &Lifecycle) -> Arc<Deferred<CqlStore>> {
    let deferred = Arc::new(Deferred::default());
    let target = Arc::clone(&deferred);
    lifecycle.spawn_until_stop("database", async move {
        let mut logged = String::new();
        let mut ticks = tokio::time::interval(RECONNECT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match CqlStore::open(settings.clone()).await {
                Ok(store) => {
                    tracing::info!("database reached; views are loaded from it again");
                    return target.set(store);
                }
                Err(error) if error.to_string() != logged => {
                    logged = error.to_string();
                    tracing::warn!(%error, "the database cannot be opened; trying again");
                }
                Err(_) => {}
            }
        }
    });
    deferred
}
