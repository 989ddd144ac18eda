//! The agency's page has a Chinese text for every reason that the writer gives for refusing or ignoring an event.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the writer, and what it reads events with, words its reasons.
const SOURCES: [&str; 6] = [
    "writer/src/decode",
    "writer/src/admission",
    "writer/src/intake",
    "schema/src/subject.rs",
    "schema/src/resident_id.rs",
    "service/src/http/unique_members.rs",
];

/// Reasons that no row of a file and no event of the form can get: those of a Bundle, of settings and of reading keys.
const ELSEWHERE: [&str; 3] = ["bundle.rs", "codes.rs", "openapi.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    let name = path.file_name().expect("a name").to_str().expect("UTF-8");
    if path.is_dir() && name != "tests" {
        fs::read_dir(path).expect("a directory").for_each(|entry| files(&entry.expect("an entry").path(), found));
    } else if path.is_file() && name != "tests.rs" && !ELSEWHERE.contains(&name) {
        found.push(path.to_owned());
    }
}

/// The string literals of a source file outside its tests, each on one line, `{…}` as `{}`.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().expect("a first part");
    let mut literals = Vec::new();
    for line in join_continued(source).lines().filter(|line| !line.trim_start().starts_with("//")) {
        let escaped = line.replace("\\\"", "\u{0}");
        literals.extend(escaped.split('"').skip(1).step_by(2).map(|text| plain(&text.replace('\u{0}', "\""))));
    }
    literals
}

/// A literal that continues after `\` at the end of a line.
fn join_continued(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let first = parts.next().expect("a first part").to_owned();
    parts.fold(first, |text, next| text + next.trim_start())
}

fn plain(literal: &str) -> String {
    let mut parts = literal.split('{');
    let first = parts.next().expect("a first part").to_owned();
    parts.fold(first, |text, part| text + "{}" + part.split_once('}').map_or("", |(_, rest)| rest))
}

#[test]
fn every_reason_of_the_writer_has_a_chinese_text() {
    let mut sources = Vec::new();
    SOURCES.iter().for_each(|source| files(&root().join(source), &mut sources));
    let reasons = fs::read_to_string(root().join("web/pages/src/agency/reasons.ts")).expect("the list");
    let known: Vec<_> = literals(&reasons);
    let is_reason = |text: &&String| {
        let starts = ["expected ", "Expected ", "not a ", "An event ", "A subject ", "This agency ", "It is not known"];
        starts.iter().any(|start| text.starts_with(start)) && text.len() > 16
    };
    let mut missing = Vec::new();
    for path in sources {
        let source = fs::read_to_string(&path).expect("a source file");
        // A service's own sentences to operators are no reasons for a row.
        missing.extend(literals(&source).iter().filter(is_reason).filter(|text| !known.contains(text)).cloned());
    }
    assert!(missing.is_empty(), "reasons without a Chinese text in web/pages/src/agency/reasons.ts:\n{missing:#?}");
    assert!(known.len() > 100, "the list was read");
}
