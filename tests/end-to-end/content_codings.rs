//! Content codings of requests and answers: uploads with gzip, bodies that expand without end, documents with gzip.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use yima_harness::{Reply, Yima, new_person};
use yima_schema::time::HOUR;

use crate::refusals::problem;
use crate::shared;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn upload(yima: &Yima, coding: &str, body: &[u8]) -> Reply {
    let bearer = format!("Bearer {}", yima.agency_token("lab-7"));
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/x-ndjson"), ("content-encoding", coding)];
    let url = format!("{}/v1/events", yima.writer_url());
    yima.http().send("POST", &url, &headers, Some(body)).expect("a whole answer")
}

#[test]
fn an_upload_with_gzip_is_accepted_row_by_row() {
    let yima = shared();
    let (sick, well) = (new_person(), new_person());
    let rows = format!("{}\n{}\n", sick.test("t-1", "positive", HOUR), well.test("t-2", "negative", HOUR));
    let answers = upload(&yima, "gzip", &gzip(rows.as_bytes())).rows();
    assert_eq!([&answers[0]["status"], &answers[1]["status"]], ["accepted", "accepted"], "{answers:?}");
    assert_eq!(yima.shown(&yima.session_of(&sick)).0, "red");
    assert_eq!(yima.shown(&yima.session_of(&well)).0, "green");
}

#[test]
fn a_body_that_expands_beyond_the_limit_is_413_and_harmless() {
    let yima = shared();
    let bomb = gzip(&vec![b'\n'; 200_000_000]);
    assert!(bomb.len() < 10_000_000, "the body as sent is within the limit");
    problem(&upload(&yima, "gzip", &bomb), 413, "too-large");
    let person = new_person();
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR)), "accepted");
}

#[test]
fn a_broken_or_unknown_coding_is_refused_with_a_problem() {
    let yima = shared();
    let whole = gzip(new_person().test("t-1", "negative", HOUR).to_string().as_bytes());
    problem(&upload(&yima, "gzip", &whole[..whole.len() / 2]), 400, "malformed");
    problem(&upload(&yima, "gzip", b"{}"), 400, "malformed");
    let reply = upload(&yima, "br", &whole);
    problem(&reply, 415, "unsupported-media-type");
    assert_eq!(reply.header("accept-encoding"), "gzip, zstd");
}

#[test]
fn documents_are_sent_with_gzip_and_not_again_while_they_are_unchanged() {
    let yima = shared();
    for base in [yima.read_url(), yima.writer_url()] {
        for path in ["/", "/docs/", "/docs/swagger-ui-bundle.js", "/openapi.json"] {
            let url = format!("{base}{path}");
            let plain = yima.http().get(&url, "");
            let zipped = yima.http().get_with(&url, &[("accept-encoding", "gzip")]).expect("a whole answer");
            assert_eq!((plain.header("content-encoding"), zipped.header("content-encoding")), ("", "gzip"), "{url}");
            let mut expanded = Vec::new();
            GzDecoder::new(&zipped.body[..]).read_to_end(&mut expanded).expect("gzip");
            assert!(expanded == plain.body, "{url}: the codings differ in content");
            assert!(zipped.header("cache-control").starts_with("public, max-age="), "{url}");
            let tag = [("accept-encoding", "gzip"), ("if-none-match", zipped.header("etag"))];
            assert_eq!(yima.http().get_with(&url, &tag).expect("a whole answer").status, 304, "{url}");
        }
    }
}

#[test]
fn the_rows_of_a_large_upload_are_answered_with_gzip() {
    let yima = shared();
    let rows: Vec<_> = (0..50).map(|n| new_person().test(&format!("t-{n}"), "negative", HOUR).to_string()).collect();
    let bearer = format!("Bearer {}", yima.agency_token("lab-7"));
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/x-ndjson"), ("accept-encoding", "gzip")];
    let url = format!("{}/v1/events", yima.writer_url());
    let body = rows.join("\n");
    let reply = yima.http().send("POST", &url, &headers, Some(body.as_bytes())).expect("a whole answer");
    assert_eq!((reply.status, reply.header("content-encoding")), (200, "gzip"));
    let mut answers = String::new();
    GzDecoder::new(&reply.body[..]).read_to_string(&mut answers).expect("gzip");
    assert_eq!(answers.matches("\"accepted\"").count(), 50, "{answers}");
}
