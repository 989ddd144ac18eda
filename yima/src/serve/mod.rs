//! Everything in one process, or one service apart: the order of start and stop.

mod clock_monitor;
mod host_monitor;
mod reading;
mod region_monitor;
mod writing;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use yima_read_api::{CacheSettings, DiskTier, ForeignFiles, ReadApi, RemoteWriters};
use yima_schema::guidance::Guidance;
use yima_schema::rules::Rules;
use yima_schema::subject::PseudonymKey;
use yima_service::clock::now;
use yima_service::disk_space::DiskSpace;
use yima_service::http::client::client;
use yima_service::http::{HostNames, HttpLimits, Tls, TlsConfig, serve};
use yima_service::jwt::{Issuer, JwtConfig, Verifier};
use yima_service::levels::Levels;
use yima_service::lifecycle::{Lifecycle, Signals};
use yima_service::oidc::{Page, Provider, SignIn};
use yima_service::open_files;
use yima_service::telemetry::{self, Telemetry};
use yima_service::utilization::Utilization;
use yima_store::embedded::EmbeddedStore;
use yima_writer::OperatorFiles;

use crate::audit::{self, LateAuditLog};
use crate::auditor::serve_samples;
use crate::backup;
use crate::cli::Options;
use crate::config::{Config, Role, trusting};
use crate::demo::{people::People, seed};
use crate::error::CommandError;
use crate::keys::{DEMO_ISSUER, KeyDir};
use crate::level::LevelByHand;
use crate::metrics;
use crate::status::{Nodes, ThisNode};
use crate::store::{Opening, Plan, ReadStore};
use writing::Writing;

/// Interval of freeing the memory of past requests and removing expired changes.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The parts that the services of a process share.
struct Process<'a> {
    population: u64,
    options: &'a Options,
    config: &'a Config,
    rules: Arc<Rules>,
    guidance: Guidance,
    telemetry: &'a Telemetry,
    lifecycle: Lifecycle,
    utilization: Arc<Utilization>,
    levels: Arc<Levels>,
    keys: KeyDir,
    pseudonyms: PseudonymKey,
    store: ReadStore,
    disk_space: Arc<DiskSpace>,
    host_names: HostNames,
    foreign: ForeignFiles,
    /// The real identity provider, if it is followed.
    provider: Option<Arc<Provider>>,
}

/// Threads that may block. Events are often allocated in one of them and freed in another; the allocator then keeps the
/// memory with the first one, so more threads are more memory: tokio's 512 kept 2.5 GB after an attack.
const BLOCKING_THREADS: usize = 32;

/// Runs until a signal or a crash stops the process; returns the exit code.
///
/// # Errors
/// The process cannot start.
pub fn run(options: &Options, role: Role) -> Result<u8, CommandError> {
    let config = Config::load(options.config.as_deref(), role)?;
    let (rules, guidance) = (Arc::new(config.rules()?), config.guidance()?);
    let plan = Plan::new(role, options, &config)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.max_blocking_threads(BLOCKING_THREADS).enable_all().build().map_err(CommandError::Runtime)?;
    runtime.block_on(async {
        let telemetry = telemetry::init(&config.telemetry)?;
        metrics::describe_own();
        let served = start(role, plan, options, &config, rules, guidance, &telemetry).await;
        telemetry.shutdown().await;
        served
    })
}

