//! The level of degradation by hand: `yima level`, over `level.sock` in the data directory of a node that serves reads,
//! and `GET|PUT /level` of its admin port.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use yima_schema::audit::{AuditEntry, AuditRecord};
use yima_schema::problem::{FieldError, Problem};
use yima_service::clock::now;
use yima_service::http::{ProblemResponse, body};
use yima_service::levels::{ByHand, ByHandError, Levels};
use yima_service::lifecycle::Lifecycle;
use yima_service::utilization::Utilization;

use crate::audit::LateAuditLog;
use crate::cli::{LevelAction, Options};
use crate::error::CommandError;
use crate::local_socket::{DONE, LocalSocket, STALLED_AFTER, ask};

const SOCKET: &str = "level.sock";
/// Longest request: an action, two numbers, and why.
const MAX_REQUEST_BYTES: u64 = 1_000;
/// Longest body of a `PUT`, and how long it may take.
const MAX_BODY: usize = 2_000;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets, releases or prints it.
///
/// # Errors
/// Values out of their limits; no such node runs on the data directory.
pub fn run(options: &Options, action: &LevelAction) -> Result<(), CommandError> {
    let request = match action {
        LevelAction::Set { level, length, why } => {
            // Refused here, before anything is sent.
            let why =
                ByHand::new(*level, *length, why, now()).map_err(|error| CommandError::Usage(error.to_string()))?.why;
            format!("set {level} {} {why}", length.as_secs())
        }
        LevelAction::Automatic => "automatic".to_owned(),
        LevelAction::Status => "status".to_owned(),
    };
    ask(&options.data_dir, SOCKET, &request)
}

/// What the command and the admin port act on.
#[derive(Clone)]
pub struct LevelByHand {
    levels: Arc<Levels>,
    utilization: Arc<Utilization>,
    audit_log: LateAuditLog,
}

impl LevelByHand {
    /// The level of this process.
    pub fn new(levels: Arc<Levels>, utilization: Arc<Utilization>, audit_log: LateAuditLog) -> Self {
        Self { levels, utilization, audit_log }
    }

    /// Answers commands until the soft stop.
    pub fn serve(&self, data_dir: &Path, lifecycle: &Lifecycle) {
        let socket = match LocalSocket::bind(data_dir, SOCKET) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "the level cannot be set by a command while this process runs");
                return;
            }
        };
        let target = self.clone();
        lifecycle.spawn_until_stop("level", async move {
            loop {
                let (stream, uid) = socket.accept_from().await;
                let (target, runtime) = (target.clone(), Handle::current());
                // A client that is gone needs no answer.
                let _ = tokio::task::spawn_blocking(move || target.answer(&runtime, &stream, uid)).await;
            }
        });
    }

    /// `GET /level` and `PUT /level`.
    pub fn router(&self) -> Router {
        Router::new().route("/level", get(shown).put(put)).with_state(self.clone())
    }

    /// Reads a request and answers it, on a thread that may block.
    fn answer(&self, runtime: &Handle, stream: &UnixStream, uid: u32) -> io::Result<()> {
        stream.set_read_timeout(Some(STALLED_AFTER))?;
        stream.set_write_timeout(Some(STALLED_AFTER))?;
        let mut request = String::new();
        BufReader::new(stream.take(MAX_REQUEST_BYTES)).read_line(&mut request)?;
        let mut out = BufWriter::new(stream);
        match runtime.block_on(self.execute(request.trim_end(), uid)) {
            Ok(line) => write!(out, "{line}\n{DONE}\n")?,
            Err(why) => writeln!(out, "{why}")?,
        }
        out.flush()?;
        stream.shutdown(Shutdown::Both)
    }

    /// Executes a request; returns what to print.
    async fn execute(&self, request: &str, uid: u32) -> Result<String, String> {
        let words: Vec<_> = request.splitn(4, ' ').collect();
        let by = format!("user {uid}");
        match words[..] {
            ["set", level, length, why] => {
                let number = |text: &str| text.parse().map_err(|_| "expected numbers".to_owned());
                let length = Duration::from_secs(number(length)?);
                let level = u8::try_from(number(level)?).map_err(|_| ByHandError::Level.to_string())?;
                let by_hand = ByHand::new(level, length, why, now()).map_err(|error| error.to_string())?;
                self.set(Some(by_hand), by).await;
            }
            ["automatic"] => self.set(None, by).await,
            ["status"] => {}
            _ => return Err("expected set, automatic or status".to_owned()),
        }
        Ok(self.line())
    }

    /// Sets the level, then records it: overload and a store that takes no records come together.
    async fn set(&self, by_hand: Option<ByHand>, by: String) {
        let entry = match &by_hand {
            Some(ByHand { level, until, why, .. }) => {
                AuditEntry::LevelSet { level: level.number(), until: *until, why: why.clone(), by }
            }
            None => AuditEntry::LevelReleased { by },
        };
        self.levels.set(by_hand);
        let record = AuditRecord { at: now(), entry };
        tracing::info!(record = record.to_json(), "the level was set by hand");
        let recorded = match self.audit_log.get() {
            Some(log) => log.audit(&record).await.map_err(|error| error.to_string()),
            None => Err("the store is not open yet".to_owned()),
        };
        if let Err(error) = recorded {
            tracing::warn!(error, "who set the level is not in the audit log");
        }
    }

    fn line(&self) -> String {
        let (level, (automatic, by_hand)) = (self.levels.in_force(), self.levels.parts());
        let (busy, delay) = (self.utilization.busy(), self.utilization.queue_delay().as_millis());
        let set = by_hand.map_or_else(String::new, |by_hand| {
            format!(", set by hand until {} ({}); automatic: {}", by_hand.until, by_hand.why, automatic.number())
        });
        format!("level {} ({}){set}; utilization {busy:.2}, queueing {delay} ms", level.number(), level.name())
    }

    fn json(&self) -> Value {
        let (level, (automatic, by_hand)) = (self.levels.in_force(), self.levels.parts());
        let by_hand = by_hand.map(|by_hand| json!({"until": by_hand.until, "why": by_hand.why}));
        json!({
            "level": level.number(),
            "name": level.name(),
            "automatic": automatic.number(),
            "by_hand": by_hand,
            "utilization": self.utilization.busy(),
            "queue_delay_ms": self.utilization.queue_delay().as_secs_f64() * 1_000.0,
        })
    }
}

async fn shown(State(target): State<LevelByHand>) -> Json<Value> {
    Json(target.json())
}

/// The body of a `PUT`; a level of null makes it automatic again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    level: Option<u8>,
    #[serde(default)]
    for_s: u64,
    #[serde(default)]
    why: String,
}

async fn put(
    State(target): State<LevelByHand>,
    request: axum::extract::Request,
) -> Result<Json<Value>, ProblemResponse> {
    body::content_type(request.headers(), &["application/json"])?;
    let bytes = body::read_body(Body::new(request.into_body()), MAX_BODY, BODY_TIMEOUT).await?;
    let Put { level, for_s, why } = body::object(&bytes)?;
    let by_hand = level.map(|level| ByHand::new(level, Duration::from_secs(for_s), &why, now())).transpose();
    let by_hand = by_hand.map_err(|error| {
        let pointer = match error {
            ByHandError::Level => "/level",
            ByHandError::Length => "/for_s",
            ByHandError::Why => "/why",
        };
        Problem::invalid(vec![FieldError::new(pointer, error.to_string())])
    })?;
    target.set(by_hand, "admin port".to_owned()).await;
    Ok(Json(target.json()))
}
