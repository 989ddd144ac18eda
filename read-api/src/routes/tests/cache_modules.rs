//! The cache modules beside the views: opened sessions, and signed tokens.

use serde_json::Value;
use yima_schema::code::PhoneKeyPair;
use yima_schema::event::{Colour, EventData};
use yima_schema::time::HOUR;

use super::phones::{by_agency, keys_of};
use super::*;
use crate::config::CacheConfig;

impl Node {
    /// Counts of a module: hits, misses, errors.
    fn counts(&self, module: &str) -> [u64; 3] {
        let rendered = self.metrics.render();
        ["hit_memory", "miss", "error"].map(|outcome| {
            let start = format!("cache_requests_total{{module=\"{module}\",outcome=\"{outcome}\"}} ");
            rendered.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
        })
    }

    /// With the module of opened sessions, which is off by default.
    async fn start_with_sessions() -> Self {
        Self::start_with(0.0, |config| config.cache.session_bytes = 1 << 20).await
    }

    async fn status(&self, bearer: &str) -> StatusCode {
        self.display(bearer, None).await.status()
    }

    /// The tokens of a phone for these keys.
    async fn batch(&self, bearer: &str, phone: &str, pairs: &[PhoneKeyPair]) -> (StatusCode, Vec<Value>) {
        let headers = [("yima-phone", phone), ("yima-token-keys", &keys_of(pairs))];
        let (status, answer) = self.json("GET", "/v1/tokens", bearer, &headers, Value::Null).await;
        (status, answer["tokens"].as_array().cloned().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_session_is_opened_once_and_refused_as_soon_as_before() {
    let node = Node::start_with_sessions().await;
    node.store.write(subject(1));
    let citizen = node.citizen(1);
    for _ in 0..3 {
        assert_eq!(node.status(&citizen).await, StatusCode::OK);
    }
    assert_eq!(node.counts("session"), [2, 1, 0]);
    let (rest, last) = citizen.split_at(citizen.len() - 1);
    let forged = format!("{rest}{}", if last == "A" { "Q" } else { "A" });
    assert_eq!(node.status(&forged).await, StatusCode::UNAUTHORIZED);
    assert_eq!((node.counts("session"), node.app.opened_sessions.entries()), ([2, 1, 1], 1));

    // Expired: whether it is found does not matter.
    let (started_at, holder) = (now().minus(HOUR), Holder::Citizen { subject: subject(1) });
    let session = Session { id: 7, started_at, expires_at: now(), holder };
    let expired = format!("Bearer {}", session.seal(node.app.keyring.load().sessions()));
    for _ in 0..2 {
        assert_eq!(node.status(&expired).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(node.counts("session"), [3, 2, 1]);

    // Other keys: what the ones before opened counts no more.
    node.app.keyring.replace(keyring(None, &[(1, [3; 32])], Some(1), &[0]));
    assert_eq!(node.status(&citizen).await, StatusCode::UNAUTHORIZED);
    assert_eq!(node.counts("session"), [3, 2, 2]);
}

#[tokio::test]
async fn a_session_that_was_ended_is_refused_although_it_was_opened() {
    let node = Node::start_with_sessions().await;
    let [citizen, other] = [node.citizen(1), node.citizen(1)];
    node.start_phone(&other, "Phone").await;
    assert_eq!(node.status(&citizen).await, StatusCode::OK);
    let status = node.ask("DELETE", "/v1/sessions/current", &citizen).await;
    assert!(status.is_success(), "{status}");
    node.show_written_by(&other, &[]);
    assert_eq!(node.status(&citizen).await, StatusCode::UNAUTHORIZED);
    assert_eq!(node.status(&other).await, StatusCode::OK);
}

#[tokio::test]
async fn a_batch_that_is_asked_for_again_costs_no_signature_until_the_view_says_something_else() {
    let node = Node::start().await;
    let citizen = node.citizen(1);
    let phone = node.start_phone(&citizen, "Phone").await;
    let pairs: Vec<_> = (0..5).map(|_| PhoneKeyPair::generate()).collect();
    let (_, first) = node.batch(&citizen, &phone, &pairs).await;
    let made = first.len() as u64;
    assert_eq!((node.counts("code"), node.app.signed_tokens.entries()), ([0, made, 0], first.len()));
    assert_eq!(node.batch(&citizen, &phone, &pairs).await, (StatusCode::OK, first.clone()));
    assert_eq!(node.counts("code"), [made, made, 0]);

    // Other keys, and another version that says another colour.
    let others: Vec<_> = (0..5).map(|_| PhoneKeyPair::generate()).collect();
    assert_ne!(node.batch(&citizen, &phone, &others).await.1, first);
    let (colour, reason) = (Colour::Red, "lab_positive".into());
    let assigned = EventData::ColourAssignment { colour, reason, until: Some(now().plus(DAY)) };
    node.show_written_by(&citizen, &[by_agency("c-1", assigned)]);
    let (_, after) = node.batch(&citizen, &phone, &pairs).await;
    assert_eq!((after.len(), after[0] == first[0]), (first.len(), false));
    assert_eq!(node.counts("code"), [made, 3 * made, 0]);

    // A phone that was ended gets none, though they are kept.
    let path = format!("/v1/phones/{phone}");
    assert!(node.json("DELETE", &path, &citizen, &[], Value::Null).await.0.is_success());
    node.show_written_by(&citizen, &[]);
    assert_eq!(node.batch(&citizen, &phone, &pairs).await, (StatusCode::NOT_FOUND, Vec::new()));
}

#[tokio::test]
async fn the_modules_keep_within_their_bytes_which_can_be_changed() {
    let node = Node::start().await;
    let tune = |bytes| {
        let cache = CacheConfig { session_bytes: bytes, code_bytes: bytes, ..CacheConfig::default() };
        node.app.tune(&CacheConfig { memory_bytes: 1 << 20, absent_bytes: 1 << 20, ..cache });
    };
    let fill = async || {
        // Of different citizens, each of whom has a limit.
        for n in 0..200 {
            assert_eq!(node.status(&node.citizen(n)).await, StatusCode::OK);
        }
        node.app.opened_sessions.entries()
    };
    tune(20_000);
    let held = fill().await;
    assert!((10..=50).contains(&held), "{held}");
    tune(0);
    assert_eq!(fill().await, 0);
    tune(1 << 20);
    assert_eq!(fill().await, 200);
}
