//! The pages have a text for every word of the closed lists that the services answer with. `npm run check` makes sure
//! that each text is there in both languages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use yima_harness::Yima;
use yima_schema::event::{Colour, DerivedReason, TestKind, TestOutcome};
use yima_schema::problem::ProblemType;
use yima_schema::rules::Rules;
use yima_schema::subject::DocumentType;

use crate::shared;

/// A source of the pages.
fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/pages/src").join(name);
    fs::read_to_string(path).expect("the sources of the pages are there")
}

/// The keys of a table of words: `  key: ["…", "…"],`.
fn keys(table: &str) -> BTreeSet<String> {
    let source = source(table);
    let key = |line: &str| line.strip_prefix("  ")?.split_once(": [").map(|(key, _)| key.to_owned());
    source.lines().filter_map(key).filter(|key| key.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())).collect()
}

/// The words of an enum, as a service's OpenAPI description lists them.
fn words_of(yima: &Yima, base: &str, schema: &str) -> Vec<String> {
    let api = yima.http().get(&format!("{base}/openapi.json"), "").json(200);
    let schema = &api["components"]["schemas"][schema];
    // With a description of each word, or without.
    let one_of = schema["oneOf"].as_array().into_iter().flatten().flat_map(|one| one["enum"].as_array());
    let lists = one_of.chain(schema["enum"].as_array()).flatten();
    let words: Vec<_> = lists.filter_map(Value::as_str).map(str::to_owned).collect();
    assert!(words.len() > 1, "{schema}");
    words
}

#[test]
fn every_word_of_the_services_has_a_text_on_the_pages() {
    let yima = shared();
    let (read, write) = (yima.read_url(), yima.writer_url());
    let own = |list: &[&'static str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut reasons = own(&DerivedReason::ALL.map(DerivedReason::as_str));
    reasons.extend(Rules::built_in().assignment_reasons.into_keys());
    let demo = yima.http().get(&format!("{read}/demo/people"), "").json(200);
    let people = demo["people"].as_array().expect("a list");
    let about = people.iter().map(|person| person["about"].as_str().expect("a word").to_owned()).collect();
    let documents = own(&DocumentType::ALL.map(DocumentType::as_str));

    let shared_lists = [
        ("do", words_of(&yima, &read, "Reason")),
        ("verdict", words_of(&yima, &read, "Verdict")),
        ("decision", words_of(&yima, &read, "DecisionState")),
        ("colour", own(&Colour::ALL.map(Colour::as_str))),
        ("test", own(&TestKind::ALL.map(TestKind::as_str))),
        ("result", own(&TestOutcome::ALL.map(TestOutcome::as_str))),
        ("about", about),
        ("reason", reasons),
    ];
    let rows = words_of(&yima, &write, "Status");
    let agency_lists = [("document", documents), ("status", rows.clone()), ("count", rows)];

    let of_all_pages = keys("shared/words.ts");
    let of_agency = &of_all_pages | &keys("agency/words.ts");
    let missing = |(prefix, words): (&str, Vec<String>), table: &BTreeSet<String>| {
        words.into_iter().map(|word| format!("{prefix}_{word}")).filter(|key| !table.contains(key)).collect::<Vec<_>>()
    };
    let mut untold: Vec<_> = shared_lists.into_iter().flat_map(|list| missing(list, &of_all_pages)).collect();
    untold.extend(agency_lists.into_iter().flat_map(|list| missing(list, &of_agency)));
    assert!(untold.is_empty(), "words of the services without a text: {untold:?}");
}

/// Their English titles come with the answer.
#[test]
fn every_type_of_problem_has_a_chinese_text_for_agencies() {
    let reasons = source("agency/reasons.ts");
    let (_, types) = reasons.split_once("PROBLEM_TYPES").expect("the table of problem types");
    let has_text = |slug: &str| types.contains(&format!("  {slug}: \"")) || types.contains(&format!("\"{slug}\": \""));
    let untold: Vec<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).filter(|slug| !has_text(slug)).collect();
    assert!(untold.is_empty(), "problem types without a text: {untold:?}");
}
