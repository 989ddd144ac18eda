//! `yima audit`: the outside auditor as a process of its own. It has the keys of the data directory and its own admin
//! port, and stops like a service; it reads the CQL store itself, and the embedded one through the process that has it.

mod socket;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::Instant;
use yima_auditor::{
    Auditor, Canary, CanaryAgency, Fact, Known, NodeConfig, Rates, Sample, Sampler, SessionKeys, Shows, Source,
    SourceUp,
};
use yima_schema::subject::PseudonymKey;
use yima_service::clock::now;
use yima_service::http::client::{client, client_among_proxies};
use yima_service::http::{HostNames, HttpLimits, serve};
use yima_service::lifecycle::{Lifecycle, Signals};
use yima_service::telemetry::{self, Telemetry};
use yima_store::StoreError;
use yima_store::cql::{CqlOptions, CqlStore};

use crate::cli::{Engine, Options};
use crate::config::{Config, trusting};
use crate::demo::identity_provider;
use crate::error::CommandError;
use crate::keys::KeyDir;
use crate::serve::listen;
use crate::status::{Nodes, ThisNode};

pub use socket::serve_samples;

/// Interval between attempts to read a store that cannot be read.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Interval of reading the keys of sessions again: far below the time between the publication of a key and its use.
const KEYS_EVERY: Duration = Duration::from_secs(10);
/// A store that sends nothing for this long cannot be sampled: it sends five times a second.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// Ticks' samples on their way from the store to the looks.
const QUEUE: usize = 8;

/// Where samples come from.
enum Store {
    Cql(Box<CqlOptions>),
    /// The process that has the data directory's store.
    Embedded,
}

/// Runs until a signal stops it; returns the exit code.
///
/// # Errors
/// Settings or keys; nothing listens at the admin port.
pub fn run(options: &Options) -> Result<u8, CommandError> {
    let mut config = Config::load_for_auditor(options.config.as_deref())?;
    if config.audit.nodes.is_empty() {
        config.audit.nodes.push(own_node(&config));
    }
    let keys = config.keys(&options.data_dir);
    let pseudonyms = keys.pseudonyms()?;
    let sessions = Arc::new(RwLock::new(Arc::new(keys.for_sessions(&config.read_api, now())?)));
    let has_store = options.data_dir.join("store").exists();
    let store = match options.store {
        Some(Engine::Embedded) => Store::Embedded,
        None if has_store => Store::Embedded,
        Some(Engine::Cql) | None => {
            let settings = CqlOptions { pseudonym_fingerprint: pseudonyms.fingerprint(), ..config.cql()? };
            Store::Cql(Box::new(settings))
        }
    };
    let canary = agency(&config, &keys)?.map(|agency| (agency, pseudonyms));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    runtime.block_on(async {
        let telemetry = telemetry::init(&config.telemetry)?;
        telemetry::describe(yima_auditor::METRICS);
        let process = Process { options, config: &config, lifecycle: Lifecycle::new(config.lifecycle.clone()) };
        let ended = process.start(&telemetry, keys, sessions, store, canary).await;
        telemetry.shutdown().await;
        ended
    })
}

struct Process<'a> {
    options: &'a Options,
    config: &'a Config,
    lifecycle: Lifecycle,
}

impl Process<'_> {
    async fn start(
        &self,
        telemetry: &Telemetry,
        keys: KeyDir,
        sessions: SessionKeys,
        store: Store,
        canary: Option<(CanaryAgency, PseudonymKey)>,
    ) -> Result<u8, CommandError> {
        let Self { options, config, lifecycle } = self;
        let region = &config.region.name;
        let signals = Signals::install().map_err(CommandError::Signals)?;
        telemetry.upkeep(lifecycle);
        let listener = listen("admin.listen", config.admin.listen).await?;
        let (readiness, metrics) = (lifecycle.readiness().clone(), telemetry.metrics().clone());
        let this_node = ThisNode { role: "auditor", region: region.clone(), readiness, metrics };
        let router = this_node.router(Nodes::new(&config.admin, &[]));
        let router = HostNames::new(&config.admin.host_names).guard(router);
        lifecycle.spawn_critical("admin", serve(listener, None, router, None, &HttpLimits::default(), lifecycle));

        let tls = trusting(config.audit.ca_file.as_deref(), "audit.ca_file")?.with_no_client_auth();
        let nodes = client_among_proxies(tls.clone(), config.audit.proxy_protocol);
        let auditor = Auditor::new(&config.audit, region, nodes, Arc::clone(&sessions), lifecycle, now);
        let read_api = config.read_api.clone();
        lifecycle.spawn_until_stop("session keys", async move {
            loop {
                tokio::time::sleep(KEYS_EVERY).await;
                match keys.for_sessions(&read_api, now()) {
                    Ok(keys) => *sessions.write() = Arc::new(keys),
                    Err(error) => tracing::warn!(%error, "the keys of sessions cannot be read; the old ones stay"),
                }
            }
        });
        let rates = Rates::new(config.audit.changes_per_s, config.audit.people_per_s);
        let (out, samples) = mpsc::channel(QUEUE);
        let data_dir = options.data_dir.clone();
        lifecycle.spawn_critical_until_stop("samples", async move {
            let (mut failures, mut sampler) = (Failures::default(), None);
            loop {
                failures.note(match &store {
                    Store::Embedded => socket::follow(&data_dir, rates, &out).await.map_err(|e| e.to_string()),
                    Store::Cql(settings) => {
                        sample(settings, &mut sampler, rates, &out).await.map_err(|e| e.to_string())
                    }
                });
                tokio::time::sleep(RETRY_EVERY).await;
            }
        });
        lifecycle.spawn_critical_until_stop("looks", watch(samples, Arc::clone(&auditor), rates, region.clone()));
        if let Some((agency, pseudonyms)) = canary {
            let canary = Canary::new(client(tls), agency, region.clone(), pseudonyms, now);
            lifecycle.spawn_critical_until_stop("canaries", canary.run(auditor, config.audit.canary.every));
        }
        let nodes = config.audit.nodes.len();
        tracing::info!(address = %config.admin.listen, nodes, "the auditor is ready");
        Ok(lifecycle.run_until_stopped(signals).await.exit_code())
    }
}

