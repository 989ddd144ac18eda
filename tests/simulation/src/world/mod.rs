//! A run: nodes over one store, clients and faults, all drawn from a seed, under simulated time. The cache, the follower
//! and the folds are the product's own.

mod clients;
mod faults;
mod nodes;
mod recovery;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use yima_read_api::config::CacheConfig;
use yima_schema::code::TokenKeys;
use yima_schema::rules::Rules;
use yima_schema::subject::{PseudonymKey, SubjectId};
use yima_store::bulk;

use crate::chance;
use crate::clock;
use crate::cql::Database;
use crate::embedded::Disk;
use crate::network;
use crate::oracle::Oracle;
use nodes::Node;
#[cfg(test)]
pub(crate) use {clients::event, nodes::Store};

/// The engine of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// One process.
    Embedded,
    /// Several writers and read nodes.
    Cql,
}

/// What a seed does not decide.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The engine; `None`: by the seed.
    pub engine: Option<Engine>,
    /// Simulated time with faults, in seconds.
    pub seconds: u64,
    /// Simulated milliseconds from one look at a subject on a node to the next.
    pub look_every_ms: u64,
    /// Whether the clocks of the database's nodes are set.
    pub database_clocks: bool,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Looks within 60 simulated seconds after a change of their subject, each counted once.
    pub pairs: u64,
    /// All answers.
    pub answers: u64,
    /// Acknowledged events.
    pub acknowledged: u64,
    /// Faults.
    pub faults: u64,
    /// The same for every run of the seed with this setting.
    pub trace: u64,
    /// The first broken promise.
    pub violation: Option<String>,
}

enum Site {
    Embedded(Arc<Mutex<Disk>>),
    Cql(Arc<Database>),
}

struct World {
    setting: Setting,
    engine: Engine,
    site: Site,
    subjects: usize,
    config: CacheConfig,
    oracle: Arc<Mutex<Oracle>>,
    nodes: Mutex<Vec<Node>>,
    hints: nodes::Hints,
    faults: Mutex<u64>,
}

/// A subject by its number.
pub fn subject(number: usize) -> SubjectId {
    let mut bytes = [0; 16];
    // Spread, since the first bytes choose shards.
    let spread = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    bytes[15] = number as u8;
    SubjectId::from_bytes(bytes)
}

fn number_of(subject: SubjectId) -> usize {
    usize::from(subject.as_bytes()[15])
}

/// Rules that show every test.
pub(crate) fn rules() -> Arc<Rules> {
    static RULES: OnceLock<Arc<Rules>> = OnceLock::new();
    let parse = || {
        let built_in = include_str!("../../../../schema/rules/default.toml");
        Arc::new(
            Rules::parse(&built_in.replacen("shown = 3", "shown = 2000", 1)).expect("the built-in rules are tested"),
        )
    };
    Arc::clone(RULES.get_or_init(parse))
}

pub(crate) fn token_keys() -> Arc<TokenKeys> {
    Arc::new(TokenKeys::new(&PseudonymKey::from_bytes(&[7; 32])))
}

/// Runs a seed.
///
/// # Panics
/// Without memory for a runtime.
pub fn run(seed: u64, setting: Setting) -> Report {
    bulk::without_threads();
    chance::begin(seed);
    network::calm();
    on_paused_time(async {
        clock::begin();
        World::new(setting).run().await
    })
}

/// Runs on a runtime whose time goes on only when everything waits.
pub(crate) fn on_paused_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without drivers needs nothing of the system").block_on(work)
}

impl World {
    fn new(setting: Setting) -> Arc<Self> {
        let by_seed = if chance::one_in(4) { Engine::Embedded } else { Engine::Cql };
        let engine = setting.engine.unwrap_or(by_seed);
        let is_one_process = engine == Engine::Embedded;
        let site = match engine {
            Engine::Embedded => Site::Embedded(Arc::default()),
            Engine::Cql => Site::Cql(Arc::default()),
        };
        let subjects = chance::between(6, 14) as usize;
        // In some runs memory has no room for all views: a shard of sixteen has room for one.
        let bytes = if chance::one_in(3) { 16 * 2_000 } else { 1 << 20 };
        let config = CacheConfig {
            memory_bytes: bytes,
            absent_bytes: bytes,
            ledger_entries: 1 << 14,
            poll_every: Duration::from_millis(chance::pick(&[50, 200])),
            ..CacheConfig::default()
        };
        let max_lag_ms = config.max_lag.as_millis() as i64;
        Arc::new(Self {
            setting,
            engine,
            site,
            subjects,
            config,
            oracle: Arc::new(Mutex::new(Oracle::new(subjects, clock::NODES, max_lag_ms, is_one_process))),
            nodes: Mutex::default(),
            hints: nodes::Hints::default(),
            faults: Mutex::new(0),
        })
    }

    async fn run(self: Arc<Self>) -> Report {
        let (writers, readers) = match self.engine {
            Engine::Embedded => (1, 1),
            Engine::Cql => (chance::between(1, 3) as usize, chance::between(2, 3) as usize),
        };
        self.start_all(writers, readers);
        let end = self.setting.seconds * 1_000;
        let mut clients = self.start_clients(end);
        let faults = tokio::spawn(Arc::clone(&self).make_faults(end));
        self.look(end).await;
        let _ = faults.await;
        clients.drain(..).for_each(|client| client.abort());
        if self.oracle.lock().violation.is_none() {
            self.recover().await;
        }
        let mut oracle = self.oracle.lock();
        chance::note(chance::below(u64::MAX));
        chance::note(oracle.answers);
        Report {
            pairs: oracle.pairs,
            answers: oracle.answers,
            acknowledged: oracle.acknowledged,
            faults: *self.faults.lock(),
            trace: chance::trace(),
            violation: oracle.violation.take(),
        }
    }
}
