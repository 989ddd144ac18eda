//! Codes of other systems at a checkpoint: the EU's test vectors, and the files by which such codes are judged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use yima_foreign::{Refusal, Revocations, TrustList};
use yima_harness::{Compared, Options, Yima, compare_with_page, real_data, says_of_foreign, until};
use yima_schema::time::Time;

/// Time for a change of a file to take effect; the process reads it every 2 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// Codes with the trust list that knows their issuers, as an independent implementation made them.
pub(crate) struct Vectors(Value);

impl Vectors {
    pub(crate) fn read() -> Self {
        Self::of("foreign")
    }

    /// Those of another file.
    pub(crate) fn of(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(file).with_extension("json");
        let text = std::fs::read(path).expect("the vectors are beside the tests");
        Self(serde_json::from_slice(&text).expect("the vectors are JSON"))
    }

    pub(crate) fn code(&self, name: &str) -> &str {
        let named = |vector: &&Value| vector["name"] == name;
        let vector = self.0["vectors"].as_array().expect("a list").iter().find(named).expect("a vector of that name");
        vector["code"].as_str().expect("a text")
    }

    /// Options with a trust list of this content and acceptance rules under which no dose is too old; and the trust
    /// list's path.
    pub(crate) fn options(&self, trust_list: &str) -> (Options, PathBuf) {
        let rules = include_str!("../../foreign/rules/acceptance.toml").replace("to_d = 270", "to_d = 60_000");
        let options = Options::default();
        let [trust_path, rules_path] = ["trust.json", "acceptance.toml"].map(|name| options.directory().join(name));
        std::fs::write(&trust_path, trust_list).expect("the directory can be written");
        std::fs::write(&rules_path, rules).expect("the directory can be written");
        let options = options.env("YIMA_READ_API__FOREIGN__TRUST_LIST_FILE", trust_path.display());
        (options.env("YIMA_READ_API__FOREIGN__ACCEPTANCE_FILE", rules_path.display()), trust_path)
    }

    pub(crate) fn revocations(&self) -> String {
        self.0["revocations"].to_string()
    }

    pub(crate) fn trust_list(&self) -> String {
        self.0["trust_list"].to_string()
    }
}

/// Gives codes to the page's reader too, each with its trust list and moment. Returns how many it accepts.
fn assert_page_agrees<'a>(codes: impl Iterator<Item = (&'a str, TrustList, Time)>) -> u64 {
    let mut written = 0;
    let lines = codes.map(|(code, trust, now)| {
        written += 1;
        json!([now.as_millis(), code, STANDARD.encode(trust.to_part()), says_of_foreign(code, &trust, now)])
    });
    let Compared { read, accepted, differ } = compare_with_page("judge-foreign", lines);
    assert_eq!((read, differ), (written, 0));
    accepted
}

/// The moment at which a vector is to be verified; UTC if it does not say.
fn clock(text: &str) -> Time {
    let local = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let at = text.parse::<Timestamp>().ok().or_else(local).expect("a time");
    Time::from_millis(at.as_millisecond())
}

/// Vectors with another outcome than the expected one: a test signed with a key for vaccinations. Its list of checks
/// does not ask about that.
const EXCEPTIONS: [(&str, Refusal); 1] = [("LI/2DCode/raw/4.json", Refusal::KeyUsage)];

/// Whether the outcome is the expected one. A vector lists the checks that have to succeed or fail.
fn is_as_expected(expected: &Value, outcome: Result<(), Refusal>) -> bool {
    let failing = |checks: &[&str]| checks.iter().any(|check| expected[format!("EXPECTED{check}")] == false);
    if failing(&["UNPREFIX", "B45DECODE", "COMPRESSION", "DECODE", "SCHEMAVALIDATION"]) {
        matches!(outcome, Err(Refusal::Malformed | Refusal::Unsupported))
    } else if failing(&["VERIFY"]) {
        matches!(outcome, Err(Refusal::IssuerUnknown | Refusal::Forged | Refusal::Malformed))
    } else if failing(&["KEYUSAGE"]) {
        outcome == Err(Refusal::KeyUsage)
    } else if failing(&["EXPIRATIONCHECK"]) {
        matches!(outcome, Err(Refusal::Expired | Refusal::NotYetValid))
    } else if matches!(outcome, Err(Refusal::Expired | Refusal::NotYetValid)) {
        // Times are checked last. Some vectors are to be verified before their issue, and do not list that check.
        expected.get("EXPECTEDEXPIRATIONCHECK").is_none()
    } else {
        // PICTUREDECODE is of the QR code's picture, which the vectors do not have.
        outcome == Ok(())
    }
}

