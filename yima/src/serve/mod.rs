//! Everything in one process, or one service apart: the order of starting and of stopping.

mod host_monitor;
mod reading;
mod writing;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::routing::get;
use tokio::net::TcpListener;
use yima_read_api::{CacheSettings, DiskTier, ReadApi};
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::admin;
use yima_service::clock::now;
use yima_service::disk_space::DiskSpace;
use yima_service::http::{HttpLimits, Tls, TlsConfig, serve};
use yima_service::jwt::Verifier;
use yima_service::lifecycle::Lifecycle;
use yima_service::open_files;
use yima_service::telemetry::{self, Telemetry};
use yima_service::utilization::Utilization;

use crate::Options;
use crate::backup;
use crate::config::{Config, Role};
use crate::demo::{identity_provider, people::People};
use crate::error::CommandError;
use crate::keys::{DEMO_ISSUER, KeyDir};
use crate::store::{Opening, Plan, Store};
use writing::Writing;

/// How often memory of past requests and expired changes is given back.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What every service of a process starts from.
struct Process<'a> {
    role: Role,
    population: u64,
    options: &'a Options,
    config: &'a Config,
    rules: Arc<Rules>,
    telemetry: &'a Telemetry,
    lifecycle: Lifecycle,
    load: Arc<Utilization>,
    keys: KeyDir,
    pseudonyms: PseudonymKey,
    store: Store,
    room: Arc<DiskSpace>,
}

/// Runs until asked to stop; returns the exit code.
///
/// # Errors
/// What keeps it from starting.
pub fn run(options: &Options, role: Role) -> Result<u8, CommandError> {
    let config = Config::load(options.config.as_deref(), role)?;
    let rules = Arc::new(config.rules()?);
    let plan = Plan::new(role, options, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CommandError::Usage(format!("the runtime cannot start: {e}")))?;
    runtime.block_on(async {
        let telemetry = telemetry::init(&config.telemetry)?;
        let served = start(role, plan, options, &config, rules, &telemetry).await;
        telemetry.shutdown().await;
        served
    })
}

/// Start: admin port first, so that it can be seen what is waited for; then keys, store, writer, read service.
async fn start(
    role: Role,
    plan: Plan,
    options: &Options,
    config: &Config,
    rules: Arc<Rules>,
    telemetry: &Telemetry,
) -> Result<u8, CommandError> {
    let lifecycle = Lifecycle::new(config.lifecycle.clone());
    let starting = lifecycle.readiness().hold("start");
    telemetry.upkeep(&lifecycle);
    open_files::raise(config.connections(role));
    let load = Utilization::watch(&lifecycle, telemetry.metrics());
    let admin = listen("admin.listen", config.admin.listen).await?;
    let read_port = if role.reads() {
        let tls = tls("read-api", "read_api.tls", config.read_api.tls.as_ref())?;
        Some((listen("read_api.bind", config.read_api.bind).await?, tls))
    } else {
        None
    };
    let write_port = if role.writes() {
        let tls = tls("writer", "writer.tls", config.writer.tls.as_ref())?;
        Some((listen("writer.bind", config.writer.bind).await?, tls))
    } else {
        None
    };
    let cache = if role.reads() { Some(CacheSettings::load(&config.read_api.cache)?) } else { None };
    let mut router = admin::router(lifecycle.readiness().clone(), telemetry.metrics().clone());
    if let Some(cache) = cache.clone() {
        router = router.route("/cache", get(async move || Json(cache.report())));
    }
    lifecycle.spawn_critical("admin", serve(admin, None, router, &HttpLimits::default(), &lifecycle));

    if backup::unfinished(&options.data_dir) {
        return Err(CommandError::RestoreUnfinished(options.data_dir.clone()));
    }
    let keys = KeyDir::of(&options.data_dir);
    if role == Role::Everything {
        keys.create(matches!(plan, Plan::Embedded) && options.data_dir.join("store").exists())?;
    }
    let pseudonyms = keys.pseudonyms()?;
    let population = options.population.unwrap_or_else(|| plan.population(config));
    // The embedded store is on this machine's disk itself.
    let disk = match (&cache, &plan) {
        (Some(cache), Plan::Cql(_)) => reading::open_disk(options, config, &cache.config(), &pseudonyms).await?,
        (Some(_), Plan::Embedded) | (None, _) => None,
    };
    let can_wait = role == Role::ReadApi && disk.as_ref().is_some_and(DiskTier::has_state);
    let opening = Opening {
        role,
        lifecycle: &lifecycle,
        population,
        options,
        config,
        pseudonyms: &pseudonyms,
        rules: &rules,
        can_wait,
    };
    let store = plan.open(opening).await?;
    let min_free = match &store {
        Store::Embedded(_) => config.store.min_free_bytes,
        // The database has its own disks.
        Store::Cql(_) | Store::Deferred(_) => 0,
    };
    let room = Arc::new(DiskSpace::new(options.data_dir.clone(), min_free));
    let process =
        Process { role, population, options, config, rules, telemetry, lifecycle, load, keys, pseudonyms, store, room };

    process.serve_backups();
    host_monitor::watch(&process.room, &process.store, &process.lifecycle);
    let writing = match write_port {
        Some(port) => Some(Writing::start(&process, port).await?),
        None => None,
    };
    let people = People::read(&options.data_dir)?.unwrap_or_else(|| identity_provider::nobody(now()));
    let reading = match (read_port, cache) {
        (Some(port), Some(cache)) => Some(reading::start(&process, people, cache, disk, port).await?),
        (None, _) | (Some(_), None) => None,
    };
    starting.release();
    match role {
        // The demo's commands would be refused.
        Role::Everything if config.is_real() => {
            tracing::info!(read_api = %config.read_api.bind, writer = %config.writer.bind, "yima is ready");
        }
        Role::Everything => {
            // Nobody may be reading.
            let _ = writeln!(std::io::stdout(), "{}", crate::demo::greeting(options, config, people));
        }
        Role::ReadApi => tracing::info!(address = %config.read_api.bind, "the read service is ready"),
        Role::Writer => tracing::info!(address = %config.writer.bind, "the writer is ready"),
    }
    process.run(writing, reading).await
}

