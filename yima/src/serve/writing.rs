//! The writer: folder, demo population, port, and its background tasks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use yima_read_api::CitizenWriter;
use yima_schema::code::TokenKeys;
use yima_schema::event::Event;
use yima_schema::freshness::Freshness;
use yima_schema::problem::Problem;
use yima_service::clock::now;
use yima_service::http::{EdgeLayer, finish, serve};
use yima_service::oidc::Page;
use yima_store::embedded::EmbeddedStore;
use yima_store::{EventReader, ResourceIndex, SubjectScan, ViewReader};
use yima_writer::OperatorFiles;
use yima_writer::app::{App, Resources};
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;
use yima_writer::offline_bundle::{Content, ForeignLists, Releases};
use yima_writer::refold::Refold;
use yima_writer::resource_index::FillResourceIndex;

use super::{Port, Process};
use crate::dead_letters;
use crate::demo::identity_provider;
use crate::demo::seed::Seeding;
use crate::emergency;
use crate::error::CommandError;
use crate::store::WriteStore;

/// Deadline for sealing the stream at the end: while the store is unreachable the call would never return. Another
/// writer seals the stream then.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// The writer of a process, with its store.
pub(super) struct Writing {
    app: Arc<App>,
    folder: Arc<Folder>,
    store: WriteStore,
}

impl Writing {
    /// Opens a stream, settles the marks that earlier writers left, seeds an empty store with the demo population, and
    /// serves.
    ///
    /// # Errors
    /// The store's, or a key that cannot be used.
    pub(super) async fn start(
        process: &Process<'_>,
        store: WriteStore,
        files: OperatorFiles,
        (port, tls): Port,
    ) -> Result<Self, CommandError> {
        let Process { population, options, config, telemetry, lifecycle, pseudonyms, rules, .. } = process;
        let verifier = process.verifier()?;
        process.warn_of_demo(config.writer.bind);
        let (tokens, memory) = (Arc::new(TokenKeys::new(pseudonyms)), config.writer.fold.memory_bytes);
        let folder = Arc::new(Folder::start_within(store.writer(), rules.clone(), tokens, memory).await?);
        let seeding = Seeding { data_dir: &options.data_dir, population: *population, pseudonyms, now: now() };
        seeding.run(&store, &folder).await?;
        spawn_writer_tasks(process, &store, &folder);
        let resources = Resources {
            folder: folder.clone(),
            dead_letters: store.dead_letters(),
            resources: store.resources(),
            disk_space: process.disk_space.clone(),
            pseudonyms: pseudonyms.clone(),
            files,
            config: config.writer.clone(),
            lifecycle: lifecycle.clone(),
            clock: now,
        };
        let sign_in = process.sign_in(config.writer.public_url.as_ref(), Page::WRITING);
        let app = App::new(resources, verifier, sign_in, &process.store.audit_log());
        let reported = app.clone();
        telemetry.metrics().before_scrape(move || reported.report());
        let layer = EdgeLayer::new("writer", &config.writer.http, telemetry);
        let demo = process.demo(identity_provider::agency_router)?;
        let is_described = config.describes(config.writer.api_docs);
        let router = finish(yima_writer::router(app.clone(), is_described).merge(demo), &layer);
        lifecycle.spawn_critical("writer", serve(port, tls, router, None, &config.writer.http, lifecycle));
        dead_letters::serve(&app, &options.data_dir, lifecycle);
        emergency::serve(store.bundle(), process.store.audit_log(), &options.data_dir, lifecycle);
        Ok(Self { app, folder, store })
    }

    /// The way to this writer for what citizens write.
    pub(super) fn for_citizens(&self) -> Arc<dyn CitizenWriter> {
        Arc::new(OwnWriter(self.app.clone()))
    }

    /// Frees the memory of past requests and removes expired changes.
    pub(super) async fn sweep(&self) {
        self.app.sweep();
        self.store.trim().await;
    }

    /// Seals the stream, then closes the store.
    pub(super) async fn close(&self) {
        match tokio::time::timeout(CLOSE_WITHIN, self.folder.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the stream could not be closed; another writer will close it"),
            Err(_) => tracing::warn!("the stream could not be closed in time; another writer will close it"),
        }
        self.store.close().await;
    }
}

/// Background tasks of a writer: releases of offline bundles, the refold after a change of rules or program, indexing
/// and removing what earlier programs kept, and following the marks of others that share its store.
fn spawn_writer_tasks(process: &Process<'_>, store: &WriteStore, folder: &Arc<Folder>) {
    let lifecycle = &process.lifecycle;
    lifecycle.spawn_until_stop("offline bundles", releases(process, store).run());
    match store {
        WriteStore::Embedded(store) => {
            lifecycle.spawn_until_stop("birth_dates", forget_birth_dates(store.clone()));
            spawn_jobs(process, store.clone(), folder.clone());
        }
        WriteStore::Cql(store) => {
            let follower = MarkFollower::new(store.clone(), folder.clone());
            lifecycle.spawn_critical_until_stop("marks", async move { follower.run().await });
            spawn_jobs(process, store.clone(), folder.clone());
        }
    }
}

/// The releases of the region's offline bundles.
fn releases(process: &Process<'_>, store: &WriteStore) -> Releases {
    let Process { config, keys, guidance, foreign, .. } = process;
    let (keys, read_api) = (keys.clone(), config.read_api.clone());
    let keys = move || match keys.for_releases(&read_api, now()) {
        Ok(keys) => Some(keys),
        Err(error) => {
            tracing::warn!(%error, "this writer cannot sign offline bundles; another one has to");
            None
        }
    };
    let guidance = serde_json::to_vec(guidance).expect("texts by name always serialise");
    let foreign = foreign.clone();
    let lists = move || {
        let trust_list = foreign.trust_list.content();
        // Without an issuer there is nothing to judge by.
        (!trust_list.is_empty()).then(|| ForeignLists {
            trust_list: trust_list.to_part().into(),
            acceptance: foreign.acceptance.content().to_part().into(),
            revocations: foreign.revocations.content().to_part().into(),
        })
    };
    let content = Content { guidance: guidance.into(), foreign: Arc::new(lists) };
    let (region, offline) = (config.region.name.clone(), config.offline.clone());
    Releases::new(store.bundle(), region, offline, content, Arc::new(keys), now)
}

async fn forget_birth_dates(store: Arc<EmbeddedStore>) {
    match store.forget_birth_dates().await {
        Ok(0) => {}
        Ok(events) => tracing::info!(events, "removed dates of birth that an earlier program had kept"),
        Err(error) => tracing::warn!(%error, "dates of birth could not be removed; the next start tries again"),
    }
}

fn spawn_jobs<S: SubjectScan + ViewReader + EventReader + ResourceIndex + 'static>(
    process: &Process<'_>,
    store: Arc<S>,
    folder: Arc<Folder>,
) {
    let config = process.config.writer.refold;
    let fill = FillResourceIndex::new(store.clone(), config, now);
    process.lifecycle.spawn_until_stop("resource index", async move { fill.run().await });
    let refold = Refold::new(store, folder, config, now);
    process.lifecycle.spawn_until_stop("refold", async move { refold.run().await });
}

/// The writer in this process.
struct OwnWriter(Arc<App>);

#[async_trait]
impl CitizenWriter for OwnWriter {
    async fn write(&self, event: Event) -> Result<Option<Freshness>, Problem> {
        self.0.take_from_citizen(event).await
    }
}
