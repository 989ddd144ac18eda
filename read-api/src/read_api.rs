//! The read service of a process: wires cache, follower, audit and routes, and starts them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use yima_schema::audit::AuditRecord;
use yima_schema::guidance::Guidance;
use yima_service::clock::now;
use yima_service::http::{EdgeLayer, Ranking, Tls, serve};
use yima_service::levels::Levels;
use yima_service::lifecycle::Lifecycle;
use yima_service::oidc::SignIn;
use yima_service::telemetry::{Telemetry, describe};
use yima_service::utilization::Utilization;
use yima_store::{AuditLog, BundleReader, Feed, StoreError, ViewReader};

use crate::app::{App, Deployment, Keys};
use crate::cache::follower::Follower;
use crate::cache::{Audit, CacheSettings, ViewCache};
use crate::citizen_writer::CitizenWriter;
use crate::config::ReadApiConfig;
use crate::disk_tier::DiskTier;
use crate::fast_path;
use crate::foreign_files::ForeignFiles;
use crate::hints::Hints;
use crate::metrics::METRICS;
use crate::offline_bundle::OfflineBundle;
use crate::routes::{class_of, router};
use crate::tls_tickets::Tickets;

/// A running read service.
pub struct ReadApi {
    app: Arc<App>,
}

/// The parts that a read service is started with.
pub struct Resources<'a> {
    /// Its settings.
    pub config: &'a ReadApiConfig,
    /// The cache settings in force, which may be tuned while it runs.
    pub cache: Arc<CacheSettings>,
    /// The disk tier, if the node has one.
    pub disk: Option<DiskTier>,
    /// Name of the region.
    pub region: &'a str,
    /// Looks up views.
    pub views: Arc<dyn ViewReader>,
    /// The region's feed.
    pub feed: Arc<dyn Feed>,
    /// The region's offline bundle, and the time between two releases of it.
    pub bundle: (Arc<dyn BundleReader>, Duration),
    /// Where it reports look-ups of people by document.
    pub audit_log: Arc<dyn AuditLog>,
    /// Secrets and public keys.
    pub keys: Keys,
    /// Sign-in at the identity provider's page, if it is offered.
    pub sign_in: Option<SignIn>,
    /// What the pages tell citizens.
    pub guidance: &'a Guidance,
    /// By which codes of other systems are judged.
    pub foreign: ForeignFiles,
    /// Takes what citizens write.
    pub writer: Arc<dyn CitizenWriter>,
    /// The writers that hint at their publications.
    pub hints: Hints,
    /// The public port.
    pub listener: TcpListener,
    /// TLS of that port.
    pub tls: Option<Tls>,
    /// Whether the port describes its API.
    pub is_described: bool,
    /// Further routes of the port, not part of the service.
    pub more: Router,
    /// Utilization of the process.
    pub utilization: Arc<Utilization>,
    /// What the process leaves out while it is too busy.
    pub levels: Arc<Levels>,
    /// Telemetry of the process.
    pub telemetry: &'a Telemetry,
    /// Lifecycle of the process, which ends every task.
    pub lifecycle: &'a Lifecycle,
}

impl ReadApi {
    /// Follows the feed and serves. With a disk tier that has a state it serves at once; otherwise it follows the feed
    /// first.
    ///
    /// # Errors
    /// The store's, when the feed has to be followed first.
    pub async fn start(resources: Resources<'_>) -> Result<Self, StoreError> {
        let Resources { config, cache, disk, region, views, feed, audit_log, keys, writer, hints, foreign, .. } =
            resources;
        let Resources {
            guidance,
            sign_in,
            bundle,
            listener,
            tls,
            is_described,
            more,
            utilization,
            levels,
            telemetry,
            lifecycle,
            ..
        } = resources;
        describe(METRICS);
        let (disk, state) = disk.map_or((None, None), |DiskTier { disk, state }| (Some(disk), state));
        let (has_disk, has_state) = (disk.is_some(), state.is_some());
        let settings = cache.config();
        let views = ViewCache::new(views, &settings, disk.map(|disk| (disk, state.as_ref())), now);
        let mut follower = Follower::new(feed, views.clone(), state, settings.poll_every, now);
        if !has_state {
            follower.poll().await?;
        }
        let (hinted, hints_of_writers) = mpsc::channel(1);
        lifecycle.spawn_until_stop("hints", hints.listen(hinted));
        lifecycle.spawn_critical_until_stop("follower", follower.run(hints_of_writers));
        if has_disk {
            lifecycle.spawn_until_stop("audit", Audit::new(views.clone(), now).run());
        }

        let (bundles, release_period) = bundle;
        let offline_bundle = OfflineBundle::new(bundles, keys.keyring.clone(), release_period, now);
        let aged = offline_bundle.clone();
        telemetry.metrics().before_scrape(move || aged.report());
        lifecycle.spawn_until_stop("offline bundle", offline_bundle.clone().follow());
        let (audit, records) = mpsc::channel(1_000);
        lifecycle.spawn_until_stop("audit records", keep_records(audit_log.clone(), records));
        let deployment = Deployment { region, keys, guidance, foreign, offline_bundle, sign_in, audit };
        let tls = tls.map(|tls| tls.with_tickets(Tickets::new(deployment.keys.keyring.clone())));
        let config = &ReadApiConfig { cache: settings, ..config.clone() };
        let app = App::new(views, config, deployment, writer, (utilization.clone(), levels.clone()), now);
        let (reported, tuned) = (app.clone(), app.clone());
        telemetry.metrics().before_scrape(move || reported.report());
        lifecycle.spawn_until_stop("tuning", cache.watch(move |config| tuned.tune(config)));
        let report = app.document_lookups.clone().report(audit_log, now, lifecycle.clone());
        lifecycle.spawn("look-ups by document", report);
        lifecycle.spawn_until_stop("session ends", app.clone().end_too_many_sessions());
        let (stopping, ended) = (lifecycle.soft().clone(), app.clone());
        lifecycle.spawn("live displays", async move {
            stopping.cancelled().await;
            ended.end_live_displays();
        });
        levels.follow(utilization.clone(), lifecycle, telemetry.metrics());
        let ranking = Ranking { levels, utilization, class_of };
        let layer = EdgeLayer::ranked("read-api", &config.http, telemetry, ranking, lifecycle);
        let routes = router(app.clone(), is_described).merge(more);
        let service = fast_path::service(app.clone(), routes, &layer);
        let direct = fast_path::direct(app.clone(), &layer);
        lifecycle.spawn_critical("read-api", serve(listener, tls, service, Some(direct), &config.http, lifecycle));
        Ok(Self { app })
    }

    /// Drops rate-limit entries that no longer restrict anyone. To be called about once a minute.
    pub fn sweep(&self) {
        self.app.sweep();
    }
}

async fn keep_records(audit_log: Arc<dyn AuditLog>, mut records: mpsc::Receiver<AuditRecord>) {
    while let Some(record) = records.recv().await {
        if let Err(error) = audit_log.audit(&record).await {
            tracing::warn!(%error, "a record is in the log, but not in the audit log");
        }
    }
}
