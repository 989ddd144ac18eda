//! Shared HTTP caches in front of yima: they store public documents, and never a display.

use std::thread;

use serde_json::Value;
use yima_harness::{Options, Person, Reply, SharedCache, Software, Yima, new_person};
use yima_schema::time::HOUR;

struct Citizen {
    person: Person,
    session: String,
}

impl Citizen {
    fn new(yima: &Yima) -> Self {
        let person = new_person();
        Self { session: yima.session_of(&person), person }
    }

    fn display(&self, yima: &Yima, cache: &SharedCache, tag: Option<&str>) -> Reply {
        let bearer = format!("Bearer {}", self.session);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(tag.map(|tag| ("if-none-match", tag)));
        let reply = yima.http().get_with(&format!("{}/v1/display", cache.url()), &headers).expect("a whole answer");
        assert_ne!(reply.header("x-cache"), "HIT", "a display was stored");
        reply
    }
}

fn colour(reply: &Reply) -> Value {
    reply.json(200)["colour"]["code"].clone()
}

fn get(yima: &Yima, cache: &SharedCache, path: &str, headers: &[(&str, &str)]) -> Reply {
    yima.http().get_with(&format!("{}{path}", cache.url()), headers).expect("a whole answer")
}

/// The cache answers the second request of a public document itself.
fn assert_stores_public_documents(yima: &Yima, cache: &SharedCache) {
    for path in ["/v1/keys", "/", "/checkpoint", "/assets/citizen.js"] {
        let (first, again) = (get(yima, cache, path, &[]), get(yima, cache, path, &[]));
        assert_eq!((first.status, first.header("x-cache")), (200, "MISS"), "{path}");
        assert_eq!((again.status, again.header("x-cache")), (200, "HIT"), "{path}");
        assert_eq!((&again.body, again.header("etag")), (&first.body, first.header("etag")));
        let unchanged = get(yima, cache, path, &[("if-none-match", first.header("etag"))]);
        assert_eq!((unchanged.status, unchanged.header("x-cache"), unchanged.body.len()), (304, "HIT", 0), "{path}");
    }
    assert_eq!(get(yima, cache, "/v1/nowhere", &[]).status, 404);
    assert_ne!(get(yima, cache, "/v1/nowhere", &[]).header("x-cache"), "HIT", "a problem was stored");
}

fn assert_stores_no_display(yima: &Yima, cache: &SharedCache) {
    let (green, red, lab) = (Citizen::new(yima), Citizen::new(yima), yima.agency_token("lab-7"));
    yima.event(&lab, &green.person.test("t-1", "negative", HOUR));
    yima.event(&lab, &red.person.test("t-1", "positive", HOUR));
    // Waits until the node has followed both events.
    yima.display(&green.session);
    yima.display(&red.session);
    for _ in 0..3 {
        let shown = (green.display(yima, cache, None), red.display(yima, cache, None));
        assert_eq!((colour(&shown.0), colour(&shown.1)), ("green".into(), "red".into()));
    }
    let first = green.display(yima, cache, None);
    let unchanged = green.display(yima, cache, Some(first.header("etag")));
    assert_eq!((unchanged.status, unchanged.body.len(), unchanged.header("etag")), (304, 0, first.header("etag")));
    assert_eq!(colour(&red.display(yima, cache, Some(first.header("etag")))), "red", "another citizen's tag");

    yima.event(&lab, &green.person.test("t-2", "positive", HOUR));
    yima.display(&green.session);
    for tag in [None, Some(first.header("etag"))] {
        assert_eq!(colour(&green.display(yima, cache, tag)), "red", "a superseded display of the same citizen");
    }
    let stranger = get(yima, cache, "/v1/display", &[]);
    assert_eq!((stranger.status, stranger.header("cache-control")), (401, "no-store"));
    assert_eq!(green.display(yima, cache, None).status, 200, "the refusal was stored");
}

#[test]
fn a_shared_cache_stores_public_documents_and_no_display() {
    let mut yima = Yima::start(Options::default().unlimited());
    let software = [Software::Varnish, Software::Nginx];
    let caches: Vec<SharedCache> = thread::scope(|scope| {
        let url = yima.read_url();
        let start = |software| {
            let url = url.clone();
            scope.spawn(move || SharedCache::start(software, &url))
        };
        software.map(start).into_iter().map(|started| started.join().expect("a started cache")).collect()
    });
    for cache in &caches {
        assert_stores_public_documents(&yima, cache);
        assert_stores_no_display(&yima, cache);
    }
    // Without yima the cache still has the public documents, and no display.
    let citizen = Citizen::new(&yima);
    caches.iter().for_each(|cache| assert_eq!(citizen.display(&yima, cache, None).status, 200));
    yima.kill9();
    for cache in &caches {
        let page = get(&yima, cache, "/", &[]);
        assert_eq!((page.status, page.header("x-cache")), (200, "HIT"));
        assert!(citizen.display(&yima, cache, None).status >= 500);
    }
}
