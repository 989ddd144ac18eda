//! Which engine a process runs on, and what each service takes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::clock::now;
use yima_service::lifecycle::Lifecycle;
use yima_store::cql::{self, CqlOptions, CqlStore};
use yima_store::embedded::EmbeddedStore;
use yima_store::{Deferred, Feed, StoreError, ViewReader, WriterStore};

use crate::config::{Config, Role};
use crate::demo::seed;
use crate::error::CommandError;
use crate::{Engine, Options, migrate};

/// How often a database that does not answer is tried again.
const REACH_EVERY: Duration = Duration::from_secs(2);

/// How the store will be opened: all that can be known to be wrong before anything is opened.
pub enum Plan {
    /// See [`EmbeddedStore`].
    Embedded,
    /// See [`CqlStore`].
    Cql(Box<CqlOptions>),
}

/// What a store is opened with besides.
pub struct Opening<'a> {
    /// For which service.
    pub role: Role,
    /// What goes on behind ends with it.
    pub lifecycle: &'a Lifecycle,
    /// Demo people for an empty store.
    pub population: u64,
    /// Of the command line.
    pub options: &'a Options,
    /// All settings.
    pub config: &'a Config,
    /// Under which its people are known.
    pub pseudonyms: &'a PseudonymKey,
    /// For the demo people's views.
    pub rules: &'a Arc<Rules>,
    /// A database that does not answer is no reason not to start.
    pub can_wait: bool,
}

/// An open store.
pub enum Store {
    /// Of this process alone.
    Embedded(Arc<EmbeddedStore>),
    /// Of every process that has the same keyspace.
    Cql(Arc<CqlStore>),
    /// The same, for a read node that started without its database.
    Deferred(Arc<Deferred<CqlStore>>),
}

impl Plan {
    /// The engine that was asked for, or that goes with the role.
    ///
    /// # Errors
    /// An engine that the role cannot run on, or settings of `store.cql`.
    pub fn new(role: Role, options: &Options, config: &Config) -> Result<Self, CommandError> {
        match (role, options.store) {
            (Role::Everything, None | Some(Engine::Embedded)) => Ok(Self::Embedded),
            (Role::ReadApi | Role::Writer, Some(Engine::Embedded)) => Err(CommandError::EmbeddedApart),
            (Role::Everything | Role::ReadApi | Role::Writer, None | Some(Engine::Cql)) => {
                Ok(Self::Cql(Box::new(config.cql()?)))
            }
        }
    }

    /// Synthetic people, where nobody says how many: none among real ones that others have put there.
    pub fn population(&self, config: &Config) -> u64 {
        match self {
            Self::Embedded => 100_000,
            Self::Cql(_) if config.is_real() => 0,
            Self::Cql(_) => 10_000,
        }
    }

    /// Opens it. Everything in one process makes what is missing: the embedded store with the demo population in it, or the keyspaces.
    ///
    /// # Errors
    /// The store's, or the population's.
    pub async fn open(self, opening: Opening<'_>) -> Result<Store, CommandError> {
        let Opening { role, lifecycle, population, options, config, pseudonyms, rules, can_wait } = opening;
        match self {
            Self::Embedded => {
                let settings = config.embedded(pseudonyms);
                let (data_dir, pseudonyms, rules) = (options.data_dir.clone(), pseudonyms.clone(), rules.clone());
                let opened = tokio::task::spawn_blocking(move || {
                    let store = EmbeddedStore::open(&data_dir.join("store"), settings)?;
                    seed::import(&store, &data_dir, population, &pseudonyms, &rules, now())?;
                    Ok::<_, CommandError>(Store::Embedded(store))
                });
                opened.await.map_err(|_| CommandError::Usage("opening the store was interrupted".into()))?
            }
            Self::Cql(settings) => {
                let settings = CqlOptions { pseudonym_fingerprint: pseudonyms.fingerprint(), ..*settings };
                if role == Role::Everything && !cql::is_migrated(&settings).await? {
                    for step in cql::migrate(&settings, None, now()).await? {
                        tracing::info!("{}", migrate::in_words(&step));
                    }
                }
                match CqlStore::open(settings.clone()).await {
                    Ok(store) => Ok(Store::Cql(store)),
                    Err(fault @ (StoreError::Unavailable(_) | StoreError::TimedOut)) if can_wait => {
                        tracing::warn!(%fault, "the database does not answer: people are shown what was true when it last did");
                        Ok(Store::Deferred(reach(settings, lifecycle)))
                    }
                    Err(fault) => Err(fault.into()),
                }
            }
        }
    }
}

/// Tries again and again, and says so when what keeps it changes.
fn reach(settings: CqlOptions, lifecycle: &Lifecycle) -> Arc<Deferred<CqlStore>> {
    let late = Arc::new(Deferred::default());
    let reached = Arc::clone(&late);
    lifecycle.spawn_until_stop("database", async move {
        let mut said = String::new();
        let mut ticks = tokio::time::interval(REACH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match CqlStore::open(settings.clone()).await {
                Ok(store) => {
                    tracing::info!("the database answers");
                    return reached.set(store);
                }
                Err(fault) if fault.to_string() != said => {
                    said = fault.to_string();
                    tracing::warn!(%fault, "the database cannot be opened; it is tried again");
                }
                Err(_) => {}
            }
        }
    });
    late
}

impl Store {
    /// What the read service looks up.
    pub fn views(&self) -> Arc<dyn ViewReader> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(store) => store.clone(),
        }
    }

    /// What the read service follows.
    pub fn feed(&self) -> Arc<dyn Feed> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(store) => store.clone(),
        }
    }

    /// What the writer works on.
    ///
    /// # Panics
    /// On a store that is not there: only a read node starts without.
    pub fn writer(&self) -> Arc<dyn WriterStore> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
            Self::Deferred(_) => unreachable!("only a read node starts without its database"),
        }
    }

    /// Tells an embedded store from one that it was restored from.
    pub fn id(&self) -> Option<[u8; 16]> {
        match self {
            Self::Embedded(store) => Some(store.store_id()),
            Self::Cql(_) | Self::Deferred(_) => None,
        }
    }

    /// Removes what has expired. A CQL database does so by itself.
    pub async fn trim(&self) {
        match self {
            Self::Embedded(store) => {
                if let Err(fault) = store.trim(now()).await {
                    tracing::warn!(%fault, "expired changes could not be removed");
                }
            }
            Self::Cql(_) | Self::Deferred(_) => {}
        }
    }

    /// Waits until everything is on disk.
    pub async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Cql(_) | Self::Deferred(_) => {}
        }
    }
}
