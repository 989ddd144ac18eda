//! Sockets in the data directory by which commands reach the running process: only its own user and root may.

use std::fs;
use std::io;
use std::io::ErrorKind::{ConnectionRefused, InvalidInput, NotFound};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket that takes clients.
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Makes the socket `name`. To be called by the process that has the data directory alone: the socket of a killed
    /// process is replaced.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(data_dir: &Path, name: &str) -> io::Result<Self> {
        let path = data_dir.join(name);
        let _ = fs::remove_file(&path);
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }

    /// The next client. Another user's is refused.
    pub async fn accept(&self) -> UnixStream {
        loop {
            let client = self.listener.accept().await.and_then(|(stream, _)| {
                let uid = stream.peer_cred()?.uid();
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Ok((uid, stream))
            });
            let Ok((uid, stream)) = client else { continue };
            if [0, rustix::process::geteuid().as_raw()].contains(&uid) {
                return stream;
            }
            tracing::warn!(uid, socket = %self.path.display(), "a client of another user was refused");
        }
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to the process of that data directory; `None` if no process runs.
///
/// # Errors
/// The system's.
pub fn connect(data_dir: &Path, name: &str) -> io::Result<Option<UnixStream>> {
    match UnixStream::connect(data_dir.join(name)) {
        Ok(stream) => Ok(Some(stream)),
        // The socket of a killed process refuses. Nothing listens on a path too long for a socket.
        Err(error) if [NotFound, ConnectionRefused, InvalidInput].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}
