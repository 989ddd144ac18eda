//! Traces across processes: an event from the writer through store and feed to the read node, and a
//! read from request to store.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use yima_harness::{CollectedSpan, Collector, Options, Person, Reply, Yima, ago, new_person};
use yima_schema::subject::{Document, DocumentType, PseudonymKey};
use yima_schema::time::HOUR;

const CALLER: [u8; 8] = [0xca; 8];
/// A header that a client may send beside its `traceparent`.
const STATE: (&str, &str) = ("tracestate", "phone=private-state");

fn traceparent(trace: [u8; 16], sampled: bool) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("00-{}-{}-0{}", hex(&trace), hex(&CALLER), u8::from(sampled))
}

/// Reads a display within a trace.
fn display(reader: &Yima, session: &str, trace: [u8; 16], sampled: bool) -> Reply {
    let (bearer, parent) = (format!("Bearer {session}"), traceparent(trace, sampled));
    let headers = [("authorization", bearer.as_str()), ("traceparent", &parent), STATE];
    let reply = reader.http().send("GET", &format!("{}/v1/display", reader.read_url()), &headers, None).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

/// The spans of a trace, once the span of its request has ended: a span ends after all of its children.
#[track_caller]
fn finished(collector: &Collector, trace: [u8; 16]) -> Vec<CollectedSpan> {
    collector.wait_for("end of the request", |spans| {
        let of_trace: Vec<_> = spans.iter().filter(|one| one.span.trace_id == trace).cloned().collect();
        of_trace.iter().any(|one| one.span.parent_span_id == CALLER).then_some(of_trace)
    })
}

/// The one span of that name.
#[track_caller]
fn named<'a>(spans: &'a [CollectedSpan], name: &str) -> &'a CollectedSpan {
    let found: Vec<_> = spans.iter().filter(|one| one.span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} among {spans:#?}");
    found[0]
}

/// The names of a span's children, in the order of their start.
fn children(spans: &[CollectedSpan], of: &CollectedSpan) -> Vec<String> {
    let mut children: Vec<_> = spans.iter().filter(|one| one.span.parent_span_id == of.span.span_id).collect();
    children.sort_by_key(|one| one.span.start_time_unix_nano);
    children.iter().map(|one| one.span.name.clone()).collect()
}

/// The services, and the store's spans below each step of an event.
pub(crate) struct ExpectedSpans {
    /// `service.name` of writer and read node.
    services: [&'static str; 2],
    system: &'static str,
    append: &'static [&'static str],
    lookup: &'static str,
    events: &'static str,
    set: &'static str,
    publish: &'static [&'static str],
}

const FJALL: ExpectedSpans = ExpectedSpans {
    services: ["yima", "yima"],
    system: "fjall",
    append: &["append events"],
    lookup: "lookup views",
    events: "read events",
    set: "compare_and_set views",
    publish: &["append changes"],
};
pub(crate) const CQL: ExpectedSpans = ExpectedSpans {
    services: ["writer", "read-api"],
    system: "cassandra",
    append: &["SELECT events", "INSERT marks", "SELECT streams", "INSERT events"],
    lookup: "SELECT views",
    events: "SELECT events",
    set: "UPDATE views",
    publish: &["INSERT changes", "SELECT streams"],
};

/// Sends a traced event about `person`; its spans reach from the request to the read node.
fn assert_event_traced(collector: &Collector, writer: &Yima, person: &Person, agency: &str, expected: &ExpectedSpans) {
    let trace: [u8; 16] = rand::random();
    let (bearer, parent) = (format!("Bearer {agency}"), traceparent(trace, true));
    let json = ("content-type", "application/json");
    let headers = [("authorization", bearer.as_str()), json, ("traceparent", parent.as_str()), STATE];
    let event = person.test("private-event-id", "positive", HOUR).to_string();
    let url = format!("{}/v1/events", writer.writer_url());
    let reply = writer.http().send("POST", &url, &headers, Some(event.as_bytes())).unwrap();
    assert_eq!(reply.json(200)["status"], "accepted");

    let spans = finished(collector, trace);
    let request = named(&spans, "POST /v1/events");
    let status = request.attribute("http.response.status_code");
    assert_eq!((request.service.as_str(), status.as_str()), (expected.services[0], "200"));
    let steps =
        ["read_rows", "append", "lookup_versions", "read_events", "derive", "compare_and_set", "publish changes"];
    assert_eq!(children(&spans, request), steps);
    let below = |step| children(&spans, named(&spans, step));
    assert_eq!(below("append"), expected.append);
    assert_eq!(below("lookup_versions"), [expected.lookup]);
    assert_eq!(below("read_events"), [expected.events]);
    assert_eq!(below("compare_and_set"), [expected.set]);
    assert_eq!(below("publish changes"), expected.publish);
    let set = named(&spans, expected.set);
    assert_eq!((set.attribute("db.system.name").as_str(), set.span.kind()), (expected.system, SpanKind::Client));

    let published = &named(&spans, "publish changes").span;
    let applied = collector.wait_for("span that applies the change", |spans| {
        let is_linked = |one: &&CollectedSpan| {
            one.span.links.iter().any(|link| link.trace_id == trace && link.span_id == published.span_id)
        };
        spans.iter().find(is_linked).cloned()
    });
    assert_eq!((applied.service.as_str(), applied.span.name.as_str()), (expected.services[1], "apply changes"));
    assert!(applied.span.parent_span_id.is_empty() && applied.span.trace_id != trace, "a page may be of many requests");
}

