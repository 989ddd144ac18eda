//! `POST /internal/v1/hints`: read services listen here for what this writer publishes, so that they read its stream at
//! once and not at their next poll. The answer has no end: a sealed hint after each publication, at most one every
//! 50 ms, and one at nothing when there was none for a while.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use yima_schema::hints::{HintKeys, NOTHING, ROUTE};
use yima_schema::problem::{Problem, ProblemType};
use yima_schema::subject::PseudonymKey;
use yima_service::http::{ProblemResponse, body};
use yima_store::StreamId;

const OCTETS: &str = "application/octet-stream";
/// Read services that may listen at once; one more goes on by its polls.
const MAX_LISTENERS: usize = 1_000;
/// Shortest time between two hints: what is published meanwhile shares the next one.
const HINT_EVERY: Duration = Duration::from_millis(50);
/// Longest time without a hint, by which a listener knows that the connection lives.
const SILENCE: Duration = Duration::from_secs(10);
/// Largest body of a request, in bytes.
const MAX_BODY: usize = 256;
/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a writer tells those who listen.
pub struct Hints {
    keys: HintKeys,
    /// The stream of the newest publication.
    published: watch::Receiver<StreamId>,
    places: Arc<Semaphore>,
    /// Ends every answer.
    stop: CancellationToken,
}

impl Hints {
    /// Hints at what `published` notes, until `stop`.
    pub fn new(pseudonyms: &PseudonymKey, published: watch::Receiver<StreamId>, stop: CancellationToken) -> Arc<Self> {
        let (keys, places) = (HintKeys::new(pseudonyms), Arc::new(Semaphore::new(MAX_LISTENERS)));
        Arc::new(Self { keys, published, places, stop })
    }
}

/// The route.
pub fn router(hints: Arc<Hints>) -> Router {
    Router::new().route(ROUTE, post(listen)).with_state(hints)
}

/// # Errors
/// 401 for a body that no read service has sealed; 408, 413, 415; 503 when too many listen.
async fn listen(State(hints): State<Arc<Hints>>, request: Request) -> Result<Response, ProblemResponse> {
    body::content_type(request.headers(), &[OCTETS])?;
    let body = body::read_body(request.into_body(), MAX_BODY, BODY_TIMEOUT).await?;
    if !hints.keys.is_request(&body) {
        let detail = "Only a read service of this system can listen for hints";
        return Err(Problem::new(ProblemType::Unauthenticated, detail).into());
    }
    let Ok(place) = Arc::clone(&hints.places).try_acquire_owned() else {
        let detail = "Too many read services listen; poll the feed instead";
        return Err(Problem::new(ProblemType::Unavailable, detail).into());
    };
    // What was published before counts as published now: it may be what the listener missed.
    let published = hints.published.clone();
    let listener = Listener { hints, published, last: Instant::now(), _place: place };
    let answer = stream::unfold(listener, |mut listener| async {
        let hint = listener.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(hint)), listener))
    });
    let headers = [(CONTENT_TYPE, OCTETS), (CACHE_CONTROL, "no-store")];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, Body::from_stream(answer)).into_response())
}

/// A read service that listens.
struct Listener {
    hints: Arc<Hints>,
    published: watch::Receiver<StreamId>,
    /// When it got its last hint.
    last: Instant,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next hint, sealed; `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let published = async {
            tokio::time::sleep_until(self.last + HINT_EVERY).await;
            tokio::time::timeout_at(self.last + SILENCE, self.published.changed()).await
        };
        let stream = match self.hints.stop.run_until_cancelled(published).await? {
            Ok(changed) => {
                changed.ok()?; // nothing is published any more
                self.published.borrow_and_update().0
            }
            Err(_silence) => NOTHING,
        };
        self.last = Instant::now();
        Some(self.hints.keys.seal(stream))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::BodyDataStream;
    use axum::http::StatusCode;
    use futures::StreamExt;
    use tower::ServiceExt;

    use super::*;

    fn key() -> PseudonymKey {
        PseudonymKey::from_bytes(&[7; 32])
    }

    struct Writer {
        hints: Arc<Hints>,
        published: watch::Sender<StreamId>,
        stop: CancellationToken,
    }

    fn writer() -> Writer {
        let (published, receiver) = watch::channel(StreamId(3));
        let stop = CancellationToken::new();
        Writer { hints: Hints::new(&key(), receiver, stop.clone()), published, stop }
    }

    impl Writer {
        async fn ask(&self, body: Vec<u8>) -> Response {
            let request = Request::post(ROUTE).header(CONTENT_TYPE, OCTETS).body(Body::from(body)).unwrap();
            router(self.hints.clone()).oneshot(request).await.unwrap()
        }

        async fn listen(&self) -> BodyDataStream {
            let answer = self.ask(HintKeys::new(&key()).seal_request()).await;
            assert_eq!(answer.status(), StatusCode::OK);
            answer.into_body().into_data_stream()
        }
    }

    async fn next(hints: &mut BodyDataStream) -> Option<u32> {
        let hint = hints.next().await?.unwrap();
        Some(HintKeys::new(&key()).open(&hint).expect("a hint"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_publication_is_hinted_at_once_and_a_burst_of_them_once_every_50_ms() {
        let writer = writer();
        let mut hints = writer.listen().await;
        tokio::time::sleep(HINT_EVERY).await;
        let begun = Instant::now();
        writer.published.send_replace(StreamId(3));
        assert_eq!(next(&mut hints).await, Some(3));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..100 {
            writer.published.send_replace(StreamId(4));
        }
        assert_eq!(next(&mut hints).await, Some(4));
        assert_eq!(begun.elapsed(), HINT_EVERY);
        // Nothing more was published.
        assert_eq!(next(&mut hints).await, Some(NOTHING));
        assert_eq!(begun.elapsed(), HINT_EVERY + SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_listens_late_gets_a_hint_at_what_was_published_before() {
        let writer = writer();
        writer.published.send_replace(StreamId(5));
        assert_eq!(next(&mut writer.listen().await).await, Some(5));
    }

    #[tokio::test]
    async fn only_read_services_of_this_system_may_listen_and_only_so_many() {
        let writer = writer();
        let other = HintKeys::new(&PseudonymKey::from_bytes(&[8; 32])).seal_request();
        for not_a_request in [Vec::new(), other, HintKeys::new(&key()).seal(3)] {
            assert_eq!(writer.ask(not_a_request).await.status(), StatusCode::UNAUTHORIZED);
        }
        assert_eq!(writer.ask(vec![0; MAX_BODY + 1]).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let places = writer.hints.places.clone().try_acquire_many_owned(MAX_LISTENERS as u32 - 1).unwrap();
        let last = writer.listen().await;
        let request = HintKeys::new(&key()).seal_request();
        assert_eq!(writer.ask(request).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop((last, places));
        drop(writer.listen().await);
    }

    #[tokio::test]
    async fn the_stop_ends_every_answer() {
        let writer = writer();
        let mut hints = writer.listen().await;
        writer.stop.cancel();
        assert_eq!(next(&mut hints).await, None);
    }
}