impl Process<'_> {
    /// Until the end: gives back memory, then closes what has to be closed in an order.
    async fn run(self, writing: Option<Writing>, reading: Option<ReadApi>) -> Result<u8, CommandError> {
        let sweep = async {
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            loop {
                ticks.tick().await;
                writing.iter().for_each(Writing::sweep);
                reading.iter().for_each(ReadApi::sweep);
                self.store.trim().await;
            }
        };
        let ended = tokio::select! {
            ended = self.lifecycle.run_until_stopped() => ended,
            () = sweep => unreachable!("it has no end"),
        };
        let ended = ended.map_err(|e| CommandError::Usage(format!("signals cannot be received: {e}")))?;
        // Nothing is accepted or under way any more.
        if let Some(writing) = writing {
            writing.close().await;
        }
        self.store.close().await;
        Ok(ended.exit_code())
    }

    /// A CQL database has backups of its own.
    fn serve_backups(&self) {
        match &self.store {
            Store::Embedded(store) => {
                backup::serve(store, &self.options.data_dir, &self.config.region.name, &self.lifecycle);
            }
            Store::Cql(_) | Store::Deferred(_) => {}
        }
    }

    /// Whoever's identity tokens are taken.
    fn verifier(&self) -> Result<Verifier, CommandError> {
        let config = &self.config.identity_provider;
        let Some(path) = &config.keys_file else {
            let jwks = self.keys.identity_provider()?.jwks();
            let jwks = serde_json::to_string(&jwks).expect("public keys always encode");
            return Verifier::from_jwks(&jwks, DEMO_ISSUER).map_err(|e| CommandError::Usage(e.to_string()));
        };
        Verifier::from_file(path, &config.issuer).map_err(|e| CommandError::file(path, &e))
    }

    /// Says so when the demo's tokens can be had from elsewhere.
    fn warn_of_demo(&self, public: SocketAddr) {
        if !self.config.is_real() && !public.ip().is_loopback() {
            tracing::warn!(
                address = %public,
                "the demo identity provider gives tokens to whoever asks, and others reach this port: set identity_provider.keys_file before \
                 real data comes"
            );
        }
    }
}

/// A public port, and how it is spoken to.
type Port = (TcpListener, Option<Tls>);

fn tls(service: &'static str, section: &'static str, config: Option<&TlsConfig>) -> Result<Option<Tls>, CommandError> {
    config.map(|config| Tls::load(service, config)).transpose().map_err(|fault| CommandError::Tls { section, fault })
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|e| CommandError::Bind { setting, address, why: e.to_string() })
}
