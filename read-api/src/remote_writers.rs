//! Writers of the region as processes of their own: the first one that answers takes an event.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use yima_schema::event::Event;
use yima_schema::freshness::Freshness;
use yima_schema::handover::{HandoverKeys, ROUTE};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::PseudonymKey;

use crate::citizen_writer::{CitizenWriter, no_writer};

/// For a writer to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For a writer to answer; then the next one is asked. Sent twice, an event is taken once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 4_096;

/// Hands events to the writers at these addresses.
pub struct RemoteWriters {
    client: Client<HttpConnector, Full<Bytes>>,
    /// `host:port`.
    addresses: Vec<String>,
    keys: HandoverKeys,
    next: AtomicUsize,
}

impl RemoteWriters {
    /// Writers by `host:port`, asked in turn.
    pub fn new(addresses: Vec<String>, pseudonyms: &PseudonymKey) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, addresses, keys: HandoverKeys::new(pseudonyms), next: AtomicUsize::new(0) }
    }

    /// The answer of one writer; `None` if it has not taken the event, as far as is known.
    async fn ask(&self, address: &str, id: &str, sealed: Bytes) -> Option<Result<Option<Freshness>, Problem>> {
        let request = Request::post(format!("http://{address}{ROUTE}"))
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(sealed))
            .ok()?;
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.ok()?.to_bytes();
        match status {
            StatusCode::OK => self.keys.open_answer(id, &body).map(Ok),
            StatusCode::CONFLICT => {
                let detail = "This person has so many events that none can be added";
                Some(Err(Problem::new(ProblemType::SubjectFull, detail)))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl CitizenWriter for RemoteWriters {
    async fn write(&self, event: Event) -> Result<Option<Freshness>, Problem> {
        let id = event.id.clone();
        let sealed = Bytes::from(self.keys.seal_event(event));
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for n in 0..self.addresses.len() {
            let address = &self.addresses[first.wrapping_add(n) % self.addresses.len()];
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.ask(address, &id, sealed.clone())).await;
            match asked {
                Ok(Some(answer)) => return answer,
                Ok(None) | Err(_) => tracing::warn!(%address, "a writer has not taken a citizen's event"),
            }
        }
        Err(no_writer())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::routing::post;
    use tokio::net::TcpListener;
    use yima_schema::agency::CITIZEN;
    use yima_schema::ended_sessions::EndedSessions;
    use yima_schema::event::EventData;
    use yima_schema::subject::SubjectId;
    use yima_schema::time::Time;

    use super::*;

    fn event() -> Event {
        Event {
            subject: SubjectId::from_bytes([1; 16]),
            agency: CITIZEN.into(),
            id: "session-end/1".into(),
            revision: 0,
            document: String::new(),
            occurred_at: Time::from_secs(1),
            data: EventData::SessionEnd { sessions: EndedSessions::default() },
        }
    }

    /// A writer with this key that takes every event.
    async fn writer(secret: u8) -> String {
        let keys = Arc::new(HandoverKeys::new(&PseudonymKey::from_bytes(&[secret; 32])));
        let take = post(move |body: Bytes| async move {
            let event = keys.open_event(&body).ok_or(StatusCode::UNAUTHORIZED)?;
            Ok::<_, StatusCode>(keys.seal_answer(event.id, None))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, Router::new().route(ROUTE, take)).await });
        address
    }

    #[tokio::test]
    async fn an_event_goes_to_a_writer_that_lives_and_has_the_key() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let (foreign, ours) = (writer(8).await, writer(7).await);
        let writers =
            |addresses: &[&String]| RemoteWriters::new(addresses.iter().map(ToString::to_string).collect(), &key());
        fn key() -> PseudonymKey {
            PseudonymKey::from_bytes(&[7; 32])
        }
        let all = writers(&[&gone, &foreign, &ours]);
        for _ in 0..3 {
            assert!(all.write(event()).await.is_ok_and(|freshness| freshness.is_none()));
        }
        for none in [writers(&[]), writers(&[&gone, &foreign])] {
            assert_eq!(none.write(event()).await.err().unwrap().kind, ProblemType::Unavailable);
        }
    }
}
