//! Routes over a store in memory: answers, counted outcomes, and calls of the store.

mod at_least;
mod bypass;
mod cache_modules;
mod document;
mod foreign;
mod keys;
mod levels;
mod live_display;
mod outcomes;
mod papers;
mod phones;
mod roles;
mod scans;
mod session_ends;
mod sign_ins;
mod wards;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CACHE_STATUS, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use yima_schema::code::{IssuerKey, IssuerKeys};
use yima_schema::derive::derive;
use yima_schema::event::{Event, StoredEvent};
use yima_schema::freshness::Freshness;
use yima_schema::guidance::Guidance;
use yima_schema::problem::Problem;
use yima_schema::rules::Rules;
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, ScanRole, Session};
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_schema::time::DAY;
use yima_schema::view::Version;
use yima_service::jwt::{Issuer, JwtConfig, Verifier};
use yima_service::levels::{ByHand, Levels};
use yima_service::utilization::Utilization;
use yima_store::VersionedView;

use super::*;
use crate::app::{Deployment, Keys};
use crate::body::Detail;
use crate::cache::ViewCache;
use crate::cache::follower::Follower;
use crate::cache::tests::store::{TestStore, now, subject};
use crate::citizen_writer::{CitizenWriter, no_writer};
use crate::config::ReadApiConfig;
use crate::foreign_files::ForeignFiles;
use crate::keyring::{CurrentKeyring, Keyring};
use crate::offline_bundle::OfflineBundle;

/// Keeps the events that citizens write, unless it fails.
#[derive(Default)]
struct TestWriter {
    events: Mutex<Vec<Event>>,
    failing: AtomicBool,
    /// Where its views go if it folds as a writer does, and takes each name once.
    folded: OnceLock<(Arc<ViewCache>, Arc<TestStore>)>,
}

impl TestWriter {
    /// Shows the view of a subject's events.
    fn fold(&self, subject: SubjectId) -> Option<Version> {
        let (views, store) = self.folded.get()?;
        let events = self.events.lock();
        let own: Vec<_> = events.iter().filter(|event| event.subject == subject).cloned().collect();
        let own: Vec<_> = own.into_iter().map(|event| StoredEvent::new(event, now())).collect();
        let view = derive(&own, &Rules::built_in()).encode();
        let version = store.set_content(subject, view.clone());
        views.apply(subject, VersionedView { version, view });
        Some(version)
    }
}

#[async_trait]
impl CitizenWriter for TestWriter {
    async fn write(&self, event: Event) -> Result<Option<Freshness>, Problem> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(no_writer());
        }
        let subject = event.subject;
        let is_known = |known: &Event| (known.subject, &known.agency, &known.id) == (subject, &event.agency, &event.id);
        if self.folded.get().is_some() && self.events.lock().iter().any(is_known) {
            return Ok(None);
        }
        self.events.lock().push(event);
        let (region, moment) = ("xian".to_owned(), now());
        Ok(self.fold(subject).map(|version| Freshness { region, subject, version, moment }))
    }
}

struct Node {
    app: Arc<App>,
    store: Arc<TestStore>,
    follower: Follower,
    issuer: Issuer,
    writer: Arc<TestWriter>,
    utilization: Arc<Utilization>,
    levels: Arc<Levels>,
    metrics: PrometheusHandle,
}

impl Node {
    async fn start() -> Self {
        Self::start_busy(0.0).await
    }

    async fn start_busy(busy: f32) -> Self {
        Self::start_with(busy, |_| ()).await
    }

    async fn start_with(busy: f32, change: impl FnOnce(&mut ReadApiConfig)) -> Self {
        let (store, recorder) = (TestStore::new(), PrometheusBuilder::new().build_recorder());
        let mut config = ReadApiConfig::default();
        (config.cache.memory_bytes, config.cache.absent_bytes) = (1 << 20, 1 << 20);
        change(&mut config);
        let views = metrics::with_local_recorder(&recorder, || ViewCache::new(store.clone(), &config.cache, None, now));
        let follower = Follower::start(store.clone(), views.clone(), Duration::from_millis(1), now).await.unwrap();
        let issuer = Issuer::from_pkcs8(&Issuer::generate().unwrap().0, "test").unwrap();
        let jwks = serde_json::to_string(&issuer.jwks()).unwrap();
        let identity_provider = JwtConfig { issuer: "test".to_owned(), ..JwtConfig::default() };
        let keys = Keys {
            pseudonyms: PseudonymKey::from_bytes(&[1; 32]),
            keyring: CurrentKeyring::new(keyring(Some(&IssuerKey::generate()), &[(0, [2; 32])], Some(0), &[])),
            identity_provider: Verifier::from_jwks(&jwks, &identity_provider).unwrap(),
            store: None,
        };
        let deployment = Deployment {
            offline_bundle: OfflineBundle::new(store.clone(), keys.keyring.clone(), Duration::from_secs(300), now),
            region: "xian",
            keys,
            guidance: &Guidance::built_in(),
            foreign: ForeignFiles::load(&config.foreign).unwrap(),
            sign_in: None,
            audit: tokio::sync::mpsc::channel(1).0,
        };
        let (writer, utilization) = (Arc::<TestWriter>::default(), Utilization::fixed(busy));
        let levels = Levels::new(&config.levels);
        let app = metrics::with_local_recorder(&recorder, || {
            let load = (utilization.clone(), levels.clone());
            App::new(views, &config, deployment, writer.clone(), load, now)
        });
        Self { app, store, follower, issuer, writer, utilization, levels, metrics: recorder.handle() }
    }

