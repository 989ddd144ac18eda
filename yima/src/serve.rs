//! Everything in one process: the embedded store, the writer, the read service, the admin port and the demo.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use yima_read_api::app::Keys;
use yima_read_api::cache::Views;
use yima_read_api::cache::follower::Follower;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::admin;
use yima_service::clock::now;
use yima_service::http::{EdgeLayer, HttpLimits, finish, serve};
use yima_service::jwt::{Issuer, JwtConfig, Verifier};
use yima_service::lifecycle::Lifecycle;
use yima_service::telemetry::{self, Telemetry};
use yima_store::embedded::{EmbeddedOptions, EmbeddedStore};
use yima_writer::fold::Folder;

use crate::Options;
use crate::config::Config;
use crate::demo::{identity_provider, load, people::People};
use crate::error::Failure;
use crate::keys::{DEMO_ISSUER, KeyDir};

/// How often memory of past requests and expired changes is given back.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs until asked to stop; returns the exit code.
///
/// # Errors
/// What keeps it from starting.
pub fn run(options: &Options) -> Result<u8, Failure> {
    let config = Config::load(options.config.as_deref())?;
    let rules = Arc::new(config.rules()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::Usage(format!("the runtime cannot start: {e}")))?;
    runtime.block_on(async {
        let telemetry = telemetry::init(&config.telemetry)?;
        let served = start(options, &config, rules, &telemetry).await;
        telemetry.shutdown().await;
        served
    })
}

/// Start: admin port first, so that it can be seen what is waited for; then keys, store, population, writer, read service.
async fn start(options: &Options, config: &Config, rules: Arc<Rules>, telemetry: &Telemetry) -> Result<u8, Failure> {
    let lifecycle = Lifecycle::new(config.lifecycle.clone());
    let starting = lifecycle.readiness().hold("start");
    telemetry.upkeep(&lifecycle);
    let admin = listen("admin.listen", config.admin.listen).await?;
    let read_port = listen("read_api.bind", config.read_api.bind).await?;
    let write_port = listen("writer.bind", config.writer.bind).await?;
    let router = admin::router(lifecycle.readiness().clone(), telemetry.metrics().clone());
    lifecycle.spawn_critical("admin", serve(admin, router, &HttpLimits::default(), &lifecycle));

    let store_dir = options.data_dir.join("store");
    let keys = KeyDir::of(&options.data_dir);
    keys.create(store_dir.exists())?;
    let pseudonyms = keys.pseudonyms()?;
    let store = open_store(options, config, &pseudonyms, &rules).await?;

    let demo_provider = keys.identity_provider()?;
    let verifier = || verifier(&config.identity_provider, &demo_provider);
    let folder = Arc::new(Folder::start(store.clone(), rules.clone()).await?);
    let writer = yima_writer::app::App::new(
        folder.clone(),
        rules.clone(),
        pseudonyms.clone(),
        verifier()?,
        config.writer.clone(),
        lifecycle.clone(),
        now,
    );
    let layer = EdgeLayer::new("writer", &config.writer.http, telemetry);
    let router = finish(yima_writer::router(writer.clone()), &layer);
    lifecycle.spawn_critical("writer", serve(write_port, router, &config.writer.http, &lifecycle));

    let cache = &config.read_api.cache;
    let views = Views::new(store.clone(), cache, now);
    let followed = views.clone();
    telemetry.metrics().before_scrape(move || followed.report());
    let follower = Follower::start(store.clone(), views.clone(), cache.poll_every, now).await?;
    let soft = lifecycle.soft().clone();
    lifecycle.spawn_critical("follower", async move {
        soft.run_until_cancelled(follower.run()).await;
    });
    let read_keys = Keys {
        pseudonyms: pseudonyms.clone(),
        issuer: keys.issuer()?,
        seal: vec![keys.seal()?],
        identity_provider: verifier()?,
    };
    let read = yima_read_api::app::App::new(views, config.read_api.clone(), &config.region.name, read_keys, now);
    let people = People::read(&options.data_dir)?.unwrap_or_else(|| identity_provider::nobody(now()));
    let public = [config.read_api.bind, config.writer.bind].iter().any(|address| !address.ip().is_loopback());
    if public && config.identity_provider.keys_file.is_none() {
        tracing::warn!(
            "the demo identity provider gives tokens to whoever reaches this port: set identity_provider.keys_file before real data comes"
        );
    }
    let demo = match config.identity_provider.keys_file {
        None => identity_provider::router(demo_provider, people, &pseudonyms, &rules),
        Some(_) => axum::Router::new(),
    };
    let layer = EdgeLayer::new("read-api", &config.read_api.http, telemetry);
    let service = yima_read_api::service(read.clone(), demo, &layer);
    lifecycle.spawn_critical("read-api", serve(read_port, service, &config.read_api.http, &lifecycle));

    sweep(&lifecycle, store.clone(), move || {
        writer.sweep();
        read.sweep();
    });
    starting.release();
    // Nobody may be reading.
    let _ = writeln!(std::io::stdout(), "{}", crate::demo::greeting(options, config, people));
    let ended = lifecycle.run_until_stopped().await;
    let ended = ended.map_err(|e| Failure::Usage(format!("signals cannot be received: {e}")))?;
    // Nothing is accepted or under way any more.
    if let Err(fault) = folder.close().await {
        tracing::warn!(%fault, "the stream could not be closed; the next start closes it");
    }
    store.close().await;
    Ok(ended.exit_code())
}

async fn open_store(
    options: &Options,
    config: &Config,
    pseudonyms: &PseudonymKey,
    rules: &Arc<Rules>,
) -> Result<Arc<EmbeddedStore>, Failure> {
    let settings = EmbeddedOptions {
        region: config.region.name.clone(),
        pseudonym_fingerprint: pseudonyms.fingerprint(),
        cache_bytes: config.store.cache_bytes,
        changes_retention: config.store.changes_retention,
    };
    let (data_dir, population) = (options.data_dir.clone(), options.population);
    let (pseudonyms, rules) = (pseudonyms.clone(), rules.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let store = EmbeddedStore::open(&data_dir.join("store"), settings)?;
        load::load(&store, &data_dir, population, &pseudonyms, &rules, now())?;
        Ok::<_, Failure>(store)
    });
    opened.await.map_err(|_| Failure::Usage("opening the store was interrupted".into()))?
}

fn verifier(config: &JwtConfig, demo: &Issuer) -> Result<Verifier, Failure> {
    let Some(path) = &config.keys_file else {
        let jwks = serde_json::to_string(&demo.jwks()).expect("public keys always encode");
        return Verifier::from_jwks(&jwks, DEMO_ISSUER).map_err(|e| Failure::Usage(e.to_string()));
    };
    Verifier::from_file(path, &config.issuer).map_err(|e| Failure::file(path, &e))
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| Failure::Bind { setting, address, why: e.to_string() })
}

fn sweep(lifecycle: &Lifecycle, store: Arc<EmbeddedStore>, forget: impl Fn() + Send + 'static) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("sweep", async move {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            forget();
            if let Err(fault) = store.trim(now()).await {
                tracing::warn!(%fault, "expired changes could not be removed");
            }
        }
    });
}