/// Starts the admin port first, so that it shows what the start waits for; then keys, store, writer and read service.
async fn start(
    role: Role,
    plan: Plan,
    options: &Options,
    config: &Config,
    rules: Arc<Rules>,
    guidance: Guidance,
    telemetry: &Telemetry,
) -> Result<u8, CommandError> {
    let lifecycle = Lifecycle::new(config.lifecycle.clone());
    let starting = lifecycle.readiness().hold("start");
    telemetry.upkeep(&lifecycle);
    open_files::raise(config.connections(role));
    let utilization = Utilization::watch(&lifecycle, telemetry.metrics());
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
    let files = if role.writes() { Some(OperatorFiles::load(&config.writer)?) } else { None };
    let cache = if role.reads() { Some(CacheSettings::load(&config.read_api.cache)?) } else { None };
    let foreign = ForeignFiles::load(&config.read_api.foreign)?;
    let this_node = ThisNode {
        role: role.name(),
        region: config.region.name.clone(),
        readiness: lifecycle.readiness().clone(),
        metrics: telemetry.metrics().clone(),
    };
    let mut router = this_node.router(Nodes::new(&config.admin, &[]));
    if let Some(cache) = cache.clone() {
        router = router.route("/cache", get(async move || Json(cache.report())));
    }
    let audit_log = LateAuditLog::default();
    let levels = Levels::new(&config.read_api.levels);
    let level = LevelByHand::new(levels.clone(), utilization.clone(), audit_log.clone());
    if role.reads() {
        router = router.merge(level.router());
    }
    let router = router.merge(audit::router(audit_log.clone()));
    let host_names = HostNames::new(&config.admin.host_names);
    let router = host_names.guard(router);
    lifecycle.spawn_critical("admin", serve(admin, None, router, None, &HttpLimits::default(), &lifecycle));

    if backup::unfinished(&options.data_dir) {
        return Err(CommandError::RestoreUnfinished(options.data_dir.clone()));
    }
    let keys = config.keys(&options.data_dir);
    if role == Role::Everything {
        keys.create(matches!(plan, Plan::Embedded) && options.data_dir.join("store").exists())?;
    }
    let pseudonyms = keys.pseudonyms()?;
    let population = match role {
        Role::Everything => options.population.unwrap_or_else(|| plan.population(config)),
        Role::ReadApi | Role::Writer => 0,
    };
    seed::check(population)?;
    // The embedded store is on this machine's disk already and needs no disk tier.
    let disk = match (&cache, &plan) {
        (Some(cache), Plan::Cql(_)) => reading::open_disk(options, config, &cache.config(), &pseudonyms).await?,
        (Some(_), Plan::Embedded) | (None, _) => None,
    };
    let opening = Opening { role, lifecycle: &lifecycle, options, config, pseudonyms: &pseudonyms };
    let (store, write) = match write_port {
        Some(port) => {
            let store = plan.open_for_writing(opening).await?;
            (store.reader(), Some((store, port)))
        }
        None => {
            let can_defer = disk.as_ref().is_some_and(DiskTier::has_state);
            (plan.open_for_reading(opening, can_defer).await?, None)
        }
    };
    // Set once: the only call.
    let _ = audit_log.set(store.audit_log());
    if role.reads() {
        level.serve(&options.data_dir, &lifecycle);
    }
    foreign.watch(&lifecycle, &store.audit_log(), now);
    let embedded = write.as_ref().and_then(|(store, _)| store.embedded().cloned());
    // A CQL database has its own disks.
    let min_free = if embedded.is_some() { config.store.min_free_bytes } else { 0 };
    let disk_space = Arc::new(DiskSpace::new(options.data_dir.clone(), min_free));
    let provider = provider(config, &options.data_dir, &lifecycle)?;
    let process = Process {
        provider,
        population,
        options,
        config,
        rules,
        guidance,
        telemetry,
        lifecycle,
        utilization,
        levels,
        keys,
        pseudonyms,
        store,
        disk_space,
        host_names,
        foreign,
    };

    host_monitor::monitor(&process.disk_space, embedded.clone(), &process.lifecycle);
    let writing = match (write, files) {
        (Some((store, port)), Some(files)) => Some(Writing::start(&process, store, files, port).await?),
        (None, _) | (Some(_), None) => None,
    };
    // Not before the demo population is complete: a backup holds whole subjects.
    if let Some(store) = &embedded {
        process.serve_backups(store);
        serve_samples(store, &options.data_dir, &process.lifecycle);
    }
    let people = People::read(&options.data_dir)?.unwrap_or_else(|| People::none(now()));
    let reading = match (read_port, cache) {
        (Some(port), Some(settings)) => {
            let writer = match &writing {
                Some(writing) => writing.for_citizens(),
                None => Arc::new(RemoteWriters::new(config.read_api.writers.clone(), &process.pseudonyms)),
            };
            Some(reading::start(&process, people, settings, disk, writer, port).await?)
        }
        (None, _) | (Some(_), None) => None,
    };
    if let Some(store) = process.store.cql() {
        clock_monitor::monitor(store, role, &process.lifecycle);
    }
    if embedded.is_none() {
        region_monitor::monitor(process.store.clone(), &process.lifecycle);
    }
    let signals = Signals::install().map_err(CommandError::Signals)?;
    starting.release();
    match role {
        // A real identity provider would refuse the tokens of the demo's commands.
        Role::Everything if config.is_real() => {
            tracing::info!(read_api = %config.read_api.bind, writer = %config.writer.bind, "yima is ready");
        }
        Role::Everything => {
            // A closed standard output is ignored.
            let _ = writeln!(std::io::stdout(), "{}", crate::demo::greeting(options, config, people));
        }
        Role::ReadApi => tracing::info!(address = %config.read_api.bind, "the read service is ready"),
        Role::Writer => tracing::info!(address = %config.writer.bind, "the writer is ready"),
    }
    process.run(writing, reading, signals).await
}

