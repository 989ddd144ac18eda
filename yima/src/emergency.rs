//! `yima emergency`: starts and ends the acceptance of expired codes by checkpoints without a network. The command asks
//! the running writer over `emergency.sock` in the data directory; the next release of the offline bundle has it.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::bundle::Emergency;
use yima_service::clock::now;
use yima_service::lifecycle::Lifecycle;
use yima_store::{AuditLog, BundleStore, StoreError};

use crate::cli::{EmergencyAction, Options};
use crate::error::CommandError;
use crate::local_socket::{DONE, LocalSocket, STALLED_AFTER, ask};

const SOCKET: &str = "emergency.sock";
/// Longest request: an action, two numbers, and why.
const MAX_REQUEST_BYTES: u64 = 1_000;

/// Starts, ends or prints it.
///
/// # Errors
/// Values out of their limits; no writer runs on the data directory, or it failed.
pub fn run(options: &Options, action: &EmergencyAction) -> Result<(), CommandError> {
    let request = match action {
        EmergencyAction::Start { length, expired, why } => {
            // Refused here, before anything is sent.
            let emergency = Emergency::start(now(), *length, *expired, why);
            let why = emergency.map_err(|error| CommandError::Usage(error.to_string()))?.why;
            format!("start {} {} {why}", length.as_secs(), expired.as_secs())
        }
        EmergencyAction::End => "end".to_owned(),
        EmergencyAction::Status => "status".to_owned(),
    };
    ask(&options.data_dir, SOCKET, &request)
}

/// What such commands act on.
struct Target {
    store: Arc<dyn BundleStore>,
    audit_log: Arc<dyn AuditLog>,
}

/// Answers such commands until the soft stop.
pub fn serve(store: Arc<dyn BundleStore>, audit_log: Arc<dyn AuditLog>, data_dir: &Path, lifecycle: &Lifecycle) {
    let socket = match LocalSocket::bind(data_dir, SOCKET) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "expired codes cannot be accepted by a command while this process runs");
            return;
        }
    };
    let target = Arc::new(Target { store, audit_log });
    lifecycle.spawn_until_stop("emergency", async move {
        loop {
            let stream = socket.accept().await;
            let (target, runtime) = (target.clone(), Handle::current());
            // A client that is gone needs no answer.
            let _ = tokio::task::spawn_blocking(move || answer(&target, &runtime, &stream)).await;
        }
    });
}

/// Reads a request and answers it, on a thread that may block.
fn answer(target: &Target, runtime: &Handle, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(STALLED_AFTER))?;
    stream.set_write_timeout(Some(STALLED_AFTER))?;
    let mut request = String::new();
    BufReader::new(stream.take(MAX_REQUEST_BYTES)).read_line(&mut request)?;
    let mut out = BufWriter::new(stream);
    match runtime.block_on(target.execute(request.trim_end())) {
        Ok(line) => write!(out, "{line}\n{DONE}\n")?,
        Err(why) => writeln!(out, "{why}")?,
    }
    out.flush()?;
    stream.shutdown(Shutdown::Both)
}

impl Target {
    /// Executes a request; returns what to print.
    async fn execute(&self, request: &str) -> Result<String, String> {
        let words: Vec<_> = request.splitn(4, ' ').collect();
        let stored = |error: StoreError| format!("store: {error}");
        match words[..] {
            ["start", length, expired, why] => {
                let seconds = |text: &str| text.parse().map(Duration::from_secs).map_err(|_| "expected seconds");
                let emergency = Emergency::start(now(), seconds(length)?, seconds(expired)?, why);
                let emergency = emergency.map_err(|error| error.to_string())?;
                let Emergency { until, expired, why } = emergency.clone();
                let entry = AuditEntry::EmergencyStarted { until, expired_s: expired.as_secs(), why };
                self.record(entry).await.map_err(stored)?;
                self.store.set_emergency(Some(emergency.to_json().into_bytes())).await.map_err(stored)?;
                Ok(format!("started; {}", line(&emergency)))
            }
            ["end"] => {
                self.record(AuditEntry::EmergencyEnded {}).await.map_err(stored)?;
                self.store.set_emergency(None).await.map_err(stored)?;
                Ok("ended".to_owned())
            }
            ["status"] => {
                let json = self.store.emergency().await.map_err(stored)?;
                let emergency = json.map(|json| Emergency::in_force(&json, now())).transpose();
                let emergency = emergency.map_err(|_| "the stored emergency cannot be read: end it")?.flatten();
                let released = self.store.bundle_index().await.map_err(stored)?;
                let released = released.map_or_else(|| "none".to_owned(), |index| index.released_at.to_string());
                let emergency = emergency.map_or_else(|| "no emergency".to_owned(), |emergency| line(&emergency));
                Ok(format!("{emergency}; newest offline bundle: {released}"))
            }
            _ => Err("expected start, end or status".to_owned()),
        }
    }

    /// Before it is done: nothing is in force that is not in the audit log.
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.audit_log.audit(&AuditRecord { at: now(), entry }).await
    }
}

fn line(Emergency { until, expired, why }: &Emergency) -> String {
    format!("until {until} codes that expired up to {} s ago are accepted offline: {why}", expired.as_secs())
}
