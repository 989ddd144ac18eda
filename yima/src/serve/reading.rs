//! The read service: cache, follower, port.

use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use yima_read_api::app::{App, Keys};
use yima_read_api::cache::Views;
use yima_read_api::cache::follower::Follower;
use yima_service::clock::now;
use yima_service::http::{EdgeLayer, serve};

use super::Process;
use crate::demo::identity_provider;
use crate::demo::people::People;
use crate::error::Failure;

/// See the module.
pub(super) struct Reading {
    app: Arc<App>,
}

impl Reading {
    /// Follows the feed, then serves.
    ///
    /// # Errors
    /// The store's, or a key that cannot be used.
    pub(super) async fn start(process: &Process<'_>, people: People, port: TcpListener) -> Result<Self, Failure> {
        let Process { config, telemetry, lifecycle, keys, pseudonyms, rules, store, .. } = process;
        let read_keys = Keys {
            pseudonyms: pseudonyms.clone(),
            issuer: keys.issuer()?,
            seal: vec![keys.seal()?],
            identity_provider: process.verifier()?,
        };
        // With a provider of somebody else's there is no demo.
        let demo = match config.identity_provider.keys_file {
            None => identity_provider::router(keys.identity_provider()?, people, pseudonyms, rules),
            Some(_) => Router::new(),
        };
        process.warn_of_demo(config.read_api.bind);
        let cache = &config.read_api.cache;
        let views = Views::new(store.views(), cache, now);
        let followed = views.clone();
        telemetry.metrics().before_scrape(move || followed.report());
        let follower = Follower::start(store.feed(), views.clone(), cache.poll_every, now).await?;
        let soft = lifecycle.soft().clone();
        lifecycle.spawn_critical("follower", async move {
            soft.run_until_cancelled(follower.run()).await;
        });
        let app = App::new(views, config.read_api.clone(), &config.region.name, read_keys, now);
        let layer = EdgeLayer::new("read-api", &config.read_api.http, telemetry);
        let service = yima_read_api::service(app.clone(), demo, &layer);
        lifecycle.spawn_critical("read-api", serve(port, service, &config.read_api.http, lifecycle));
        Ok(Self { app })
    }

    /// Gives back memory of past requests.
    pub(super) fn sweep(&self) {
        self.app.sweep();
    }
}
