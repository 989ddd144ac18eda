//! Canaries: events of the auditor's own, about subjects that nobody is, through the writer's public port. Each is a
//! negative test that was taken just now, so it changes no colour and displays of every region show it by its time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::Time;

use crate::fact::{Fact, Shows, Source};
use crate::metrics::SourceUp;
use crate::watch::Auditor;
use yima_service::http::client::{Client, send};

/// For the writer to answer: its own limit for a batch and some more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long canaries are about one subject: an agency may send 1,000 events about one.
const SUBJECT_LASTS_S: i64 = 3_600;

/// The agency that sends canaries.
pub struct CanaryAgency {
    /// URL of the writer's public port.
    pub writer: String,
    /// Its name.
    pub name: String,
    /// Its identity token, for the next request; an error's text is logged.
    pub token: Box<dyn Fn() -> Result<String, String> + Send + Sync>,
}

/// Sends canaries.
pub struct Canary {
    client: Client,
    agency: CanaryAgency,
    region: String,
    pseudonyms: PseudonymKey,
    /// Of this process: two auditors of a region have subjects of their own.
    instance: u32,
    clock: fn() -> Time,
}

impl Canary {
    /// Canaries for the writer of this region.
    pub fn new(
        client: Client,
        agency: CanaryAgency,
        region: String,
        pseudonyms: PseudonymKey,
        clock: fn() -> Time,
    ) -> Self {
        Self { client, agency, region, pseudonyms, instance: rand::random(), clock }
    }

    /// Sends one at a time for ever, and has each looked for.
    pub async fn run(self, auditor: Arc<Auditor>, every: Duration) {
        let up = SourceUp::new(Source::Canary);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let sent = self.send().await;
            up.set(sent.is_ok());
            match (&sent, failing) {
                (Err(error), false) => tracing::warn!(error, "a canary was not accepted; tried again"),
                (Ok(_), true) => tracing::info!("canaries are accepted again"),
                (Err(_), true) | (Ok(_), false) => {}
            }
            failing = sent.is_err();
            if let Ok(fact) = sent {
                auditor.watch(fact);
            }
        }
    }

    async fn send(&self) -> Result<Fact, String> {
        let taken_at = (self.clock)();
        let number = self.document_number(taken_at);
        let document = Document::new(DocumentType::Local, &number).map_err(|error| error.to_string())?;
        let event = json!({
            "id": format!("canary/{:08x}/{}", self.instance, taken_at.as_millis()),
            "revision": 0,
            "kind": "test_result",
            "subject": {"document_type": DocumentType::Local.as_str(), "document_number": number},
            "occurred_at": taken_at,
            "data": {"test": "nucleic_acid", "result": "negative"},
        });
        let request = Request::post(format!("{}/v1/events", self.agency.writer))
            .header(AUTHORIZATION, format!("Bearer {}", (self.agency.token)()?.trim()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(event.to_string())))
            .map_err(|_| "the token is no header value".to_owned())?;
        let reply = send(&self.client, request, ANSWER_TIMEOUT).await.ok_or("the writer does not answer")?;
        let (since, at) = (Instant::now(), (self.clock)());
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if reply.status != StatusCode::OK || answer["status"] != "accepted" {
            let kind = answer["type"].as_str().unwrap_or_default();
            return Err(format!("the writer answers {} {kind}", reply.status.as_u16()));
        }
        let (subject, region) = (self.pseudonyms.subject(&document), self.region.clone());
        Ok(Fact { source: Source::Canary, subject, region, shows: Shows::TestOf(taken_at), at, since })
    }

    /// The document number of the subject of that hour.
    fn document_number(&self, at: Time) -> String {
        let Self { agency, region, instance, .. } = self;
        format!("{}/canary-{region}-{instance:08x}-{}", agency.name, at.as_secs() / SUBJECT_LASTS_S)
    }
}
