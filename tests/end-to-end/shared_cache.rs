//! Shared HTTP caches in front of yima: they store public documents, and never a display.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use yima_harness::{Http, Options, Person, Reply, SharedCache, Software, Yima, new_person, now, until};
use yima_schema::bundle::Index;
use yima_schema::time::{HOUR, Time};

use crate::offline_bundle::issuers;

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

/// Starts caches in front of yima, all at once.
fn start_caches<const N: usize>(yima: &Yima, software: [Software; N]) -> [SharedCache; N] {
    let url = yima.read_url();
    thread::scope(|scope| {
        let url = &url;
        let start = |software| scope.spawn(move || SharedCache::start(software, url));
        software.map(start).map(|started| started.join().expect("a started cache"))
    })
}

#[test]
fn a_shared_cache_stores_public_documents_and_no_display() {
    let mut yima = Yima::start(Options::default().unlimited());
    let caches = start_caches(&yima, [Software::Varnish, Software::Nginx]);
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

/// What an offline bundle consists of: the index's moment and bytes, and the path of a part.
fn bundle(yima: &Yima, cache: Option<&SharedCache>) -> (Time, Reply, String) {
    let url = cache.map_or_else(|| yima.read_url(), SharedCache::url);
    let reply = yima.http().get_with(&format!("{url}{INDEX}"), &[]).expect("a whole answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let index = Index::open(&reply.body, &issuers(yima)).expect("a genuine index");
    let part = index.denylist[0].parts[0].blob.sha256.map(|byte| format!("{byte:02x}")).concat();
    (index.released_at, reply, format!("{INDEX}/{part}"))
}

const INDEX: &str = "/v1/offline-bundle";
/// Between two releases, in seconds.
const PERIOD: i64 = 6;
/// From a release until every cache has it: an index that came late counts for 2 s more, and this machine is busy.
const SPREAD: Duration = Duration::from_secs(5);

#[test]
fn shared_caches_serve_each_release_of_the_offline_bundle_soon_after_its_minute_and_its_parts_for_good() {
    let mut yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", PERIOD));
    until("the first release", SPREAD * 2, || get_direct(&yima).status == 200);
    let caches = start_caches(&yima, [Software::Varnish, Software::Nginx, Software::VarnishEdge]);
    for _ in 0..2 {
        let (released_at, direct, _) = bundle(&yima, None);
        assert_eq!(released_at.as_secs() % PERIOD, 0, "releases are at fixed moments");
        let lifetime = max_age(direct.header("cache-control"));
        assert!(
            (1..=PERIOD).contains(&lifetime) && direct.header("cdn-cache-control") == direct.header("cache-control")
        );
        for cache in &caches {
            let mut found = bundle(&yima, Some(cache));
            until("the release in a cache, and from it", SPREAD, || {
                found = bundle(&yima, Some(cache));
                found.0 >= released_at && found.1.header("x-cache") == "HIT"
            });
            // Whoever asks when the lifetime is over asks after the next release.
            let rest = max_age(found.1.header("cache-control")) - found.1.header("age").parse().unwrap_or(0);
            assert!(now().as_secs() + rest >= found.0.as_secs() + PERIOD - 1, "{rest} s after {}", found.0);
            let unchanged = get(&yima, cache, INDEX, &[("if-none-match", found.1.header("etag"))]);
            assert!(unchanged.status == 304 || unchanged.header("etag") != found.1.header("etag"));
        }
        until("the next release", SPREAD * 3, || bundle(&yima, None).0 > released_at);
    }
    // A part is stored by the first request, for good.
    let part = bundle(&yima, None).2;
    for cache in &caches {
        let (first, again) = (get(&yima, cache, &part, &[]), get(&yima, cache, &part, &[]));
        assert_eq!([first.header("x-cache"), again.header("x-cache")], ["MISS", "HIT"]);
        assert_eq!(again.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(get(&yima, cache, &format!("{INDEX}/{}", "0".repeat(64)), &[]).status, 404);
    }
    assert_obeys_cdn_cache_control(&yima, &caches[2], &part);
    yima.kill9();
    for cache in &caches {
        assert_eq!(get(&yima, cache, &part, &[]).header("x-cache"), "HIT");
    }
    // An old index says more than none, where a cache is told to keep it.
    assert_eq!(get(&yima, &caches[1], INDEX, &[]).status, 200);
}

fn get_direct(yima: &Yima) -> Reply {
    yima.http().get_with(&format!("{}{INDEX}", yima.read_url()), &[]).expect("a whole answer")
}

fn max_age(cache_control: &str) -> i64 {
    let rest = cache_control.split_once("max-age=").expect("a lifetime").1;
    rest.split(|char: char| !char.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).expect("digits")
}

fn assert_obeys_cdn_cache_control(yima: &Yima, edge: &SharedCache, part: &str) {
    for path in ["/v1/keys", "/v1/guidance", "/assets/citizen.js", INDEX, part] {
        let reply = get(yima, edge, path, &[]);
        let [at_the_edge, lifetime] = [max_age(reply.header("cdn-cache-control")), seconds(&reply, "x-lifetime")];
        assert!((at_the_edge - 2..=at_the_edge).contains(&lifetime), "{path}: {lifetime} s of {at_the_edge}");
    }
    // A stale copy is asked for again by its entity tag, and confirmed without a body.
    for (tag, path) in [("keys", "/v1/keys"), ("offline-bundle-parts", part)] {
        edge.refresh(tag);
        until("a confirmed copy", SPREAD, || get(yima, edge, path, &[]).header("x-revalidated") == "yes");
    }
}

fn seconds(reply: &Reply, header: &str) -> i64 {
    reply.header(header).parse().unwrap_or_else(|_| panic!("{header}: {:?}", reply.header(header)))
}

/// As after a rotation of the issuer's key, of which nobody should have to wait to hear.
#[test]
fn a_cache_at_the_edge_forgets_documents_by_their_tag() {
    let yima = Yima::start(Options::default().unlimited());
    let caches = start_caches(&yima, [Software::VarnishEdge, Software::NginxEdge]);
    let keys = || yima.http().get_with(&format!("{}/v1/keys", yima.read_url()), &[]).expect("a whole answer").body;
    let before = keys();
    for cache in &caches {
        assert_stores_public_documents(&yima, cache);
        assert_stores_no_display(&yima, cache);
        assert_eq!(get(&yima, cache, "/v1/keys", &[]).header("surrogate-key"), "", "a tag is the edge's business");
    }
    yima.command(&["keys", "rotate", "issuer"]);
    until("the new key", SPREAD * 2, || keys() != before);
    for cache in &caches {
        // Each on a connection of its own: nginx answers those of before by the configuration of before.
        let copy = |path| Http::default().get_with(&format!("{}{path}", cache.url()), &[]).expect("a whole answer");
        assert_eq!((copy("/v1/keys").body, copy("/v1/keys").header("x-cache")), (before.clone(), "HIT"));
        cache.purge("keys");
        until(&format!("the new key, from {}", cache.name()), SPREAD, || copy("/v1/keys").body == keys());
        assert_eq!(copy("/").header("x-cache"), "HIT", "documents of other tags stay");
    }
}