/// The collector received no name, number or id of the person, no result, and no token.
fn assert_nothing_private(collector: &Collector, options: &Options, person: &Person, tokens: &[&str]) {
    let key = PseudonymKey::from_bytes(&options.key("pseudonym.key"));
    let subject = key.subject(&Document::new(DocumentType::CnResidentId, &person.document).unwrap());
    let hex: String = subject.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = collector.bytes();
    let received = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(received(b"/v1/events") && received(b"/v1/display"), "the search does not find the routes");
    let texts = [&person.document, "private-event-id", "Private Name", "lab-7", "positive", &hex, "private-state"];
    for private in texts.iter().copied().chain(tokens.iter().copied()) {
        assert!(!received(private.as_bytes()), "{private} was sent");
    }
    assert!(!received(subject.as_bytes()), "a subject id was sent");
}

/// Traces an event, displays of its subject, and displays of a subject that is in no tier.
pub(crate) fn assert_traces(
    collector: &Collector,
    options: &Options,
    writer: &Yima,
    reader: &Yima,
    expected: &ExpectedSpans,
) {
    let [person, stranger] = [new_person(), new_person()];
    let identity = json!({ "name": "Private Name", "born": "1990-03-07" });
    let agency = writer.agency_token("lab-7");
    writer.event(&agency, &person.event("private-event-id-0", "identity", &ago(HOUR), identity));
    assert_event_traced(collector, writer, &person, &agency, expected);

    let sessions = [&person, &stranger].map(|person| reader.session_of(person));
    let [untraced, known, traced, again] = [(); 4].map(|()| rand::random::<[u8; 16]>());
    display(reader, &reader.session_of(&new_person()), untraced, false);
    assert!(display(reader, &sessions[0], known, true).text().contains("positive"));
    display(reader, &sessions[1], traced, true);
    display(reader, &sessions[1], again, true);
    assert_eq!(
        children(&finished(collector, known), named(&finished(collector, known), "GET /v1/display")),
        ["look_up_view"]
    );
    let spans = finished(collector, traced);
    let request = named(&spans, "GET /v1/display");
    assert_eq!(request.attribute("cache.status"), "yima; fwd=miss; stored; detail=miss");
    let lookup = named(&spans, "look_up_view");
    assert_eq!((request.service.as_str(), lookup.attribute("cache.outcome").as_str()), (expected.services[1], "miss"));
    assert_eq!(lookup.span.parent_span_id, request.span.span_id);
    assert_eq!(children(&spans, lookup).last().map(String::as_str), Some(expected.lookup));
    // A hit in memory has no child span.
    let spans = finished(collector, again);
    assert!(named(&spans, "GET /v1/display").attribute("cache.status").starts_with("yima; hit"), "{spans:#?}");
    assert!(spans.iter().all(|one| one.span.name != "look_up_view"));

    // The unsampled request was the first: its spans would have arrived by now.
    let spans = collector.spans();
    assert!(spans.iter().all(|one| one.span.trace_id != untraced));
    let is_root = |one: &&CollectedSpan| one.span.parent_span_id.is_empty() && one.span.links.is_empty();
    assert_eq!(spans.iter().filter(is_root).count(), 0, "sample_rate is 0");
    assert_nothing_private(collector, options, &person, &[&sessions[0], &sessions[1], &agency]);
}

fn options(collector: &Collector) -> Options {
    let variables = collector.env("yima").into_iter();
    variables.fold(Options::default().unlimited(), |options, (name, value)| options.env(name, value))
}

#[test]
fn an_event_and_a_read_are_traced_in_one_process() {
    let collector = Collector::start();
    let yima = Yima::start(options(&collector));
    assert_traces(&collector, yima.options(), &yima, &yima, &FJALL);
}

#[test]
fn an_untrusted_traceparent_does_not_change_the_sampled_share() {
    let collector = Collector::start();
    let options = options(&collector).env("YIMA_TELEMETRY__TRUST_TRACEPARENT", "false");
    let yima = Yima::start(options.env("YIMA_TELEMETRY__SAMPLE_RATE", "0.5"));
    let session = yima.session_of(&new_person());
    let displays = |spans: &[CollectedSpan]| spans.iter().filter(|one| one.span.name == "GET /v1/display").count();
    let untrusted: [u8; 16] = rand::random();
    for n in 0..200 {
        display(&yima, &session, untrusted, n % 2 == 0);
    }
    // That all of 200 are traced, or fewer than 50, happens less often than once in 10^12.
    collector.wait_for("50 traced displays", |spans| (displays(spans) >= 50).then_some(()));
    let mut yima = yima;
    assert!(yima.stop().success());
    let spans = collector.spans();
    assert!(displays(&spans) < 200, "every display was sampled");
    assert!(spans.iter().all(|one| one.span.trace_id != untrusted), "the client's trace id was used");
}