    /// Sets the level by hand.
    fn set_level(&self, level: u8) {
        self.levels.set(Some(ByHand::new(level, DAY, "test", now()).unwrap()));
    }

    /// Folds what citizens write from now on, as a writer does.
    fn folds(&self) {
        let _ = self.writer.folded.set((self.app.views.clone(), self.store.clone()));
    }

    fn bearer(&self, holder: Holder) -> String {
        let (started_at, expires_at) = (now(), now().plus(DAY));
        let session = Session { id: rand::random(), started_at, expires_at, holder };
        format!("Bearer {}", session.seal(self.app.keyring.load().for_new_sessions().unwrap()))
    }

    fn citizen(&self, n: u8) -> String {
        self.bearer(Holder::Citizen { subject: subject(n) })
    }

    async fn display(&self, bearer: &str, shown: Option<&HeaderValue>) -> Response {
        let mut request = Request::get(DISPLAY).header(AUTHORIZATION, bearer);
        if let Some(shown) = shown {
            request = request.header(IF_NONE_MATCH, shown);
        }
        display(&self.app, request.body(()).unwrap().headers()).await.into_response()
    }

    async fn code(&self, bearer: &str) -> String {
        let request = Request::get("/v1/code").header(AUTHORIZATION, bearer).body(Body::empty()).unwrap();
        let answer = router(self.app.clone(), true).oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["code"].as_str().unwrap().to_owned()
    }

    fn guard(&self) -> String {
        self.checkpoint(false)
    }

    fn checkpoint(&self, looks_up_documents: bool) -> String {
        self.checkpoint_named("gate-1", looks_up_documents)
    }

    /// A checkpoint that is shown of people what its role allows.
    fn checkpoint_of_role(&self, role: ScanRole) -> String {
        let (checkpoint, looks_up_documents) = ("gate-1".to_owned(), false);
        let (require_test_within_h, operator) = (None, None);
        self.bearer(Holder::Checkpoint { checkpoint, require_test_within_h, looks_up_documents, role, operator })
    }

    fn checkpoint_named(&self, name: &str, looks_up_documents: bool) -> String {
        let checkpoint = name.into();
        self.bearer(Holder::Checkpoint {
            checkpoint,
            require_test_within_h: None,
            looks_up_documents,
            role: ScanRole::Guard,
            operator: None,
        })
    }

    async fn scan(&self, bearer: &str, code: &str, cache_control: Option<&str>) -> Response {
        let mut request =
            Request::post("/v1/scan").header(AUTHORIZATION, bearer).header(CONTENT_TYPE, "application/json");
        if let Some(cache_control) = cache_control {
            request = request.header(CACHE_CONTROL, cache_control);
        }
        let body = serde_json::json!({ "code": code }).to_string();
        router(self.app.clone(), true).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    /// Status and JSON body of the answer to a `POST`.
    async fn post(&self, path: &str, bearer: &str, body: serde_json::Value) -> (StatusCode, serde_json::Value) {
        let request = Request::post(path).header(AUTHORIZATION, bearer).header(CONTENT_TYPE, "application/json");
        let answer = router(self.app.clone(), true).oneshot(request.body(Body::from(body.to_string())).unwrap());
        let answer = answer.await.unwrap();
        let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The counts of `cache_requests_total` of views by outcome, without those that are 0.
    fn outcomes(&self) -> Vec<(String, u64)> {
        let count = |line: &str| {
            let labels = line.strip_prefix("cache_requests_total{").filter(|labels| labels.contains("\"view\""))?;
            let (outcome, count) = labels.split_once("outcome=\"")?.1.split_once("\"} ")?;
            let count = count.parse().unwrap();
            (count > 0).then(|| (outcome.to_owned(), count))
        };
        let mut outcomes: Vec<_> = self.metrics.render().lines().filter_map(count).collect();
        outcomes.sort();
        outcomes
    }

    fn lookups(&self) -> usize {
        self.store.lookups.load(Ordering::Relaxed)
    }
}

/// A keyring in which one set of secrets seals handles and sessions.
fn keyring(issuer: Option<&[u8]>, secrets: &[(u8, [u8; 32])], sealing: Option<u8>, revoked: &[u8]) -> Keyring {
    let issuer = issuer.map(|pkcs8| IssuerKey::from_pkcs8(pkcs8).unwrap());
    let issuers = IssuerKeys::new(issuer.iter().map(IssuerKey::verifying_key).collect());
    let of = |purpose| SealKeys::with_ids(secrets, sealing, revoked.to_vec(), purpose);
    Keyring::new(issuer, issuers, of("handle"), of("session"), of("tls ticket"))
}

fn as_text(outcomes: &[(&str, u64)]) -> Vec<(String, u64)> {
    outcomes.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
}
