//! FHIR R4 as NDJSON: a public synthetic population from outside this project, and fixtures
//! for the cases that it lacks.

use std::collections::{HashMap, HashSet};
use std::fs;

use serde_json::{Value, json};
use yima_harness::{Options, Yima, real_data};
use yima_schema::subject::DocumentType;
use yima_schema::time::DAY;
use yima_service::jwt::{Claims, Issuer, Scope};

const FHIR: &str = "application/fhir+ndjson";
const CVX: &str = "http://hl7.org/fhir/sid/cvx";

fn resources(ndjson: &str) -> Vec<Value> {
    ndjson.lines().map(|line| serde_json::from_str(line).expect("one resource in each line")).collect()
}

/// The display of each of these patients of `hospital-1`.
pub(crate) fn displays<'a>(yima: &Yima, patients: impl IntoIterator<Item = &'a str>) -> HashMap<String, Value> {
    // `yima token` for each of them would take most of the test's time.
    let key = fs::read(yima.data_dir().join("keys/demo-identity-provider.p8")).expect("a key of the data directory");
    let issuer = Issuer::from_pkcs8(&key, "yima-demo").expect("the demo's key");
    let display = |id: &str| {
        let claims = Claims {
            scope: Scope::Display.as_str().into(),
            document_type: Some(DocumentType::Local),
            document_number: Some(format!("hospital-1/{id}")),
            ..Claims::default()
        };
        yima.display(&yima.session(&issuer.issue(&claims, DAY))).json(200)
    };
    patients.into_iter().map(|id| (id.to_owned(), display(id))).collect()
}

