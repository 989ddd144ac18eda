//! The read service: cache, follower, port.

use std::sync::Arc;

use axum::Router;
use yima_read_api::app::{App, Keys};
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::audit::Audit;
use yima_read_api::cache::disk::{Disk, DiskError, DiskOptions, Identity, State};
use yima_read_api::cache::follower::Follower;
use yima_read_api::cache::tuning::Modules;
use yima_read_api::config::CacheConfig;
use yima_schema::subject::PseudonymKey;
use yima_service::clock::now;
use yima_service::http::{EdgeLayer, serve};

use super::{Port, Process};
use crate::cli::Options;
use crate::config::Config;
use crate::demo::identity_provider;
use crate::demo::people::People;
use crate::error::CommandError;

/// The disk tier, with how far it had followed.
pub(super) type DiskTier = (Disk, Option<State>);

/// The disk tier of this node. One that cannot be used is gone without.
///
/// # Errors
/// Another process uses its directory.
pub(super) async fn open_disk(
    options: &Options,
    config: &Config,
    cache: &CacheConfig,
    pseudonyms: &PseudonymKey,
) -> Result<Option<DiskTier>, CommandError> {
    if cache.disk_bytes == 0 {
        return Ok(None);
    }
    let path = cache.disk_path.clone().unwrap_or_else(|| options.data_dir.join("cache"));
    let identity = Identity { region: config.region.name.clone(), pseudonyms: pseudonyms.fingerprint() };
    let disk = DiskOptions { path: path.clone(), max_bytes: cache.disk_bytes, identity };
    let opened = tokio::task::spawn_blocking(move || Disk::open(disk)).await;
    match opened.map_err(|_| CommandError::Usage("opening the cache was interrupted".into()))? {
        Ok(tier) => Ok(Some(tier)),
        Err(DiskError::InUse) => {
            let expected = format!("a directory of this process alone; another process uses {}", path.display());
            Err(CommandError::setting("read_api.cache.disk_path", expected))
        }
        Err(fault @ DiskError::Broken(_)) => {
            tracing::error!(%fault, path = %path.display(), "there is no cache on disk");
            Ok(None)
        }
    }
}

/// See the module.
pub(super) struct Reading {
    app: Arc<App>,
}

impl Reading {
    /// Follows the feed, then serves; with a disk tier that knows something it serves at once.
    ///
    /// # Errors
    /// The store's, or a key that cannot be used.
    pub(super) async fn start(
        process: &Process<'_>,
        people: People,
        modules: Arc<Modules>,
        disk: Option<DiskTier>,
        (port, tls): Port,
    ) -> Result<Self, CommandError> {
        let Process { config, telemetry, lifecycle, keys, pseudonyms, rules, store, .. } = process;
        let read_keys = Keys {
            pseudonyms: pseudonyms.clone(),
            issuer: keys.issuer()?,
            seal: vec![keys.seal()?],
            identity_provider: process.verifier()?,
            store: store.id(),
        };
        // With a provider of somebody else's there is no demo.
        let demo = match config.identity_provider.keys_file {
            None => identity_provider::router(keys.identity_provider()?, people, pseudonyms, rules),
            Some(_) => Router::new(),
        };
        process.warn_of_demo(config.read_api.bind);
        let cache = &modules.config();
        let (disk, state) = disk.map_or((None, None), |(disk, state)| (Some(disk), state));
        let has_disk = disk.is_some();
        let views = ViewCache::new(store.views(), cache, disk.map(|disk| (disk, state.as_ref())), now);
        let followed = views.clone();
        telemetry.metrics().before_scrape(move || followed.report());
        let is_new = state.is_none();
        let mut follower = Follower::new(store.feed(), views.clone(), state, cache.poll_every, now);
        if is_new {
            // There is nothing to show before.
            follower.poll().await?;
        }
        lifecycle.spawn_critical_until_stop("follower", async move { follower.run().await });
        lifecycle.spawn_until_stop("cache modules", modules.watch(views.clone()));
        if has_disk {
            let audit = Audit::new(views.clone(), now);
            lifecycle.spawn_until_stop("audit", async move { audit.run().await });
        }
        let app =
            App::new(views, config.read_api.clone(), &config.region.name, read_keys, process.utilization.clone(), now);
        let (soft, streaming) = (lifecycle.soft().clone(), app.clone());
        lifecycle.spawn("streams", async move {
            soft.cancelled().await;
            streaming.end_streams();
        });
        let layer = EdgeLayer::new("read-api", &config.read_api.http, telemetry);
        let service = yima_read_api::service(app.clone(), demo, &layer);
        lifecycle.spawn_critical("read-api", serve(port, tls, service, &config.read_api.http, lifecycle));
        Ok(Self { app })
    }

    /// Gives back memory of past requests.
    pub(super) fn sweep(&self) {
        self.app.sweep();
    }
}
