//! `yima dead-letters`: the command asks the running writer over `dead-letters.sock` in the data directory. One line
//! goes to the writer, lines come back, and the last one says how it ended.
//!
//! Not a route of the admin port, which requires no token.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use yima_schema::dead_letter::DeadLetterId;
use yima_service::lifecycle::Lifecycle;
use yima_store::StoreError;
use yima_writer::Replayed;
use yima_writer::app::App;

use crate::cli::{DeadLetterAction, Options};
use crate::error::CommandError;
use crate::local_socket::{DONE, LocalSocket, STALLED_AFTER, ask};

const SOCKET: &str = "dead-letters.sock";
/// Longest request: an action and an id.
const MAX_REQUEST_BYTES: u64 = 100;

/// Lists or replays letters, and prints the answer.
///
/// # Errors
/// No writer runs on the data directory, or it failed.
pub fn run(options: &Options, action: &DeadLetterAction) -> Result<(), CommandError> {
    let request = match action {
        DeadLetterAction::List => "list".to_owned(),
        DeadLetterAction::Replay { id: None } => "replay".to_owned(),
        DeadLetterAction::Replay { id: Some(id) } => format!("replay {id}"),
    };
    ask(&options.data_dir, SOCKET, &request)
}

/// Answers such commands until the soft stop.
pub fn serve(app: &Arc<App>, data_dir: &Path, lifecycle: &Lifecycle) {
    let socket = match LocalSocket::bind(data_dir, SOCKET) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "dead letters cannot be listed or replayed while this process runs");
            return;
        }
    };
    let app = Arc::clone(app);
    lifecycle.spawn_until_stop("dead letters", async move {
        loop {
            let stream = socket.accept().await;
            let (app, runtime) = (Arc::clone(&app), Handle::current());
            // A client that is gone needs no answer.
            let _ = tokio::task::spawn_blocking(move || answer(&app, &runtime, &stream)).await;
        }
    });
}

/// Reads a request and answers it, on a thread that may block.
fn answer(app: &App, runtime: &Handle, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(STALLED_AFTER))?;
    stream.set_write_timeout(Some(STALLED_AFTER))?;
    let mut request = String::new();
    BufReader::new(stream.take(MAX_REQUEST_BYTES)).read_line(&mut request)?;
    let mut out = BufWriter::new(stream);
    let mut words = request.split_whitespace();
    let ended = match (words.next(), words.next().map(str::parse::<DeadLetterId>)) {
        (Some("list"), None) => list(app, runtime, &mut out)?,
        (Some("replay"), None) => replay(app, runtime, None, &mut out)?,
        (Some("replay"), Some(Ok(id))) => replay(app, runtime, Some(id), &mut out)?,
        (_, _) => {
            writeln!(out, "expected list, or replay and an id")?;
            return out.flush();
        }
    };
    match ended {
        Ok(()) => writeln!(out, "{DONE}")?,
        Err(error) => writeln!(out, "{error}")?,
    }
    out.flush()?;
    stream.shutdown(Shutdown::Both)
}

type Ended = io::Result<Result<(), StoreError>>;

fn list(app: &App, runtime: &Handle, out: &mut impl Write) -> Ended {
    let mut after = None;
    loop {
        let page = match runtime.block_on(app.dead_letters(after)) {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let Some((last, _)) = page.last() else { return Ok(Ok(())) };
        after = Some(*last);
        for (id, letter) in &page {
            let code = letter.code.as_deref().unwrap_or("-");
            writeln!(out, "{id} {} {} {code} {}", letter.received_at, letter.agency, letter.reason)?;
        }
    }
}

fn replay(app: &App, runtime: &Handle, only: Option<DeadLetterId>, out: &mut impl Write) -> Ended {
    match runtime.block_on(app.replay(only)) {
        Ok(Replayed { accepted, duplicate, ignored, rejected }) => {
            writeln!(out, "accepted={accepted} duplicate={duplicate} ignored={ignored} rejected={rejected}")?;
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error)),
    }
}
