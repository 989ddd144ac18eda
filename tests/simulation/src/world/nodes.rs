//! Nodes: processes that write, read or both, over the store as they reach it.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use yima_read_api::cache::ViewCache;
use yima_read_api::cache::follower::Follower;
use yima_schema::change::Change;
use yima_schema::subject::SubjectId;
use yima_store::{Feed, MarkFeed, Registry, Result, StreamId, VersionedView, ViewReader, WriterStore};
use yima_writer::fold::Folder;
use yima_writer::follow::MarkFollower;

use super::{Site, World, number_of, rules, token_keys};
use crate::chance;
use crate::clock::{OF_NODE, wait};
use crate::cql::CqlModel;
use crate::embedded::EmbeddedModel;
use crate::network::Process;
use crate::oracle::Oracle;

/// A store as a process has it.
pub trait Store: WriterStore + Feed {}

impl<T: WriterStore + Feed> Store for T {}

/// Where read nodes listen to writers, by node.
pub(super) type Hints = Arc<Mutex<Vec<(usize, mpsc::Sender<StreamId>)>>>;

/// A node, as it was started last.
#[derive(Clone)]
pub(super) struct Node {
    pub number: usize,
    pub writes: bool,
    pub reads: bool,
    pub process: Arc<Process>,
    /// `None` without a cache.
    pub views: Option<Arc<ViewCache>>,
    /// `None` until its folds may begin.
    pub folder: Arc<Mutex<Option<Arc<Folder>>>>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

/// Tells the oracle what a node receives from the store: from that moment on it knows these versions.
struct Observed {
    store: Arc<dyn Store>,
    node: usize,
    oracle: Arc<Mutex<Oracle>>,
}

impl Observed {
    fn learn<'a>(&self, versions: impl Iterator<Item = (SubjectId, &'a VersionedView)>) {
        let mut oracle = self.oracle.lock();
        versions.for_each(|(subject, view)| oracle.learn(self.node, number_of(subject), view.version));
    }
}

#[async_trait]
impl ViewReader for Observed {
    async fn lookup(&self, subject: SubjectId) -> Result<Option<VersionedView>> {
        let view = self.store.lookup(subject).await?;
        self.learn(view.iter().map(|view| (subject, view)));
        Ok(view)
    }

    async fn lookup_many(&self, subjects: &[SubjectId]) -> Result<Vec<Option<VersionedView>>> {
        let views = self.store.lookup_many(subjects).await?;
        self.learn(subjects.iter().zip(&views).filter_map(|(subject, view)| Some((*subject, view.as_ref()?))));
        Ok(views)
    }
}

#[async_trait]
impl Feed for Observed {
    async fn registry(&self) -> Result<Registry> {
        self.store.registry().await
    }

    async fn changes(&self, stream: StreamId, after: u64, limit: usize) -> Result<Vec<(u64, Option<Change>)>> {
        let rows = self.store.changes(stream, after, limit).await?;
        let mut oracle = self.oracle.lock();
        for change in rows.iter().filter_map(|(_, change)| change.as_ref()) {
            oracle.learn(self.node, number_of(change.subject), change.version);
        }
        drop(oracle);
        Ok(rows)
    }

    fn applied(&self, through: &[(StreamId, u64)]) {
        self.store.applied(through);
    }

    async fn woken(&self) {
        self.store.woken().await;
    }
}

impl World {
    /// Starts the first nodes: writers, then read nodes; one that does both if each is one.
    pub(super) fn start_all(&self, writers: usize, readers: usize) {
        let is_one = matches!(self.site, Site::Embedded(_));
        let roles = (0..writers).map(|_| (true, is_one)).chain((0..readers).map(|_| (false, true)));
        for (number, (writes, reads)) in roles.take(if is_one { 1 } else { usize::MAX }).enumerate() {
            let node = self.start(number, writes, reads);
            self.nodes.lock().push(node);
        }
    }

    /// Kills a node; what it had sent goes on its way.
    pub(super) fn kill(&self, number: usize) {
        let mut nodes = self.nodes.lock();
        let node = &mut nodes[number];
        node.process.kill();
        node.tasks.lock().drain(..).for_each(|task| task.abort());
        node.views = None;
        *node.folder.lock() = None;
        self.hints.lock().retain(|(of, _)| *of != number);
    }

    /// Starts a node again.
    pub(super) fn restart(&self, number: usize) {
        let Node { writes, reads, .. } = self.nodes.lock()[number].clone();
        let node = self.start(number, writes, reads);
        self.nodes.lock()[number] = node;
    }

    fn start(&self, number: usize, writes: bool, reads: bool) -> Node {
        let (process, clock) = (Arc::new(Process::default()), OF_NODE[number]);
        let (store, marks): (Arc<dyn Store>, Option<Arc<dyn MarkFeed>>) = match &self.site {
            Site::Embedded(disk) => (EmbeddedModel::open(Arc::clone(disk), Arc::clone(&process)), None),
            Site::Cql(database) => {
                let model = CqlModel::open(Arc::clone(database), Arc::clone(&process), clock);
                (model.clone(), Some(model))
            }
        };
        let (folder, mut tasks) = (Arc::new(Mutex::new(None)), Vec::new());
        let views = reads.then(|| {
            self.oracle.lock().restart(number);
            let observed = Observed { store: Arc::clone(&store), node: number, oracle: Arc::clone(&self.oracle) };
            let observed = Arc::new(observed);
            let views = ViewCache::new(observed.clone(), &self.config, None, clock);
            let follower = Follower::new(observed, Arc::clone(&views), None, self.config.poll_every, clock);
            let (sender, hints) = mpsc::channel(16);
            self.hints.lock().push((number, sender));
            tasks.push(tokio::spawn(follower.run(hints)).abort_handle());
            views
        });
        if writes {
            let starting = write(store, marks, Arc::clone(&folder), Arc::clone(&self.hints));
            tasks.push(tokio::spawn(starting).abort_handle());
        }
        Node { number, writes, reads, process, views, folder, tasks: Arc::new(Mutex::new(tasks)) }
    }

    /// The nodes that answer now, each with its cache.
    pub(super) fn readers(&self) -> Vec<(usize, Arc<ViewCache>)> {
        let nodes = self.nodes.lock();
        let running = nodes.iter().filter(|node| node.process.is_running());
        running.filter_map(|node| Some((node.number, Arc::clone(node.views.as_ref()?)))).collect()
    }
}

/// Writes, and follows marks, until the node is killed.
async fn write(
    store: Arc<dyn Store>,
    marks: Option<Arc<dyn MarkFeed>>,
    started: Arc<Mutex<Option<Arc<Folder>>>>,
    hints: Hints,
) {
    let folder = loop {
        // A service that cannot start is started again.
        if let Ok(folder) = Folder::start(store.clone(), rules(), token_keys()).await {
            break Arc::new(folder);
        }
        wait(chance::between(100, 500)).await;
    };
    *started.lock() = Some(Arc::clone(&folder));
    let mut published = folder.published();
    let hint = async {
        while published.changed().await.is_ok() {
            let stream = *published.borrow_and_update();
            wait(chance::below(100)).await;
            hints.lock().iter().for_each(|(_, reader)| {
                let _ = reader.try_send(stream); // it listens to others, or has gone
            });
        }
    };
    match marks {
        Some(marks) => drop(tokio::join!(hint, MarkFollower::new(marks, folder).run())),
        None => hint.await,
    }
}
