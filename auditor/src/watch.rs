//! Asks each node about a fact: at once until it is shown, and at the end of each window in any case.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use yima_schema::seal::SealKeys;
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_service::lifecycle::Lifecycle;

use crate::config::{AuditConfig, NodeConfig};
use crate::display::{Answer, ask};
use crate::fact::{Fact, Judgement, Source};
use crate::metrics::{Counts, WINDOWS};
use yima_service::http::client::Client;

/// When a node is asked before the first window ends, until it shows the fact. With that window's look these are five
/// displays in the first second: half of what the person may ask for, so the person's own page is not refused.
const FIRST_LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(400)];
/// Facts that are looked for at one node each, at most: some 2 kB of memory each.
const MAX_WATCHED: usize = 50_000;

/// The keys that seal the auditor's sessions; replaced when they rotate.
pub type SessionKeys = Arc<RwLock<Arc<SealKeys>>>;

/// Looks for facts at every node.
pub struct Auditor {
    nodes: Vec<Node>,
    client: Client,
    keys: SessionKeys,
    answer_timeout: Duration,
    clock_margin: Duration,
    places: Arc<Semaphore>,
    /// Changes and people that are looked for: of each one fact at a time.
    subjects: Mutex<HashSet<SubjectId>>,
    lifecycle: Lifecycle,
    clock: fn() -> Time,
}

struct Node {
    url: String,
    region: String,
    name: String,
    /// In the order of [`Source::ALL`].
    counts: [Counts; 3],
}

impl Node {
    fn new(config: &NodeConfig, own_region: &str) -> Self {
        let region = config.region.clone().unwrap_or_else(|| own_region.to_owned());
        let authority = config.url.split_once("://").map_or(config.url.as_str(), |(_, authority)| authority);
        let name = config.name.clone().unwrap_or_else(|| authority.to_owned());
        let counts = Source::ALL.map(|source| Counts::new(source, &region, &name));
        Self { url: config.url.clone(), region, name, counts }
    }
}

impl Auditor {
    /// An auditor of this region. Its looks are tasks of `lifecycle`.
    pub fn new(
        config: &AuditConfig,
        region: &str,
        client: Client,
        keys: SessionKeys,
        lifecycle: &Lifecycle,
        clock: fn() -> Time,
    ) -> Arc<Self> {
        Arc::new(Self {
            nodes: config.nodes.iter().map(|node| Node::new(node, region)).collect(),
            client,
            keys,
            answer_timeout: config.answer_timeout,
            clock_margin: config.clock_margin,
            places: Arc::new(Semaphore::new(MAX_WATCHED)),
            subjects: Mutex::default(),
            lifecycle: lifecycle.clone(),
            clock,
        })
    }

    /// Looks for a fact at every node that it concerns. A change or person is left out while the same subject is looked
    /// for, and anything while too much is.
    pub fn watch(self: &Arc<Self>, fact: Fact) {
        let concerned = (0..self.nodes.len()).filter(|n| fact.concerns(&self.nodes[*n].region));
        let concerned: Vec<_> = concerned.collect();
        // Of a canary's subject nobody asks but the auditor.
        let is_ours = fact.source == Source::Canary;
        let Ok(places) = u32::try_from(concerned.len()) else { return };
        let Ok(places) = Arc::clone(&self.places).try_acquire_many_owned(places) else { return };
        if !is_ours && !self.subjects.lock().insert(fact.subject) {
            return;
        }
        let watched = Arc::new(Watched { auditor: Arc::clone(self), fact, is_ours, _places: places });
        for node in concerned {
            let watched = Arc::clone(&watched);
            self.lifecycle.spawn_until_stop("look", async move { watched.look_at(&watched.auditor.nodes[node]).await });
        }
    }
}

/// A fact while nodes are asked about it.
struct Watched {
    auditor: Arc<Auditor>,
    fact: Fact,
    is_ours: bool,
    _places: OwnedSemaphorePermit,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_ours {
            self.auditor.subjects.lock().remove(&self.fact.subject);
        }
    }
}

/// What is known of a fact at one node.
#[derive(Default)]
struct Seen {
    is_shown: bool,
    is_contradicted: bool,
}

impl Watched {
    async fn look_at(&self, node: &Node) {
        let mut seen = Seen::default();
        for after in FIRST_LOOKS {
            if !seen.is_shown {
                self.look(node, after, &mut seen).await;
            }
        }
        let counts = &node.counts[self.fact.source as usize];
        for (n, after) in WINDOWS.into_iter().enumerate() {
            let window = counts.window(n);
            match self.look(node, after, &mut seen).await {
                Some(Judgement::Shown) => window.consistent.increment(1),
                Some(Judgement::Late | Judgement::Contradicted) => window.late.increment(1),
                Some(Judgement::LeftOut) => {}
                None => window.unanswered.increment(1),
            }
        }
    }

    /// Asks the node that long after the fact; `None` without a display.
    async fn look(&self, node: &Node, after: Duration, seen: &mut Seen) -> Option<Judgement> {
        let Self { auditor, fact, .. } = self;
        sleep_until(fact.since + after).await;
        let keys = Arc::clone(&auditor.keys.read());
        let (now, timeout) = ((auditor.clock)(), auditor.answer_timeout);
        let answer = ask(&auditor.client, &node.url, fact.subject, &keys, now, timeout).await;
        let counts = &node.counts[fact.source as usize];
        counts.look(&answer);
        let Answer::Display(display) = answer else { return None };
        let judgement = fact.judge(&display, &node.region, auditor.clock_margin);
        if judgement == Judgement::Shown && !seen.is_shown {
            seen.is_shown = true;
            // A person's view may have been there for years.
            if fact.source != Source::Person {
                counts.visible(Instant::now() - fact.since);
            }
        }
        if judgement == Judgement::Contradicted && !seen.is_contradicted {
            seen.is_contradicted = true;
            counts.inconsistent();
            let (as_of, acknowledged_at) = (display.as_of.map(|at| at.to_string()), fact.at);
            tracing::error!(
                node = node.name,
                region = node.region,
                source = fact.source.name(),
                as_of,
                %acknowledged_at,
                "an answer lacks a change that it claims to have"
            );
        }
        Some(judgement)
    }
}
