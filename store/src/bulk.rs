//! Threads for work in bulk, which give way to everything else: their priority is low.
//!
//! An upload of thousands of rows, or a subject with thousands of events, keeps a processor busy for many milliseconds,
//! mostly with reading. At equal priority each such thread takes as much of a processor as a thread that serves a
//! person; at nice 10 it takes a tenth of that (`sched(7)`, "The nice value").

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A tenth of the weight of a thread at nice 0: little, but no load stops an upload altogether.
const NICE: i32 = 10;

/// A runtime for its pool of threads only: no task is ever polled on it.
static THREADS: LazyLock<Runtime> = LazyLock::new(|| {
    let threads = available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(threads).thread_name("bulk").on_thread_start(give_way);
    builder.build().expect("a runtime without drivers needs nothing of the system")
});

#[cfg(feature = "faults")]
thread_local!(static WITHOUT_THREADS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

/// From now on the runtimes of this thread do such work in tasks of their own: a simulation that is to be repeated has
/// no other threads.
#[cfg(feature = "faults")]
pub fn without_threads() {
    WITHOUT_THREADS.set(true);
}

/// Works in a thread that may block: in one of these, of which there are as many as processors, if `is_bulk`.
pub fn spawn_blocking<T: Send + 'static>(is_bulk: bool, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(feature = "faults")]
    if WITHOUT_THREADS.get() {
        return tokio::spawn(async { work() });
    }
    if is_bulk { THREADS.spawn_blocking(work) } else { tokio::task::spawn_blocking(work) }
}

/// Linux has a nice value for each thread (`nice(2)`, "C library/kernel differences").
fn give_way() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "threads for work in bulk have the priority of others");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::nice;

    #[tokio::test]
    async fn only_these_threads_give_way() {
        let before = nice(0).unwrap();
        assert_eq!(super::spawn_blocking(true, || nice(0).unwrap()).await.unwrap(), (before + super::NICE).min(19));
        assert_eq!(super::spawn_blocking(false, || nice(0).unwrap()).await.unwrap(), before);
    }
}
