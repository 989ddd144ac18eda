//! Levels: which fields an answer has, which tags are right, what is refused, and that no verdict depends on it.

use serde_json::{Value, json};
use yima_schema::event::{Colour, TestKind, TestOutcome};
use yima_schema::time::{HOUR, Time};
use yima_schema::view::{Segment, TestShown, Vaccination, View};
use yima_service::levels::{Class, Level};
use yima_service::rate_limit::RateConfig;

use super::*;

/// Green, with a negative test of an hour ago and two doses.
fn tested(subject: SubjectId) -> View {
    let segment = |colour| Segment { from: Time::MIN, colour, reason: "no_restriction".into(), agency: None };
    View {
        subject: Some(subject),
        name: Some("黄*".into()),
        tests: vec![TestShown {
            test: TestKind::NucleicAcid,
            result: TestOutcome::Negative,
            sampled_at: now().minus(HOUR),
            agency: "lab-7".into(),
        }],
        vaccination: Vaccination { doses: 2, complete: true, last_at: None },
        timeline: vec![segment(Colour::Green)],
        ..View::default()
    }
}

async fn body(answer: Response) -> Value {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
}

impl Node {
    /// A node that knows one person, and that person's session.
    async fn with_tested() -> (Self, String) {
        let node = Self::start_with(0.0, |config| {
            config.limits.history = RateConfig::new(1_000, Duration::from_secs(1));
            config.limits.scan = RateConfig::new(1_000, Duration::from_secs(1));
            config.limits.display = RateConfig::new(1_000, Duration::from_secs(1));
        });
        let node = node.await;
        node.store.set_content(subject(1), tested(subject(1)).encode());
        let citizen = node.citizen(1);
        (node, citizen)
    }

    async fn tag(&self, bearer: &str, shown: Option<&HeaderValue>) -> (StatusCode, HeaderValue) {
        let answer = self.display(bearer, shown).await;
        (answer.status(), answer.headers()[ETAG].clone())
    }

    async fn read(&self, path: &str, bearer: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header(AUTHORIZATION, bearer).body(Body::empty()).unwrap();
        let answer = router(self.app.clone(), true).oneshot(request).await.unwrap();
        (answer.status(), body(answer).await)
    }
}

#[tokio::test]
async fn fields_are_left_out_in_order_and_identity_and_colour_never() {
    let (node, citizen) = Node::with_tested().await;
    let full = body(node.display(&citizen, None).await).await;
    for level in 0..=8 {
        node.set_level(level);
        let shown = body(node.display(&citizen, None).await).await;
        for field in ["version", "identity", "colour", "next_transition_at"] {
            assert_eq!(shown[field], full[field], "{field} at level {level}");
        }
        assert_eq!(shown.get("vaccination"), full.get("vaccination").filter(|_| level < 6), "level {level}");
        assert_eq!(shown.get("tests"), full.get("tests").filter(|_| level < 7), "level {level}");
        let results = json!({"tests": full["tests"], "vaccination": full["vaccination"]});
        assert_eq!(node.read("/v1/results", &citizen).await, (StatusCode::OK, results));
    }
}