impl Process<'_> {
    /// Runs until the stop, then seals the writer's stream and closes the store, in this order.
    async fn run(
        self,
        writing: Option<Writing>,
        reading: Option<ReadApi>,
        signals: Signals,
    ) -> Result<u8, CommandError> {
        let sweep = async {
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            loop {
                ticks.tick().await;
                reading.iter().for_each(ReadApi::sweep);
                if let Some(writing) = &writing {
                    writing.sweep().await;
                }
            }
        };
        let ended = tokio::select! {
            ended = self.lifecycle.run_until_stopped(signals) => ended,
            never = sweep => never,
        };
        // No request is running any more.
        if let Some(writing) = writing {
            writing.close().await;
        }
        Ok(ended.exit_code())
    }

    /// Sends backups of the embedded store to `yima backup`. A CQL database has backups of its own.
    fn serve_backups(&self, store: &Arc<EmbeddedStore>) {
        backup::serve(store, &self.options.data_dir, &self.config.region.name, &self.lifecycle);
    }

    /// The demo's routes, unless a real identity provider replaces the demo's.
    ///
    /// # Errors
    /// The demo's key cannot be used.
    fn demo(&self, routes: impl FnOnce(Issuer) -> Router) -> Result<Router, CommandError> {
        if self.config.is_real() {
            return Ok(Router::new());
        }
        Ok(self.host_names.guard(routes(self.keys.identity_provider()?)))
    }

    /// The verifier of identity tokens: by the configured keys, or by those of the demo identity provider.
    fn verifier(&self) -> Result<Verifier, CommandError> {
        let config = &self.config.identity_provider;
        if let Some(provider) = &self.provider {
            return Ok(Verifier::new(provider.keys(), config));
        }
        let Some(path) = &config.keys_file else {
            let jwks = self.keys.identity_provider()?.jwks();
            let jwks = serde_json::to_string(&jwks).expect("public keys always encode");
            let config = JwtConfig { issuer: DEMO_ISSUER.to_owned(), ..config.clone() };
            return Ok(Verifier::from_jwks(&jwks, &config)?);
        };
        Verifier::from_file(path, config).map_err(|e| CommandError::file(path, &e))
    }

    /// Sign-in at the provider's page, for a port with that public address.
    fn sign_in(&self, public_url: Option<&String>, pages: &'static [Page]) -> Option<SignIn> {
        let (provider, url) = self.provider.as_ref().zip(public_url)?;
        Some(SignIn::new(provider.clone(), self.pseudonyms.seal_keys("sign-in"), url, pages, now))
    }

    /// Warns if other machines can get the demo's tokens.
    fn warn_of_demo(&self, public: SocketAddr) {
        if !self.config.is_real() && !public.ip().is_loopback() {
            tracing::warn!(
                address = %public,
                "the demo identity provider issues tokens to anyone, and this port is reachable from other machines: \
                 set identity_provider.discovery or keys_file before storing real data"
            );
        }
    }
}

/// The identity provider that is followed, if one is.
///
/// # Errors
/// Its authorities cannot be read.
fn provider(config: &Config, data_dir: &Path, lifecycle: &Lifecycle) -> Result<Option<Arc<Provider>>, CommandError> {
    let config = &config.identity_provider;
    if !config.discovery {
        return Ok(None);
    }
    let ca_file = config.issuer.starts_with("https:").then_some(config.ca_file.as_path());
    let tls = trusting(ca_file, "identity_provider.ca_file")?.with_no_client_auth();
    let provider = Provider::open(config, data_dir, client(tls), now);
    lifecycle.spawn_until_stop("identity provider", provider.clone().follow());
    Ok(Some(provider))
}

/// A bound public port, with TLS if configured.
type Port = (TcpListener, Option<Tls>);

fn tls(service: &'static str, section: &'static str, config: Option<&TlsConfig>) -> Result<Option<Tls>, CommandError> {
    config.map(|config| Tls::load(service, config)).transpose().map_err(|error| CommandError::Tls { section, error })
}

/// Binds an address; `setting` names it in the error.
///
/// # Errors
/// The system's.
pub async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|e| CommandError::Bind { setting, address, why: e.to_string() })
}
