//! `backup.sock` in the data directory: a client that connects as the process' own user or as root is sent a backup.
//! There is no request; the client sends one byte back once it has the complete backup on disk.
//!
//! Not a route of the admin port: that port requires no token, and a backup contains every key.

use std::io::{self, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use yima_schema::audit::OperatorAction;
use yima_service::lifecycle::Lifecycle;
use yima_store::embedded::EmbeddedStore;

use super::export;
use super::format::{BackupError, Counts};
use crate::audit::record_done;
use crate::local_socket::{self, LocalSocket};

const SOCKET: &str = "backup.sock";
/// A receiver that reads nothing for this long is dropped: the store cannot free old rows while a backup may still read
/// them.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// How long a receiver may take to bring the complete backup to its disk.
const CONFIRM_WITHIN: Duration = Duration::from_secs(600);

/// Connects to the process that has the store of that data directory open; `None` if no process has. If a process runs
/// whose socket's path is too long, the store's lock reveals it.
pub(super) fn connect(data_dir: &Path) -> io::Result<Option<UnixStream>> {
    local_socket::connect(data_dir, SOCKET)
}

/// Confirms that the backup is kept. An error is ignored: the sender may be gone.
pub(super) fn confirm(mut stream: &UnixStream) {
    let _ = stream.write_all(b".");
}

/// Sends backups, one after the other, until the soft stop, which also ends a running one. To be called by the process
/// that has the store open.
pub fn serve(store: &Arc<EmbeddedStore>, data_dir: &Path, region: &str, lifecycle: &Lifecycle) {
    // No backup since the start.
    metrics::gauge!("backup_as_of_seconds").set(0);
    let socket = match LocalSocket::bind(data_dir, SOCKET) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "no backup can be made while this process runs");
            return;
        }
    };
    let backups = Backups { store: Arc::clone(store), data_dir: data_dir.to_owned(), region: region.to_owned() };
    let backups = Arc::new(backups);
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("backup", async move {
        while let Some(stream) = soft.run_until_cancelled(socket.accept()).await {
            let Ok(to_shut_down) = stream.try_clone() else { continue };
            let backups = Arc::clone(&backups);
            let sent = tokio::task::spawn_blocking(move || backups.send(stream));
            let stopped = async {
                soft.cancelled().await;
                let _ = to_shut_down.shutdown(Shutdown::Both);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _logged = sent => {}
                () = stopped => {}
            }
        }
    });
}

struct Backups {
    store: Arc<EmbeddedStore>,
    data_dir: PathBuf,
    region: String,
}

impl Backups {
    fn send(&self, stream: UnixStream) {
        let started = Instant::now();
        let send = || {
            stream.set_write_timeout(Some(STALLED_AFTER))?;
            let content =
                export(&self.store, &self.data_dir, &self.region, BufWriter::with_capacity(1 << 18, &stream))?;
            stream.shutdown(Shutdown::Write)?;
            stream.set_read_timeout(Some(CONFIRM_WITHIN))?;
            (&stream).read_exact(&mut [0])?;
            Ok(content)
        };
        let sent: Result<_, BackupError> = send();
        match sent {
            Ok((head, Counts { people, events })) => {
                metrics::gauge!("backup_as_of_seconds").set(head.as_of.as_millis() as f64 / 1000.0);
                tracing::info!(people, events, seconds = started.elapsed().as_secs(), "a backup was sent");
                Handle::current().block_on(record_done(&*self.store, OperatorAction::Backup));
            }
            Err(error) => tracing::warn!(%error, "a backup was not sent completely; its receiver discards it"),
        }
    }
}
