//! Ends of sessions: sign-out, everywhere, too many.

use yima_schema::agency::CITIZEN;
use yima_schema::derive::derive;
use yima_schema::event::{EventData, EventKind, StoredEvent};
use yima_schema::rules::Rules;
use yima_schema::subject::{Document, DocumentType, SubjectId};
use yima_service::jwt::Claims;
use yima_store::VersionedView;

use super::*;
use crate::cache::tests::store::advance;

const NUMBER: &str = "610102199003070016";
const OPENED: [&str; 4] = [DISPLAY, "/v1/code", "/v1/history", "/v1/display/events"];

impl Node {
    pub(super) async fn ask(&self, method: &str, path: &str, bearer: &str) -> StatusCode {
        self.answer(method, path, bearer).await.status()
    }

    async fn answer(&self, method: &str, path: &str, bearer: &str) -> Response {
        let request = Request::builder().method(method).uri(path).header(AUTHORIZATION, bearer);
        router(self.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Shows the view of the events that citizens wrote, as the feed does.
    fn show_written(&self, subject: SubjectId) {
        let events = self.writer.events.lock().iter().map(|event| StoredEvent::new(event.clone(), now())).collect();
        let events: Vec<_> = events;
        let (version, view) = (self.store.set(subject), derive(&events, &Rules::built_in()).encode());
        self.app.views.apply(subject, VersionedView { version, view });
    }

    async fn sign_in(&self) -> String {
        let claims = Claims {
            scope: "display".into(),
            document_type: Some(DocumentType::CnResidentId),
            document_number: Some(NUMBER.into()),
            ..Claims::default()
        };
        let token = self.issuer.issue(&claims, DAY);
        let request = Request::post("/v1/sessions").header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = router(self.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        format!("Bearer {}", body["session"].as_str().unwrap())
    }

    fn id(&self, bearer: &str) -> u64 {
        Session::open(bearer.strip_prefix("Bearer ").unwrap(), self.app.keyring.load().sessions()).unwrap().id
    }

    /// Ids of the sessions that written events have ended.
    fn ended(&self) -> Vec<u64> {
        let events = self.writer.events.lock();
        let ended = events.iter().flat_map(|event| {
            let EventData::SessionEnd { sessions } = &event.data else { panic!("{:?}", event.data.kind()) };
            sessions.sessions.iter().map(|session| session.id)
        });
        ended.collect()
    }
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_no_other_and_everywhere_ends_all() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let [one, other] = [node.citizen(1), node.citizen(1)];
    for session in [&one, &other] {
        assert_eq!(node.ask("GET", DISPLAY, session).await, StatusCode::OK);
    }
    assert_eq!(node.ask("DELETE", "/v1/sessions/current", &one).await, StatusCode::NO_CONTENT);
    {
        let events = node.writer.events.lock();
        let event = &events[0];
        assert_eq!((event.agency.as_str(), event.data.kind()), (CITIZEN, EventKind::SessionEnd));
    }
    assert_eq!(node.ended(), [node.id(&one)]);
    node.show_written(subject(1));
    for path in OPENED {
        assert_eq!(node.ask("GET", path, &one).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(node.ask("GET", path, &other).await, StatusCode::OK, "{path}");
    }
    assert_eq!(node.ask("DELETE", "/v1/sessions", &one).await, StatusCode::UNAUTHORIZED, "an ended session");
    assert_eq!(node.ask("DELETE", "/v1/sessions", &other).await, StatusCode::NO_CONTENT);
    node.show_written(subject(1));
    assert_eq!(node.ask("GET", DISPLAY, &other).await, StatusCode::UNAUTHORIZED);
    advance(1);
    assert_eq!(node.ask("GET", DISPLAY, &node.citizen(1)).await, StatusCode::OK, "a session that started later");
    assert_eq!(node.ask("GET", DISPLAY, &node.citizen(2)).await, StatusCode::OK, "another citizen's");
}

#[tokio::test(start_paused = true)]
async fn an_open_live_display_ends_with_its_session() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    let request = Request::get("/v1/display/events").header(AUTHORIZATION, &citizen).body(Body::empty()).unwrap();
    let mut events = router(node.app.clone(), true).oneshot(request).await.unwrap().into_body();
    assert!(events.frame().await.is_some());
    assert_eq!(node.ask("DELETE", "/v1/sessions/current", &citizen).await, StatusCode::NO_CONTENT);
    node.show_written(subject(1));
    assert!(events.frame().await.is_none());
}

#[tokio::test]
async fn with_all_writers_dead_only_the_end_of_a_session_is_refused() {
    let node = Node::start().await;
    let citizen = node.sign_in().await;
    node.writer.failing.store(true, Ordering::Relaxed);
    for path in ["/v1/sessions", "/v1/sessions/current"] {
        assert_eq!(node.ask("DELETE", path, &citizen).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    node.sign_in().await;
    assert_eq!(node.ask("GET", DISPLAY, &citizen).await, StatusCode::OK);
}

#[tokio::test]
async fn the_end_of_a_checkpoints_session_is_refused_with_the_moment_until_which_it_is_valid() {
    let node = Node::start().await;
    let guard = node.guard();
    for path in ["/v1/sessions", "/v1/sessions/current"] {
        let answer = node.answer("DELETE", path, &guard).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let session =
            Session::open(guard.strip_prefix("Bearer ").unwrap(), node.app.keyring.load().sessions()).unwrap();
        let (detail, expires_at) = (problem["detail"].as_str().unwrap(), session.expires_at);
        assert!(
            detail.starts_with("A checkpoint's session cannot be ended") && detail.contains(&expires_at.to_string())
        );
    }
    assert!(node.writer.events.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_nine_sessions_the_first_is_ended_once_a_writer_takes_the_end() {
    let node = Node::start().await;
    let document = Document::new(DocumentType::CnResidentId, NUMBER).unwrap();
    let citizen = node.app.pseudonyms.subject(&document);
    node.store.write(citizen);
    node.writer.failing.store(true, Ordering::Relaxed);
    let enforcing = tokio::spawn(node.app.clone().end_too_many_sessions());
    let mut sessions = Vec::new();
    for _ in 0..9 {
        advance(1);
        sessions.push(node.sign_in().await);
    }
    for session in &sessions {
        assert_eq!(node.ask("GET", DISPLAY, session).await, StatusCode::OK, "until a writer takes the end");
    }
    node.writer.failing.store(false, Ordering::Relaxed);
    while node.writer.events.lock().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await; // of paused time
    }
    assert_eq!(node.ended(), [node.id(&sessions[0])]);
    node.show_written(citizen);
    assert_eq!(node.ask("GET", "/v1/code", &sessions[0]).await, StatusCode::UNAUTHORIZED);
    for session in &sessions[1..4] {
        assert_eq!(node.ask("GET", "/v1/code", session).await, StatusCode::OK);
    }
    enforcing.abort();
}