/// The read service of the same settings.
fn own_node(config: &Config) -> NodeConfig {
    let scheme = if config.read_api.tls.is_some() { "https" } else { "http" };
    NodeConfig { url: format!("{scheme}://{}", config.read_api.bind), region: None, name: None }
}

/// The agency that sends canaries, if there is a writer for them. Its token is in a file, or issued by the demo's
/// identity provider.
fn agency(config: &Config, keys: &KeyDir) -> Result<Option<CanaryAgency>, CommandError> {
    const TOKEN_FILE: &str = "audit.canary.token_file";
    let Some(writer) = config.audit.canary.writer.clone() else { return Ok(None) };
    let name = config.audit.canary.agency.clone();
    let token: Box<dyn Fn() -> Result<String, String> + Send + Sync> = match config.audit.canary.token_file.clone() {
        Some(path) => Box::new(move || {
            std::fs::read_to_string(&path).map_err(|error| format!("{TOKEN_FILE}: {}: {error}", path.display()))
        }),
        None if config.is_real() => {
            return Err(CommandError::setting(TOKEN_FILE, "expected with identity_provider.keys_file"));
        }
        None => {
            let (issuer, claims) = (keys.identity_provider()?, identity_provider::agency(&name));
            Box::new(move || Ok(identity_provider::token(&issuer, &claims)))
        }
    };
    Ok(Some(CanaryAgency { writer, name, token }))
}

/// Samples a CQL store until it fails. `sampler` stays for the next time.
async fn sample(
    settings: &CqlOptions,
    sampler: &mut Option<Sampler>,
    rates: Rates,
    out: &mpsc::Sender<Vec<Sample>>,
) -> Result<(), StoreError> {
    let sampler = match sampler {
        Some(sampler) => sampler,
        None => sampler.insert(Sampler::new(CqlStore::open(settings.clone()).await?, rates, now)),
    };
    sampler.run(out).await
}

/// Logs each new reason why the store cannot be sampled.
#[derive(Default)]
struct Failures(String);

impl Failures {
    fn note(&mut self, ended: Result<(), String>) {
        let why = ended.err().unwrap_or_default();
        if why != self.0 {
            tracing::warn!(why, "the store cannot be sampled; people known before are asked about");
            self.0 = why;
        }
    }
}

/// Has each sample looked for. While none come, people of earlier ones are picked.
async fn watch(mut samples: mpsc::Receiver<Vec<Sample>>, auditor: Arc<Auditor>, rates: Rates, region: String) {
    let ups = [Source::Change, Source::Person].map(SourceUp::new);
    let (mut known, mut up_until) = (Known::default(), None);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        let picked = tokio::select! {
            Some(sampled) = samples.recv() => {
                sampled.iter().for_each(|sample| known.add(sample));
                up_until = Some(Instant::now() + SILENT_AFTER);
                sampled
            }
            _ = ticks.tick() => {
                let is_up = up_until.is_some_and(|until| Instant::now() < until);
                ups.iter().for_each(|up| up.set(is_up));
                let wanted = if is_up { 0 } else { rates.people };
                (0..wanted).filter_map(|_| known.pick(now())).collect()
            }
        };
        for Sample { source, subject, version, at } in picked {
            let (shows, region) = (Shows::Version(version), region.clone());
            auditor.watch(Fact { source, subject, region, shows, at, since: Instant::now() });
        }
    }
}
