//! Sockets in the data directory by which commands reach the running process: only its own user and root may.

use std::fs;
use std::io::ErrorKind::{ConnectionRefused, InvalidInput, NotFound};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;

use crate::error::CommandError;

/// The last line of a complete answer.
pub const DONE: &str = "done";
/// A client that sends or reads nothing for this long is dropped.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

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
        self.accept_from().await.0
    }

    /// The next client, and the id of its user.
    pub async fn accept_from(&self) -> (UnixStream, u32) {
        loop {
            let client = self.listener.accept().await.and_then(|(stream, _)| {
                let uid = stream.peer_cred()?.uid();
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Ok((uid, stream))
            });
            let Ok((uid, stream)) = client else { continue };
            if [0, rustix::process::geteuid().as_raw()].contains(&uid) {
                return (stream, uid);
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

/// Sends a request of one line to the process of that data directory, and prints its answer. The last line says how it
/// ended: [`DONE`], or an error.
///
/// # Errors
/// No process of yima that takes such requests runs on the data directory, or it failed.
pub fn ask(data_dir: &Path, name: &str, request: &str) -> Result<(), CommandError> {
    let path = data_dir.join(name);
    let stream = connect(data_dir, name).map_err(|e| CommandError::file(&path, &e))?;
    let stream = stream.ok_or_else(|| {
        let directory = data_dir.display();
        CommandError::Usage(format!("{directory}: no writer runs on this data directory: start it, then ask again"))
    })?;
    let mut last = String::new();
    let mut ask = || -> io::Result<()> {
        writeln!(&stream, "{request}")?;
        for line in BufReader::new(&stream).lines() {
            let printed = std::mem::replace(&mut last, line?);
            if !printed.is_empty() {
                writeln!(io::stdout(), "{printed}")?;
            }
        }
        Ok(())
    };
    match ask() {
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        asked => asked.map_err(|e| CommandError::file(&path, &e))?,
    }
    match last.as_str() {
        DONE => Ok(()),
        "" => Err(CommandError::Interrupted("the writer's answer")),
        error => Err(CommandError::Usage(error.to_owned())),
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
