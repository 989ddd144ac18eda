//! The read service: its keys, its disk tier, and its start.

use std::sync::Arc;

use yima_read_api::config::CacheConfig;
use yima_read_api::{CacheSettings, CitizenWriter, DiskTier, Hints, Keys, ReadApi, Resources};
use yima_schema::subject::PseudonymKey;
use yima_service::oidc::Page;

use super::{Port, Process};
use crate::cli::Options;
use crate::config::Config;
use crate::demo::identity_provider;
use crate::demo::people::People;
use crate::error::CommandError;
use crate::keys::KeyWatch;

/// Opens the disk tier of this node. A disk tier that cannot be used is left out.
///
/// # Errors
/// Another process uses its directory.
pub(super) async fn open_disk(
    options: &Options,
    config: &Config,
    cache: &CacheConfig,
    pseudonyms: &PseudonymKey,
) -> Result<Option<DiskTier>, CommandError> {
    let path = cache.disk_path.clone().unwrap_or_else(|| options.data_dir.join("cache"));
    DiskTier::open(cache, path.clone(), &config.region.name, pseudonyms).await.map_err(|error| {
        let expected = format!("a directory of this process alone; {error}: {}", path.display());
        CommandError::setting("read_api.cache.disk_path", expected)
    })
}

/// Starts the read service, and the demo's identity provider unless a real one is configured.
///
/// # Errors
/// The store's, or a key that cannot be used.
pub(super) async fn start(
    process: &Process<'_>,
    people: People,
    cache: Arc<CacheSettings>,
    disk: Option<DiskTier>,
    writer: Arc<dyn CitizenWriter>,
    (listener, tls): Port,
) -> Result<ReadApi, CommandError> {
    let Process { config, telemetry, lifecycle, keys, pseudonyms, rules, guidance, store, foreign, .. } = process;
    let unnamed = guidance.unnamed(rules);
    if !unnamed.is_empty() {
        let reasons = unnamed.join(", ");
        tracing::warn!(
            reasons,
            "the guidance names not all reasons of the rules: pages show these as they are written"
        );
    }
    let watch = KeyWatch::load(keys.clone(), &config.read_api)?;
    let demo = process.demo(|issuer| identity_provider::router(issuer, people, pseudonyms, rules, store.views()))?;
    process.warn_of_demo(config.read_api.bind);
    let resources = Resources {
        config: &config.read_api(),
        cache,
        disk,
        region: &config.region.name,
        views: store.views(),
        feed: store.feed(),
        bundle: (store.bundle(), config.offline.release_period),
        audit_log: store.audit_log(),
        keys: Keys {
            pseudonyms: pseudonyms.clone(),
            keyring: watch.keyring(),
            identity_provider: process.verifier()?,
            store: store.id(),
        },
        sign_in: process.sign_in(config.read_api.public_url.as_ref(), Page::READING),
        guidance,
        foreign: foreign.clone(),
        writer,
        hints: Hints::new(config.read_api.writers.clone(), pseudonyms),
        listener,
        tls,
        is_described: config.describes(config.read_api.api_docs),
        more: demo,
        utilization: process.utilization.clone(),
        levels: process.levels.clone(),
        telemetry,
        lifecycle,
    };
    let reading = ReadApi::start(resources).await?;
    lifecycle.spawn_until_stop("keys", watch.run(store.audit_log()));
    Ok(reading)
}