#[tokio::test]
async fn a_tag_of_another_level_proves_its_floor_and_one_with_more_fields_is_right() {
    let (node, citizen) = Node::with_tested().await;
    let (_, full) = node.tag(&citizen, None).await;
    let mut tags = vec![full.clone()];
    for level in [6, 7] {
        node.set_level(level);
        let (status, tag) = node.tag(&citizen, None).await;
        assert!(status == StatusCode::OK && !tags.contains(&tag));
        // Who shows more needs nothing.
        for fuller in &tags {
            assert_eq!(node.tag(&citizen, Some(fuller)).await, (StatusCode::NOT_MODIFIED, fuller.clone()));
        }
        tags.push(tag);
    }
    // Who shows less gets the rest.
    for (level, right) in [(6, &tags[..2]), (0, &tags[..1])] {
        node.set_level(level);
        for tag in &tags {
            let expected = if right.contains(tag) { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            assert_eq!(node.tag(&citizen, Some(tag)).await.0, expected, "level {level}");
        }
    }
    // A phone that another node has shown a newer version, whatever the level there, is shown none older here.
    for (detail, level) in Detail::ALL.into_iter().zip([7, 0, 6]) {
        node.set_level(level);
        let newer = node.store.set_content(subject(1), tested(subject(1)).encode());
        let shown = node.app.tags.tag(subject(1), newer, 0, detail);
        let lookups = node.lookups();
        assert_eq!(body(node.display(&citizen, None).await).await["version"], newer.0 - 1, "not followed");
        let (answered, _) = node.tag(&citizen, Some(&shown)).await;
        assert!(answered == StatusCode::OK || answered == StatusCode::NOT_MODIFIED);
        assert_eq!(
            (node.lookups() - lookups, body(node.display(&citizen, None).await).await["version"].clone()),
            (1, json!(newer.0))
        );
    }
}

#[tokio::test]
async fn verdicts_read_the_view_whatever_is_shown() {
    let (node, citizen) = Node::with_tested().await;
    let code = node.code(&citizen).await;
    let checkpoint = |hours| {
        let (checkpoint, role) = ("gate-1".to_owned(), ScanRole::Hospital);
        node.bearer(Holder::Checkpoint {
            checkpoint,
            require_test_within_h: Some(hours),
            looks_up_documents: true,
            role,
            operator: None,
        })
    };
    for (hours, verdict, reason) in [(48, "pass", "green"), (0, "check", "test_too_old")] {
        let guard = checkpoint(hours);
        let full = body(node.scan(&guard, &code, None).await).await;
        assert_eq!((&full["verdict"], &full["reason"]), (&json!(verdict), &json!(reason)));
        for level in 0..=8 {
            node.set_level(level);
            let scanned = body(node.scan(&guard, &code, None).await).await;
            for field in ["verdict", "reason", "instruction", "identity", "colour"] {
                assert_eq!(scanned[field], full[field], "{field} at level {level}");
            }
            let left_out = (scanned["tests"].is_null(), scanned["vaccination"].is_null());
            assert_eq!(left_out, (level >= 7, level >= 6), "level {level}");
        }
        node.levels.set(None);
    }
}

#[tokio::test]
async fn look_ups_by_document_are_refused_from_level_3_on_and_scans_of_codes_never() {
    let (node, citizen) = Node::with_tested().await;
    let (guard, code) = (node.checkpoint(true), node.code(&citizen).await);
    let request = json!({"document_type": "cn_resident_id", "document_number": "610102199003070016"});
    for level in 0..=8 {
        node.set_level(level);
        let (status, _) = node.post("/v1/scan", &guard, request.clone()).await;
        assert_eq!(status, if level < 3 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "level {level}");
        assert_eq!(node.scan(&guard, &code, None).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn phones_with_tokens_are_refused_more_from_level_4_on_and_those_without_are_not() {
    let node = Node::start().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    let phone = node.start_phone(&citizen, "My phone").await;
    let [soon, later] = [59, 61].map(|minutes| now().plus(Duration::from_secs(minutes * 60)).to_string());
    for level in [0, 3, 4, 7] {
        node.set_level(level);
        let ask = async |until: Option<&str>| {
            let further: Vec<_> = until.map(|until| ("yima-tokens-until", until)).into_iter().collect();
            node.tokens_for(&citizen, &phone, 5, &further).await.map_or_else(|(status, _)| status, |_| StatusCode::OK)
        };
        let refused = if level < 4 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(ask(Some(&later)).await, refused, "level {level}");
        assert_eq!((ask(Some(&soon)).await, ask(None).await), (StatusCode::OK, StatusCode::OK), "level {level}");
        assert_eq!(ask(Some("tomorrow")).await, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(start_paused = true)]
async fn the_level_walks_up_and_down_by_what_is_measured() {
    let (node, citizen) = Node::with_tested().await;
    let run = async |busy: f32, delay_ms: u64, seconds: u64| {
        node.utilization.set(busy);
        node.utilization.set_queue_delay(Duration::from_millis(delay_ms));
        for _ in 0..seconds * 10 {
            node.levels.step(node.utilization.measured());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        node.levels.in_force().number()
    };
    for (busy, delay_ms, level) in
        [(0.5, 0, 0), (0.7, 0, 1), (0.8, 0, 2), (0.85, 0, 3), (0.9, 0, 4), (0.94, 0, 5), (1.0, 50, 6), (1.0, 90, 7)]
    {
        assert_eq!(run(busy, delay_ms, 2).await, level, "{busy} {delay_ms} ms");
        let shown = body(node.display(&citizen, None).await).await;
        assert_eq!((shown.get("vaccination").is_none(), shown.get("tests").is_none()), (level >= 6, level >= 7));
    }
    // The next level is left ten seconds after the first calm moment, or after the one before.
    assert_eq!(run(0.1, 0, 1).await, 7);
    for level in (0..7).rev() {
        assert_eq!(run(0.1, 0, 9).await, level + 1, "it waits");
        assert_eq!(run(0.1, 0, 1).await, level);
    }
    let shown = body(node.display(&citizen, None).await).await;
    assert!(shown["tests"].is_array() && shown["vaccination"].is_object());
}

#[tokio::test]
async fn each_route_has_a_class() {
    let node = Node::start().await;
    let (_, api) = node.read("/openapi.json", "").await;
    let mut public = Vec::new();
    for (path, operations) in api["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            if class_of(&method.to_uppercase(), path) == Class::Public {
                public.push(path.as_str());
            }
        }
    }
    // Whoever adds a route says here that it is the same for everybody, or in `class_of` who is refused it first.
    assert_eq!(public, ["/v1/guidance", "/v1/keys", "/v1/offline-bundle", "/v1/offline-bundle/{sha256}"]);
    assert_eq!(class_of("GET", DISPLAY), Class::Display);
    assert!(Class::Display.refused_from() == Some(Level::Displays) && class_of("POST", "/v1/scan") == Class::Scan);
}