/// The EU's test vectors.
fn eu_vectors() -> Vec<Value> {
    let text = std::fs::read_to_string(real_data("eu-dcc").join("vectors.ndjson")).expect("the vectors");
    text.lines().map(|line| serde_json::from_str(line).expect("a vector is JSON")).collect()
}

/// The code of such a vector, with its issuer and its moment.
fn eu_code(vector: &Value) -> (&str, TrustList, Time) {
    // Some certificates name no country.
    let list = json!({ "dcc": [{ "certificate": vector["certificate"], "country": "AT" }] });
    let trust = TrustList::parse(&list.to_string()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let now = clock(vector["validation_clock"].as_str().expect("a time"));
    (vector["prefix"].as_str().unwrap_or_default(), trust, now)
}

#[test]
fn real_data_the_page_reads_the_test_vectors_of_the_eu_as_the_service_does() {
    let vectors = eu_vectors();
    let accepted = assert_page_agrees(vectors.iter().map(eu_code));
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn the_page_reads_changed_codes_as_the_service_does() {
    let Vectors(vectors) = Vectors::read();
    let now: Time = serde_json::from_value(vectors["now"].clone()).expect("a time");
    let codes = vectors["vectors"].as_array().expect("a list").iter().map(|vector| vector["code"].as_str());
    let changed = |code: &str, at: usize| {
        let other = if &code[at..=at] == "0" { "1" } else { "0" };
        format!("{}{other}{}", &code[..at], &code[at + 1..])
    };
    let all: Vec<_> = codes.map(|code| code.expect("a text")).collect();
    let changed: Vec<_> =
        all.iter().flat_map(|code| (0..code.len()).step_by(code.len() / 40 + 1).map(|at| changed(code, at))).collect();
    let trust = || TrustList::parse(&vectors["trust_list"].to_string()).expect("a trust list");
    assert_page_agrees(all.into_iter().chain(changed.iter().map(String::as_str)).map(|code| (code, trust(), now)));
}

#[test]
fn real_data_test_vectors_of_the_eu_are_read_as_expected() {
    let vectors = eu_vectors();
    let mut wrong = Vec::new();
    for vector in &vectors {
        let (code, trust, now) = eu_code(vector);
        let outcome = yima_foreign::read(code, &trust, &Revocations::default(), now).map(|_| ());
        if !is_as_expected(&vector["expected"], outcome) {
            wrong.push((vector["path"].as_str().unwrap_or_default().to_owned(), outcome.err()));
        }
    }
    assert!(vectors.len() >= 155, "a part of the vectors is missing");
    assert_eq!(wrong, EXCEPTIONS.map(|(path, refusal)| (path.to_owned(), Some(refusal))));
}

#[test]
fn a_foreign_code_is_read_once_the_trust_list_has_its_issuer() {
    let vectors = Vectors::read();
    let (options, path) = vectors.options("{}");
    let yima = Yima::start(options.unlimited());
    let guard = yima.checkpoint_session();
    let (code, card) = (vectors.code("EU: vaccination"), vectors.code("SMART: two doses"));
    let scan = |code| yima.scan(&guard, code);
    let said = |scan: &Value| (scan["verdict"].clone(), scan["reason"].clone());
    for code in [code, card] {
        let unknown = scan(code);
        assert_eq!(said(&unknown), (json!("check"), json!("foreign_issuer_unknown")));
        assert_eq!((&unknown["identity"], unknown.get("foreign")), (&Value::Null, None));
    }

    std::fs::write(&path, vectors.trust_list()).unwrap();
    until("the changed trust list", PATIENCE, || scan(code)["reason"] == "foreign_accepted");
    let accepted = scan(code);
    assert_eq!(said(&accepted), (json!("pass"), json!("foreign_accepted")));
    assert_eq!(
        (&accepted["colour"], &accepted["vaccination"], &accepted["tests"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    assert_eq!(accepted["identity"], json!({"name": "GABRIELE MUSTERFRAU GOESSINGER", "document": null}));
    let vaccination = json!({"doses": 2, "of": 2, "vaccine": "Comirnaty", "last_on": "2026-03-01"});
    let proved = json!({
        "scheme": "eu_dcc", "country": "AT", "issuer": null, "born": "1998-02-26", "vaccination": vaccination,
        "tests": [], "recovery": null, "acceptance_version": 1
    });
    assert_eq!(accepted["foreign"], proved);
    let of_card = scan(card);
    assert_eq!(
        (&of_card["reason"], &of_card["foreign"]["issuer"]),
        (&json!("foreign_accepted"), &json!("Example cards"))
    );
    let early = scan(vectors.code("EU: recovery"))["foreign"]["recovery"].clone();
    assert_eq!(early["first_positive_on"], "2026-04-01");

    // A checkpoint that requires a test requires it of these too.
    let strict = yima.session(&yima.token(&["checkpoint", "--name", "gate-9", "--require-test-within-h", "24"]));
    assert_eq!(said(&yima.scan(&strict, code)), (json!("check"), json!("test_required")));

    // Many at once get what each gets alone.
    let body = json!({ "codes": [code, "YM1:0", card, vectors.code("EU: unknown issuer")] }).to_string();
    let url = format!("{}/v1/scans", yima.read_url());
    let many = yima.http().post(&url, &guard, "application/json", body.as_bytes()).json(200);
    let reasons: Vec<_> = many["results"].as_array().unwrap().iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(reasons, ["foreign_accepted", "malformed", "foreign_accepted", "foreign_issuer_unknown"]);

    // A list with an error changes nothing.
    std::fs::write(&path, r#"{"dcc": [{"certificate": "?"}]}"#).unwrap();
    let is_accepted = || yima.metric("read_api_file_accepted", &["file=\"trust_list\""]) == 1.0;
    until("the refusal of the list", PATIENCE, || !is_accepted());
    assert_eq!(said(&scan(code)).1, "foreign_accepted");
    assert!(yima.stderr().contains("/dcc/0/certificate: expected Base64"), "{}", yima.stderr());
    assert!(yima.metric("scan_foreign_total", &["outcome=\"accepted\"", "scheme=\"smart_health_card\""]) >= 2.0);
    for private in ["MUSTERFRAU", "1998-02-26", "Anyperson", &code[..40]] {
        assert!(!yima.stderr().contains(private), "{private} is in the log");
    }
}

#[test]
fn a_certificate_or_card_is_revoked_while_the_process_runs() {
    let Vectors(vectors) = Vectors::of("foreign-revoked");
    let (options, _) = Vectors(vectors.clone()).options(&vectors["trust_list"].to_string());
    let path = options.directory().join("revoked.json");
    std::fs::write(&path, "{}").unwrap();
    let yima = Yima::start(options.unlimited().env("YIMA_READ_API__FOREIGN__REVOCATIONS_FILE", path.display()));
    let guard = yima.checkpoint_session();
    let vectors = Vectors(vectors);
    let reason = |name: &str| yima.scan(&guard, vectors.code(name))["reason"].clone();
    let revoked = ["EU: by the hash of its identifier", "EU: by the hash of its signature, RSA", "SMART: revoked"];
    let others = ["EU: not revoked", "SMART: not revoked"];
    for name in revoked.iter().chain(&others) {
        assert_eq!(reason(name), "foreign_accepted", "{name}");
    }
    std::fs::write(&path, vectors.0["revocations"].to_string()).unwrap();
    until("the changed revocations", PATIENCE, || reason(revoked[0]) == "foreign_revoked");
    for name in revoked {
        let scan = yima.scan(&guard, vectors.code(name));
        assert_eq!((&scan["verdict"], &scan["reason"]), (&json!("check"), &json!("foreign_revoked")), "{name}");
        assert_eq!((&scan["identity"], scan.get("foreign")), (&Value::Null, None), "it shows nobody");
    }
    for name in others {
        assert_eq!(reason(name), "foreign_accepted", "{name}");
    }

    std::fs::write(&path, r#"{"dcc": [{"kid": "?", "hashType": "UCI", "entries": []}]}"#).unwrap();
    until("the refusal of the list", PATIENCE, || {
        yima.metric("read_api_file_accepted", &["file=\"revocations\""]) == 0.0
    });
    assert_eq!(reason(revoked[0]), "foreign_revoked");
    assert!(yima.stderr().contains("/dcc/0/kid: expected a key id"), "{}", yima.stderr());
}

#[test]
fn a_trust_list_or_acceptance_rules_with_an_error_refuse_the_start() {
    for (variable, text, expected) in [
        (
            "TRUST_LIST_FILE",
            "{",
            "read_api.foreign.trust_list_file: line 1, column 1: expected the JSON of a trust list",
        ),
        ("ACCEPTANCE_FILE", "version = 1\n", "read_api.foreign.acceptance_file: line "),
        (
            "REVOCATIONS_FILE",
            "{",
            "read_api.foreign.revocations_file: line 1, column 1: expected the JSON of a revocation list",
        ),
    ] {
        let options = Options::default();
        let path = options.directory().join("file");
        std::fs::write(&path, text).expect("the directory can be written");
        let options = options.env(&format!("YIMA_READ_API__FOREIGN__{variable}"), path.display());
        let Err(refused) = Yima::try_start(options) else { panic!("it started") };
        assert_eq!(refused.exit.and_then(|exit| exit.code()), Some(3));
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}
