//! Which engine a process runs on, and what each service takes of it.

use std::sync::Arc;

use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::clock::now;
use yima_store::cql::{self, CqlOptions, CqlStore};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_store::{Feed, ViewReader, WriterStore};

use crate::config::{Config, Role};
use crate::demo::load;
use crate::error::Failure;
use crate::{Engine, Options, migrate};

/// How the store will be opened: all that can be known to be wrong before anything is opened.
pub enum Plan {
    /// See [`EmbeddedStore`].
    Embedded,
    /// See [`CqlStore`].
    Cql(Box<CqlOptions>),
}

/// An open store.
pub enum Store {
    /// Of this process alone.
    Embedded(Arc<EmbeddedStore>),
    /// Of every process that has the same keyspace.
    Cql(Arc<CqlStore>),
}

impl Plan {
    /// The engine that was asked for, or that goes with the role.
    ///
    /// # Errors
    /// An engine that the role cannot run on, or settings of `store.cql`.
    pub fn new(role: Role, options: &Options, config: &Config) -> Result<Self, Failure> {
        match (role, options.store) {
            (Role::Everything, None | Some(Engine::Embedded)) => Ok(Self::Embedded),
            (Role::ReadApi | Role::Writer, Some(Engine::Embedded)) => Err(Failure::EmbeddedApart),
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
    pub async fn open(
        self,
        role: Role,
        population: u64,
        options: &Options,
        config: &Config,
        pseudonyms: &PseudonymKey,
        rules: &Arc<Rules>,
    ) -> Result<Store, Failure> {
        match self {
            Self::Embedded => {
                let settings = EmbeddedOptions {
                    region: config.region.name.clone(),
                    pseudonym_fingerprint: pseudonyms.fingerprint(),
                    cache_bytes: config.store.cache_bytes,
                    changes_retention: config.store.changes_retention,
                };
                let (data_dir, pseudonyms, rules) = (options.data_dir.clone(), pseudonyms.clone(), rules.clone());
                let opened = tokio::task::spawn_blocking(move || {
                    let store = EmbeddedStore::open(&data_dir.join("store"), settings)?;
                    load::import(&store, &data_dir, population, &pseudonyms, &rules, now())?;
                    Ok::<_, Failure>(Store::Embedded(store))
                });
                opened.await.map_err(|_| Failure::Usage("opening the store was interrupted".into()))?
            }
            Self::Cql(settings) => {
                let settings = CqlOptions { pseudonym_fingerprint: pseudonyms.fingerprint(), ..*settings };
                if role == Role::Everything && !cql::is_migrated(&settings).await? {
                    for step in cql::migrate(&settings, None, now()).await? {
                        tracing::info!("{}", migrate::in_words(&step));
                    }
                }
                Ok(Store::Cql(CqlStore::open(settings).await?))
            }
        }
    }
}

impl Store {
    /// What the read service looks up.
    pub fn views(&self) -> Arc<dyn ViewReader> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// What the read service follows.
    pub fn feed(&self) -> Arc<dyn Feed> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
        }
    }

    /// What the writer works on.
    pub fn writer(&self) -> Arc<dyn WriterStore> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Cql(store) => store.clone(),
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
            Self::Cql(_) => {}
        }
    }

    /// Waits until everything is on disk.
    pub async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            Self::Cql(_) => {}
        }
    }
}
