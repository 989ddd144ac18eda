//! The one thread that writes. Requests that queued up during a write go into the next one together (group commit).

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::group_commit::{Committed, Group, Numbers};
use super::unsettled::UnsettledMarks;
use crate::{Result, StoreError};

/// Requests in the queue; beyond it, callers wait.
const QUEUE_REQUESTS: usize = 4_096;
/// Requests in one write.
const GROUP_REQUESTS: usize = 1_024;
/// Bytes of requests in one write, about. A larger request is written alone.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// The queue to the committer thread.
#[derive(Clone)]
pub(super) struct Queue(mpsc::Sender<Box<dyn Request>>);

impl Queue {
    /// Runs `work` in a group, and waits until its writes are durable. `bytes`: about how much it writes. It runs even
    /// if the caller is cancelled, and may run again in another group if another request of its first one failed.
    ///
    /// # Errors
    /// Those of `work`, with nothing written; `Unavailable`, with nothing written, after a failed write or when closed;
    /// `TimedOut` when the write itself failed: the outcome is unknown until the directory is opened again.
    pub(super) async fn submit<T, W>(&self, bytes: usize, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: Fn(&mut Group<'_>) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let request = Box::new(Pending { bytes, work, output: None, answer });
        self.0.send(request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| StoreError::TimedOut)?
    }
}

/// Starts the thread. It ends when every [`Queue`] is dropped and all their requests are written.
pub(super) fn start(
    shared: Arc<Shared>,
    numbers: Numbers,
    unsettled: UnsettledMarks,
) -> std::io::Result<(Queue, JoinHandle<()>)> {
    let (sender, mut queue) = mpsc::channel(QUEUE_REQUESTS);
    let mut committer = Committer { shared, numbers, unsettled };
    let thread = std::thread::Builder::new().name("yima-committer".into()).spawn(move || {
        while let Some(first) = queue.blocking_recv() {
            committer.commit(gather(first, &mut queue));
        }
    })?;
    Ok((Queue(sender), thread))
}

/// A write failed, or an import did not finish.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable("it stopped after a failed write: restart the process".into())
}

/// The store was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

fn gather(first: Box<dyn Request>, queue: &mut mpsc::Receiver<Box<dyn Request>>) -> Vec<Box<dyn Request>> {
    let mut bytes = first.bytes();
    let mut requests = vec![first];
    while requests.len() < GROUP_REQUESTS && bytes < GROUP_BYTES {
        let Ok(next) = queue.try_recv() else { break };
        bytes += next.bytes();
        requests.push(next);
    }
    requests
}

struct Committer {
    shared: Arc<Shared>,
    numbers: Numbers,
    unsettled: UnsettledMarks,
}

impl Committer {
    fn commit(&mut self, mut requests: Vec<Box<dyn Request>>) {
        let shared = Arc::clone(&self.shared);
        let mut usable = shared.usable.lock();
        if !*usable {
            return answer(requests, &Err(stopped()));
        }
        let large = shared.large.read();
        let mut group = Group::new(&shared.tables, self.numbers.clone(), &self.unsettled, &large);
        for request in &mut requests {
            if let Err(error) = request.stage(&mut group) {
                drop(group);
                drop((large, usable));
                return self.commit_apart(requests, error);
            }
        }
        let committed = group.commit();
        drop(large);
        let written = match committed {
            Ok(committed) => {
                self.take_over(committed);
                Ok(())
            }
            Err(e) => {
                *usable = false;
                let error = shared.tables.meta.error(&e);
                tracing::error!(%error, "a write failed: the store takes no more until it is opened again");
                Err(StoreError::TimedOut)
            }
        };
        drop(usable);
        answer(requests, &written);
    }

    /// Commits each request alone: one that fails must not fail its neighbours.
    fn commit_apart(&mut self, requests: Vec<Box<dyn Request>>, error: StoreError) {
        if requests.len() == 1 {
            return answer(requests, &Err(error));
        }
        for request in requests {
            self.commit(vec![request]);
        }
    }

    /// Takes over what a durable group has changed, before anything in it is acknowledged.
    fn take_over(&mut self, Committed { numbers, marked, settled, events }: Committed) {
        marked.into_iter().for_each(|(mark, subject)| self.unsettled.add(mark, subject));
        settled.into_iter().for_each(|mark| self.unsettled.settle(mark));
        self.shared.large.write().remember(events);
        let changed = !Arc::ptr_eq(&numbers.streams, &self.numbers.streams);
        self.numbers = numbers;
        if changed {
            self.shared.streams.store(Arc::clone(&self.numbers.streams));
            self.shared.wake();
        }
    }
}

fn answer(requests: Vec<Box<dyn Request>>, written: &Result<()>) {
    for request in requests {
        request.answer(written.clone());
    }
}

/// A request, whatever its type.
trait Request: Send {
    fn bytes(&self) -> usize;
    fn stage(&mut self, group: &mut Group<'_>) -> Result<()>;
    fn answer(self: Box<Self>, written: Result<()>);
}

struct Pending<T, W> {
    bytes: usize,
    work: W,
    output: Option<T>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, W> Request for Pending<T, W>
where
    T: Send,
    W: Fn(&mut Group<'_>) -> Result<T> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn stage(&mut self, group: &mut Group<'_>) -> Result<()> {
        self.output = Some((self.work)(group)?);
        Ok(())
    }

    fn answer(self: Box<Self>, written: Result<()>) {
        let Self { output, answer, .. } = *self;
        let _ = answer.send(written.and_then(|()| output.ok_or_else(closed))); // the caller may have been cancelled
    }
}
