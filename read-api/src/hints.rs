//! Listens to the region's writers for hints at what they publish, and passes them to the follower: at most one of each
//! writer every 50 ms, whatever it sends. A hint says where to read and proves nothing; without hints, or with wrong
//! ones, the follower's polls find every change.

use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use yima_schema::hints::{HINT_BYTES, HintKeys, NOTHING, ROUTE};
use yima_schema::subject::PseudonymKey;
use yima_store::StreamId;

/// For a writer to accept a connection, and for it to begin its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A writer that sends nothing for longer has gone: it hints at nothing every 10 s.
const SILENCE: Duration = Duration::from_secs(25);
/// From the end of a connection to the next one, and up to twice as long.
const RETURN_AFTER: Duration = Duration::from_secs(1);
/// Shortest time between two hints of one writer that are followed.
const HINT_EVERY: Duration = Duration::from_millis(50);

/// The writers to listen to.
pub struct Hints {
    /// `host:port`.
    addresses: Vec<String>,
    keys: HintKeys,
}

impl Hints {
    /// Listens to the writers at these addresses, each `host:port`.
    pub fn new(addresses: Vec<String>, pseudonyms: &PseudonymKey) -> Self {
        Self { addresses, keys: HintKeys::new(pseudonyms) }
    }

    /// Listens for ever, and passes on each stream that a writer hints at. The receiver bounds how many wait.
    pub async fn listen(self, hinted: mpsc::Sender<StreamId>) {
        metrics::gauge!("feed_hint_writers").set(0);
        metrics::counter!("feed_hints_total").increment(0);
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(ANSWER_TIMEOUT));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let listening = self.addresses.iter().map(|address| self.listen_to(address, &client, &hinted));
        futures::future::join_all(listening).await;
    }

    async fn listen_to(
        &self,
        address: &str,
        client: &Client<HttpConnector, Full<Bytes>>,
        hinted: &mpsc::Sender<StreamId>,
    ) {
        let (connected, mut failing) = (metrics::gauge!("feed_hint_writers"), false);
        while !hinted.is_closed() {
            if let Some(body) = self.ask(address, client).await {
                if std::mem::take(&mut failing) {
                    tracing::info!(%address, "a writer hints at its publications again");
                }
                connected.increment(1);
                self.pass_on(body, hinted).await;
                connected.decrement(1);
            }
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(%address, "a writer gives no hints; its changes show at the next poll");
            }
            tokio::time::sleep(RETURN_AFTER.mul_f32(1.0 + rand::random::<f32>())).await;
        }
    }

    /// The writer's answer, if it lets this node listen.
    async fn ask(
        &self,
        address: &str,
        client: &Client<HttpConnector, Full<Bytes>>,
    ) -> Option<impl HttpBody<Data = Bytes, Error: Send> + Send + Unpin> {
        let request = Request::post(format!("http://{address}{ROUTE}"))
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(Bytes::from(self.keys.seal_request())))
            .ok()?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.request(request)).await.ok()?.ok()?;
        (answer.status() == StatusCode::OK).then(|| answer.into_body())
    }

    /// Passes on the hints of an answer until it ends, falls silent, or has bytes that no writer of this system sealed.
    async fn pass_on(
        &self,
        mut answer: impl HttpBody<Data = Bytes, Error: Send> + Unpin,
        hinted: &mpsc::Sender<StreamId>,
    ) {
        let passed_on = metrics::counter!("feed_hints_total");
        let mut unread = Vec::new();
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(SILENCE, answer.frame()).await {
            unread.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
            let whole = unread.len() - unread.len() % HINT_BYTES;
            // The newest stands for all that have arrived.
            let Some(hint) = unread[..whole].rchunks_exact(HINT_BYTES).next() else { continue };
            let Some(stream) = self.keys.open(hint) else { return };
            unread.drain(..whole);
            if stream == NOTHING {
                continue;
            }
            if hinted.send(StreamId(stream)).await.is_err() {
                return;
            }
            passed_on.increment(1);
            tokio::time::sleep(HINT_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use futures::stream;
    use tokio::time::Instant;

    use super::*;

    fn keys(secret: u8) -> HintKeys {
        HintKeys::new(&PseudonymKey::from_bytes(&[secret; 32]))
    }

    fn hints() -> Hints {
        Hints::new(Vec::new(), &PseudonymKey::from_bytes(&[7; 32]))
    }

    /// An answer of these frames.
    fn answer(frames: impl IntoIterator<Item = Vec<u8>>) -> Body {
        let frames = frames.into_iter().map(Ok::<_, Infallible>);
        Body::from_stream(stream::iter(frames.collect::<Vec<_>>()))
    }

    /// The streams that are passed on of an answer, and how long that takes.
    async fn passed_on(answer: Body) -> (Vec<u32>, Duration) {
        let ((sender, mut receiver), begun) = (mpsc::channel(1_000), Instant::now());
        hints().pass_on(answer, &sender).await;
        drop(sender);
        let mut streams = Vec::new();
        while let Some(StreamId(stream)) = receiver.recv().await {
            streams.push(stream);
        }
        (streams, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_genuine_hints_is_passed_on_at_the_bounded_rate() {
        let (streams, took) = passed_on(answer((0..40).map(|_| keys(7).seal(3)))).await;
        assert_eq!(streams, [3; 40]);
        assert!(took >= HINT_EVERY * 40, "{took:?}");
        // Those that arrived together are one.
        let (streams, _) = passed_on(answer([(1..=9).flat_map(|n| keys(7).seal(n)).collect()])).await;
        assert_eq!(streams, [9]);
    }

    #[tokio::test(start_paused = true)]
    async fn hints_may_arrive_in_pieces_and_nothing_is_not_passed_on() {
        let hint = keys(7).seal(5);
        let frames = [keys(7).seal(NOTHING), hint[..10].to_vec(), hint[10..].to_vec(), Vec::new(), keys(7).seal(6)];
        assert_eq!(passed_on(answer(frames)).await.0, [5, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn forged_bytes_end_the_answer() {
        for forged in [keys(8).seal(5), vec![0; HINT_BYTES], b"HTTP/1.1 200 OK".repeat(40)] {
            assert_eq!(passed_on(answer([keys(7).seal(4), forged, keys(7).seal(5)])).await.0, [4]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_answer_ends() {
        let silent = stream::pending::<Result<Bytes, Infallible>>();
        let (streams, took) = passed_on(Body::from_stream(silent)).await;
        assert!(streams.is_empty() && took >= SILENCE);
    }
}