fn statuses(yima: &Yima, hospital: &str, ndjson: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for answer in yima.push(hospital, FHIR, ndjson.as_bytes()).rows() {
        let status = answer["status"].as_str().expect("a status").to_owned();
        assert!(
            status != "ignored" || answer["reason"].as_str().is_some_and(|why| why.contains("COVID-19")),
            "{answer}"
        );
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[test]
fn real_data_an_export_gives_the_same_displays_in_either_order() {
    let directory = real_data("fhir-r4");
    let [patients, immunizations] = ["Patient", "Immunization"]
        .map(|name| fs::read_to_string(directory.join(name).with_extension("ndjson")).expect("a file"));
    let (accepted, of_covid_19) =
        ([("accepted".to_owned(), 120)].into(), [("accepted".to_owned(), 141), ("ignored".to_owned(), 1_677)].into());
    let people = resources(&patients);
    let ids: Vec<&str> = people.iter().filter_map(|patient| patient["id"].as_str()).collect();

    let [first, second] = [false, true].map(|immunizations_first| {
        let yima = Yima::start(Options::default().unlimited());
        let hospital = yima.agency_token("hospital-1");
        if !immunizations_first {
            assert_eq!(statuses(&yima, &hospital, &patients), accepted);
        }
        assert_eq!(statuses(&yima, &hospital, &immunizations), of_covid_19);
        if immunizations_first {
            assert_eq!(statuses(&yima, &hospital, &patients), accepted);
        }
        displays(&yima, ids.iter().copied())
    });

    // Counted from the file, by another algorithm than yima's.
    let mut doses: HashMap<String, HashSet<(String, String)>> = HashMap::new();
    for row in resources(&immunizations) {
        let codings = row["vaccineCode"]["coding"].as_array().cloned().unwrap_or_default();
        let given = row["occurrenceDateTime"].as_str().expect("a time").to_owned();
        for code in codings.iter().filter(|coding| coding["system"] == CVX).filter_map(|coding| coding["code"].as_str())
        {
            if ["207", "208", "212"].contains(&code) {
                let patient = row["patient"]["reference"].as_str().and_then(|text| text.strip_prefix("Patient/"));
                doses
                    .entry(patient.expect("a reference").to_owned())
                    .or_default()
                    .insert((given.clone(), code.to_owned()));
            }
        }
    }
    assert_eq!((people.len(), doses.values().map(HashSet::len).sum::<usize>()), (120, 141));
    for patient in &people {
        let id = patient["id"].as_str().expect("an id");
        let (display, doses) = (&first[id], doses.remove(id).unwrap_or_default());
        let complete = doses.len() >= 2 || doses.iter().any(|(_, code)| code == "212");
        let shown = (&display["vaccination"]["doses"], &display["vaccination"]["complete"]);
        assert_eq!(shown, (&json!(doses.len()), &json!(complete)), "{id}");
        let deceased = patient.get("deceasedDateTime").is_some();
        let expected = if deceased { ("none", "deceased") } else { ("green", "no_restriction") };
        assert_eq!(
            (&display["colour"]["code"], &display["colour"]["reason"]),
            (&json!(expected.0), &json!(expected.1)),
            "{id}"
        );
        let family = patient["name"][0]["family"].as_str().expect("a name");
        assert!(!display.to_string().contains(family), "names are masked");
        let without_version = |display: &Value| {
            let mut display = display.clone();
            display["version"] = Value::Null;
            display
        };
        assert_eq!(without_version(display), without_version(&second[id]), "{id}");
    }
    assert!(doses.is_empty(), "a dose of an unknown patient");
}

#[test]
fn fixture_resources_get_their_expected_answers_and_displays() {
    let yima = Yima::start(Options::default().unlimited());
    let hospital = yima.agency_token("hospital-1");
    let fixture = include_str!("fixtures/fhir.ndjson");
    // Each line has a resource and its expected answer.
    let (expected, rows): (Vec<Value>, Vec<Value>) =
        resources(fixture).iter().map(|line| (line["expect"].clone(), line["resource"].clone())).unzip();
    let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let answers = yima.push(&hospital, FHIR, body.as_bytes()).rows();
    assert_eq!(answers.len(), rows.len());
    for ((answer, expected), row) in answers.iter().zip(&expected).zip(&rows) {
        assert_eq!(answer["status"], expected["status"], "{row}: {answer}");
        let assert_contains = |field: &str, found: &Value| {
            let wanted = expected[field].as_str();
            assert!(
                wanted.is_none_or(|wanted| found.as_str().is_some_and(|text| text.contains(wanted))),
                "{row}: {answer}"
            );
        };
        assert_contains("reason", &answer["reason"]);
        assert_contains("pointer", &answer["problem"]["errors"][0]["pointer"]);
    }
    let shown = displays(&yima, ["dead", "partial", "mistaken", "several"]);
    let colour = |id: &str| (shown[id]["colour"]["code"].as_str(), shown[id]["colour"]["reason"].as_str());
    let vaccination =
        |id: &str| (shown[id]["vaccination"]["doses"].as_u64(), shown[id]["vaccination"]["last_at"].as_str());
    assert_eq!(colour("dead"), (Some("none"), Some("deceased")));
    assert_eq!(colour("partial"), (Some("green"), Some("no_restriction")));
    assert_eq!(vaccination("partial"), (Some(2), Some("2021-05-01T00:00:00Z")));
    assert_eq!(vaccination("mistaken"), (Some(0), None), "an entry in error counts as never sent");
    assert_eq!(vaccination("several"), (Some(1), Some("2021-05-16T23:59:00Z")), "two reports of one day are one dose");
}

#[test]
fn a_date_starts_at_midnight_of_the_configured_offset() {
    let yima = Yima::start(Options::default().env("YIMA_WRITER__FHIR_DATE_OFFSET_MINUTES", 480));
    let dose = json!({
        "resourceType": "Immunization", "id": "i-1", "status": "completed", "patient": {"reference": "Patient/dated"},
        "vaccineCode": {"coding": [{"system": CVX, "code": "208"}]}, "occurrenceDateTime": "2021-05-16"
    });
    let answers = yima.push(&yima.agency_token("hospital-1"), FHIR, dose.to_string().as_bytes()).rows();
    assert_eq!(answers[0]["status"], "accepted", "{answers:?}");
    assert_eq!(displays(&yima, ["dated"])["dated"]["vaccination"]["last_at"], "2021-05-15T16:00:00Z");
}
