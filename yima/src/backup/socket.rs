//! `backup.sock` in the data directory: whoever connects, being the process' own user or root, is sent a backup. There is no request; a byte comes back when the
//! receiver has it whole and safe.
//!
//! Not a route of the admin port: that asks for no token, and a backup has every key in it.

use std::fs;
use std::io::ErrorKind::{ConnectionRefused, InvalidInput, NotFound};
use std::io::{BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use yima_service::lifecycle::Lifecycle;
use yima_store::embedded::EmbeddedStore;

use super::format::{BackupError, Counts};
use super::make;

const SOCKET: &str = "backup.sock";
/// A receiver that takes nothing for so long is given up, since the store keeps what a backup under way may still read.
const STALLED: Duration = Duration::from_secs(60);
/// For what a receiver does with the whole of it, which is to wait for its disk.
const KEEPING: Duration = Duration::from_secs(600);

/// The beginning of a backup, if a process has the store of that data directory open.
pub(super) fn ask(data_dir: &Path) -> Result<Option<UnixStream>, BackupError> {
    match UnixStream::connect(data_dir.join(SOCKET)) {
        Ok(stream) => Ok(Some(stream)),
        // What a process that was killed leaves behind refuses. On a path that is too long for a socket none listens; if one runs all the
        // same, the store's lock says so.
        Err(e) if [NotFound, ConnectionRefused, InvalidInput].contains(&e.kind()) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Says that the backup is kept. Nobody may be listening any more.
pub(super) fn kept(mut stream: &UnixStream) {
    let _ = stream.write_all(b".");
}

/// Hands out backups, one after the other, until the soft stop, which ends one that is under way. To be called by the process that has the
/// store open.
pub fn serve(store: &Arc<EmbeddedStore>, data_dir: &Path, region: &str, lifecycle: &Lifecycle) {
    // None since the start.
    metrics::gauge!("backup_as_of_seconds").set(0);
    let path = data_dir.join(SOCKET);
    // What a process that was killed left behind; the store's lock says that there is no other.
    let _ = fs::remove_file(&path);
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "no backup can be made while this process runs");
            return;
        }
    };
    let backups = Backups { store: Arc::clone(store), data_dir: data_dir.to_owned(), region: region.to_owned() };
    let backups = Arc::new(backups);
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("backup", async move {
        while let Some(accepted) = soft.run_until_cancelled(listener.accept()).await {
            let taken = accepted.and_then(|(stream, _)| {
                let asked_by = stream.peer_cred()?.uid();
                let stream = stream.into_std()?;
                Ok((asked_by, stream.try_clone()?, stream))
            });
            let Ok((asked_by, ours, stream)) = taken else { continue };
            let allowed = [0, rustix::process::geteuid().as_raw()];
            if !allowed.contains(&asked_by) {
                tracing::warn!(uid = asked_by, "a backup was asked for by another user, and refused");
                continue;
            }
            let backups = Arc::clone(&backups);
            let sent = tokio::task::spawn_blocking(move || backups.send(stream));
            let ended = async {
                soft.cancelled().await;
                let _ = ours.shutdown(Shutdown::Both);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _logged = sent => {}
                () = ended => {}
            }
        }
        let _ = fs::remove_file(&path);
    });
}

struct Backups {
    store: Arc<EmbeddedStore>,
    data_dir: std::path::PathBuf,
    region: String,
}

impl Backups {
    fn send(&self, stream: UnixStream) {
        let begun = Instant::now();
        let send = || {
            stream.set_nonblocking(false)?;
            stream.set_write_timeout(Some(STALLED))?;
            let made = make(&self.store, &self.data_dir, &self.region, BufWriter::with_capacity(1 << 18, &stream))?;
            stream.shutdown(Shutdown::Write)?;
            stream.set_read_timeout(Some(KEEPING))?;
            (&stream).read_exact(&mut [0])?;
            Ok(made)
        };
        let sent: Result<_, BackupError> = send();
        match sent {
            Ok((head, Counts { people, events })) => {
                metrics::gauge!("backup_as_of_seconds").set(head.as_of.as_millis() as f64 / 1000.0);
                tracing::info!(people, events, seconds = begun.elapsed().as_secs(), "a backup was handed out");
            }
            Err(fault) => tracing::warn!(%fault, "a backup was not handed out whole"),
        }
    }
}
