//! The writer: folder, demo population, port, and the tasks beside it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use yima_service::clock::now;
use yima_service::http::{EdgeLayer, finish, serve};
use yima_writer::app::App;
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;
use yima_writer::refold::Refold;

use super::{Port, Process};
use crate::config::Role;
use crate::demo::{identity_provider, seed};
use crate::error::CommandError;
use crate::store::Store;

/// For closing the stream at the end. Without the store it would be waited for as long as that is gone; others close it then.
const CLOSE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Writing {
    app: Arc<App>,
    folder: Arc<Folder>,
}

impl Writing {
    /// Opens a stream, finishes what earlier writers began, and serves. On a store without people the demo's are put in first.
    ///
    /// # Errors
    /// The store's, or a key that cannot be used.
    pub(super) async fn start(process: &Process<'_>, (port, tls): Port) -> Result<Self, CommandError> {
        let Process { role, population, options, config, telemetry, lifecycle, keys, pseudonyms, rules, store, .. } =
            process;
        let verifier = process.verifier()?;
        process.warn_of_demo(config.writer.bind);
        let folder = Arc::new(Folder::start(store.writer(), rules.clone()).await?);
        match (role, store) {
            (Role::Everything, Store::Cql(_)) => {
                seed::commit(&folder, &*store.writer(), &options.data_dir, *population, pseudonyms, now()).await?;
            }
            // The embedded store was opened with its people; an apart writer leaves them to others.
            (
                Role::Everything | Role::ReadApi | Role::Writer,
                Store::Embedded(_) | Store::Cql(_) | Store::Deferred(_),
            ) => {}
        }
        writer_tasks(process, &folder);
        let app = App::new(
            folder.clone(),
            process.room.clone(),
            pseudonyms.clone(),
            verifier,
            config.writer.clone(),
            lifecycle.clone(),
            now,
        );
        let layer = EdgeLayer::new("writer", &config.writer.http, telemetry);
        // With a provider of somebody else's there is no demo.
        let demo = match config.identity_provider.keys_file {
            None => identity_provider::agency_router(keys.identity_provider()?),
            Some(_) => Router::new(),
        };
        let router = finish(yima_writer::router(app.clone()).merge(demo), &layer);
        lifecycle.spawn_critical("writer", serve(port, tls, router, &config.writer.http, lifecycle));
        Ok(Self { app, folder })
    }

    /// Gives back memory of past requests.
    pub(super) fn sweep(&self) {
        self.app.sweep();
    }

    /// Closes the stream.
    pub(super) async fn close(&self) {
        match tokio::time::timeout(CLOSE, self.folder.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(%fault, "the stream could not be closed; another writer will close it"),
            Err(_) => tracing::warn!("the stream could not be closed in time; another writer will close it"),
        }
    }
}

/// What a writer does beside its requests, where there are others: it follows their marks, and folds everyone again when the rules are newer.
fn writer_tasks(process: &Process<'_>, folder: &Arc<Folder>) {
    let Store::Cql(store) = &process.store else { return };
    let lifecycle = &process.lifecycle;
    let follower = MarkFollower::new(store.clone(), folder.clone());
    lifecycle.spawn_critical_until_stop("marks", async move { follower.run().await });
    let refold = Refold::new(store.clone(), folder.clone(), process.config.writer.refold, now);
    lifecycle.spawn_until_stop("refold", async move { refold.run().await });
}
