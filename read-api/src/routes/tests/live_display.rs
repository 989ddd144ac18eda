//! Live displays: which events are sent when, who is refused, and what ends one.

use yima_schema::time::Time;
use yima_service::rate_limit::RateConfig;

use super::*;
use crate::cache::tests::store::advance;

/// The events that a client receives.
struct Events(Body);

impl Events {
    /// The fields of the next event; `None` at the end.
    async fn next(&mut self) -> Option<Vec<(String, String)>> {
        let frame = self.0.frame().await?.unwrap().into_data().unwrap();
        let text = std::str::from_utf8(&frame).unwrap().strip_suffix("\n\n").unwrap();
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(text.lines().map(|line| field(line).unwrap()).collect())
    }

    async fn expect(&mut self, field: &str) -> String {
        let fields = self.next().await.unwrap();
        let found = fields.iter().find(|(name, _)| name == field);
        found.unwrap_or_else(|| panic!("no {field} in {fields:?}")).1.clone()
    }
}

impl Node {
    async fn open_live_display(&self, bearer: &str, shown: Option<&HeaderValue>) -> Response {
        let mut request = Request::get("/v1/display/events").header(AUTHORIZATION, bearer);
        if let Some(shown) = shown {
            request = request.header("last-event-id", shown);
        }
        router(self.app.clone(), true).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn live_display(&self, bearer: &str, shown: Option<&HeaderValue>) -> Events {
        let answer = self.open_live_display(bearer, shown).await;
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        Events(answer.into_body())
    }

    /// Writes a view and follows its change.
    async fn change(&mut self, n: u8) -> Version {
        let version = self.store.write(subject(n));
        self.follower.poll().await.unwrap();
        version
    }

    fn open_live_displays(&self) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || self.app.views.report());
        let scraped = recorder.handle().render();
        let open = scraped.lines().find_map(|line| line.strip_prefix("live_displays_open "));
        open.unwrap().to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_sent_at_once_and_otherwise_the_as_of() {
    let mut node = Node::start().await;
    node.change(1).await;
    let citizen = node.citizen(1);
    let mut events = node.live_display(&citizen, None).await;
    let first = events.next().await.unwrap();
    let fields: Vec<_> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["event", "id", "data", "retry"], "{first:?}");
    let display = node.display(&citizen, None).await;
    let (tag, as_of) = (display.headers()[ETAG].clone(), display.headers()["yima-as-of"].to_str().unwrap().to_owned());
    let body = display.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(first[1].1, tag);
    assert_eq!(first[2].1, format!(r#"{{"as_of":"{as_of}","display":{}}}"#, std::str::from_utf8(&body).unwrap()));

    // No change: the display is true of a later moment.
    advance(1_000);
    node.follower.poll().await.unwrap();
    let started = tokio::time::Instant::now();
    let later: Time = as_of.parse::<Time>().unwrap().plus(Duration::from_secs(1));
    assert_eq!(events.expect("data").await, format!(r#"{{"as_of":"{later}"}}"#));
    let waited = started.elapsed();
    assert!((Duration::from_secs(45)..Duration::from_secs(61)).contains(&waited), "{waited:?}");

    // A change of another subject is not sent, one of the caller's own at once.
    node.change(2).await;
    node.change(1).await;
    let (started, event) = (tokio::time::Instant::now(), events.next().await.unwrap());
    assert_eq!((started.elapsed(), event[0].1.as_str()), (Duration::ZERO, "display"));
    assert!(event[2].1.contains(r#""version":2"#), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn a_display_that_the_phone_shows_is_not_sent_again_nor_an_older_one() {
    let mut node = Node::start().await;
    node.change(1).await;
    let citizen = node.citizen(1);
    let shown = node.display(&citizen, None).await.headers()[ETAG].clone();
    assert_eq!(node.live_display(&citizen, Some(&shown)).await.expect("event").await, "unchanged");
    // Another node has shown a version that this one does not know yet.
    let newer = node.app.tags.tag(subject(1), node.store.set(subject(1)), 0, Detail::Full);
    assert_eq!(node.live_display(&citizen, Some(&newer)).await.expect("event").await, "unchanged");
    let unknown = node.app.tags.tag(subject(1), Version(9), 0, Detail::Full);
    let refused = node.open_live_display(&citizen, Some(&unknown)).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert_eq!(node.open_live_displays(), "0");
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_refuses_and_ends_live_displays() {
    let mut node = Node::start_busy(0.6).await;
    node.change(1).await;
    let citizen = node.citizen(1);
    let refused = node.open_live_display(&citizen, None).await;
    let retry_after: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(refused.status() == StatusCode::SERVICE_UNAVAILABLE && (120..=240).contains(&retry_after), "{retry_after}");
    assert_eq!(node.display(&citizen, None).await.status(), StatusCode::OK);

    let mut node = Node::start_busy(0.59).await;
    node.change(1).await;
    let mut events = node.live_display(&node.citizen(1), None).await;
    events.next().await.unwrap();
    node.set_level(1);
    // A change is sent all the same: that is less work than answering a poll.
    node.change(1).await;
    assert_eq!(events.expect("event").await, "display");
    let last = events.next().await.unwrap();
    let (name, ms) = &last[0];
    assert!(
        last.len() == 1 && name == "retry" && (120_000..=240_000).contains(&ms.parse::<u32>().unwrap()),
        "{last:?}"
    );
    assert_eq!(events.next().await, None);
    drop(events);
    assert_eq!(node.open_live_displays(), "0");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_live_displays_is_limited() {
    let few = |config: &mut ReadApiConfig| {
        (config.live_displays.max_open, config.live_displays.max_per_person) = (3, 2);
        // The limit's clock is not paused: none of the quota may come back meanwhile.
        config.limits.live_display = RateConfig::new(20, DAY);
    };
    let mut node = Node::start_with(0.0, few).await;
    for n in 1..=4 {
        node.change(n).await;
    }
    // Of one subject, in however many sessions.
    let (first, _second) =
        (node.live_display(&node.citizen(1), None).await, node.live_display(&node.citizen(1), None).await);
    assert_eq!(node.open_live_display(&node.citizen(1), None).await.status(), StatusCode::TOO_MANY_REQUESTS);
    let _third = node.live_display(&node.citizen(2), None).await;
    assert_eq!(node.open_live_display(&node.citizen(3), None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(node.open_live_displays(), "3");
    // A client that goes away makes room.
    drop(first);
    node.live_display(&node.citizen(3), None).await;
    // And the rate at which a citizen opens them, in however many sessions.
    for _ in 0..20 {
        node.live_display(&node.citizen(4), None).await;
    }
    let refused = node.open_live_display(&node.citizen(4), None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers()["ratelimit"].to_str().unwrap().starts_with("\"live_display\";r=0"));
    assert_eq!(node.open_live_display(&node.guard(), None).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_live_display_ends_with_its_session_its_maximum_age_and_its_process() {
    let mut node = Node::start_with(0.0, |config| config.live_displays.max_age = DAY * 2).await;
    node.change(1).await;
    let mut events = node.live_display(&node.citizen(1), None).await;
    let started = tokio::time::Instant::now();
    while events.next().await.is_some() {}
    assert!(started.elapsed() >= DAY && started.elapsed() < DAY + Duration::from_secs(7), "{:?}", started.elapsed());

    let mut node = Node::start_with(0.0, |config| config.live_displays.max_age = Duration::from_secs(60)).await;
    node.change(1).await;
    let mut events = node.live_display(&node.citizen(1), None).await;
    let (started, mut last) = (tokio::time::Instant::now(), Vec::new());
    while let Some(event) = events.next().await {
        last = event;
    }
    assert!((45..=60).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    // Each ends on its own, so the next one may be opened soon.
    let reopened_after: u32 = last[0].1.parse().unwrap();
    assert!(last.len() == 1 && last[0].0 == "retry" && (1_000..=3_000).contains(&reopened_after), "{last:?}");

    let mut events = node.live_display(&node.citizen(1), None).await;
    events.next().await.unwrap();
    let started = tokio::time::Instant::now();
    node.app.end_live_displays();
    assert_eq!((events.next().await, started.elapsed()), (None, Duration::ZERO));
    assert_eq!(node.open_live_display(&node.citizen(1), None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn live_displays_that_end_together_are_reopened_over_a_minute() {
    let mut node = Node::start().await;
    let mut halves = [0; 2];
    for n in 1..=100 {
        node.change(n).await;
        let first = node.live_display(&node.citizen(n), None).await.expect("retry").await;
        let after: usize = first.parse().unwrap();
        assert!((1_000..=61_000).contains(&after), "{after}");
        halves[usize::from(after > 31_000)] += 1;
    }
    assert!(halves.into_iter().all(|half| half > 25), "{halves:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_changes_is_spread_over_a_minute_and_the_newest_is_sent() {
    let mut node = Node::start().await;
    let mut people = Vec::new();
    for n in 0..200 {
        node.change(n).await;
        let mut events = node.live_display(&node.citizen(n), None).await;
        events.next().await.unwrap();
        people.push(events);
    }
    // The second change of each arrives in the same event as the first.
    for n in (0..200).chain(0..200) {
        node.change(n).await;
    }
    let started = tokio::time::Instant::now();
    let waits = people.iter_mut().map(async |events| {
        let event = events.next().await.unwrap();
        assert!(event[0].1 == "display" && event[2].1.contains(r#""version":3"#), "{event:?}");
        started.elapsed()
    });
    let mut waits = futures::future::join_all(waits).await;
    waits.sort();
    assert_eq!(waits[9], Duration::ZERO, "the first ones");
    // A report that is due has the change too.
    assert!(waits[199] <= Duration::from_secs(60), "{:?}", waits[199]);
    let late = waits.iter().filter(|wait| **wait > Duration::from_secs(20)).count();
    assert!((90..160).contains(&late), "{late}");
    // A minute later the change of one arrives at once.
    tokio::time::advance(Duration::from_secs(1)).await;
    node.change(7).await;
    let started = tokio::time::Instant::now();
    assert_eq!((people[7].expect("event").await.as_str(), started.elapsed()), ("display", Duration::ZERO));
}
