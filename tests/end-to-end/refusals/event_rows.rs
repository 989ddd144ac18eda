//! Rows of events: rejected among accepted ones, sent again, conflicting, of another agency, or of no
//! interest; as NDJSON and as CSV.

use serde_json::{Value, json};
use yima_harness::{ago, new_person};
use yima_schema::time::{DAY, HOUR};

use crate::shared;

fn statuses(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["status"].as_str().unwrap_or_default()).collect()
}

#[test]
fn a_rejected_row_names_its_errors_and_blocks_no_other_row() {
    let yima = shared();
    let (lab, [one, two, three]) = (yima.agency_token("lab-7"), [(); 3].map(|()| new_person()));
    let mut misspelt = two.test("t-3", "negative", HOUR);
    misspelt["data"]["resultt"] = "x".into();
    let mut wrong = two.test("t-4", "fine", HOUR);
    wrong["subject"]["document_number"] = "110105199001010000".into();
    let rows = [
        one.test("t-1", "positive", HOUR).to_string(),
        "{\"id\":".to_owned(),
        String::new(),
        misspelt.to_string(),
        wrong.to_string(),
        "[]".to_owned(),
        two.test("t-5", "negative", HOUR).to_string(),
        "\u{feff}null".to_owned(),
        one.test("t-1", "positive", HOUR * 2).to_string(),
        three.test("t-6", "positive", HOUR).to_string(),
    ];
    let answers = yima.push(&lab, "application/x-ndjson", rows.join("\r\n").as_bytes()).rows();
    let numbers: Vec<_> = answers.iter().map(|answer| answer["row"].as_u64().unwrap_or_default()).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 6, 7, 8, 9, 10], "rows are numbered by line, and empty ones have no answer");
    let expected =
        ["accepted", "rejected", "rejected", "rejected", "rejected", "accepted", "rejected", "rejected", "accepted"];
    assert_eq!(statuses(&answers), expected, "{answers:?}");
    let pointers = |row: usize| -> Vec<_> {
        let errors = answers[row]["problem"]["errors"].as_array();
        errors.into_iter().flatten().filter_map(|error| error["pointer"].as_str()).collect()
    };
    assert_eq!(answers[1]["problem"]["type"], "https://yima.dev/problems/malformed");
    assert_eq!((&answers[2]["id"], pointers(2)), (&json!("t-3"), vec!["/data/resultt"]));
    assert_eq!(pointers(3), ["/subject/document_number", "/data/result"], "every invalid field is named");
    assert_eq!(answers[7]["problem"]["type"], "https://yima.dev/problems/conflict", "the same id twice in one body");
    assert!(!answers[3].to_string().contains("110105199001010000"), "the sent value is repeated");
    for (person, colour) in [(one, "red"), (two, "green"), (three, "red")] {
        assert_eq!(yima.shown(&yima.session_of(&person)).0, colour);
    }
}

#[test]
fn an_event_sent_again_is_a_duplicate() {
    let yima = shared();
    let (lab, person) = (yima.agency_token("lab-7"), new_person());
    let events = [person.test("t-1", "negative", DAY), person.test("t-2", "positive", HOUR)];
    assert_eq!(statuses(&yima.rows(&lab, &events)), ["accepted", "accepted"]);
    let session = yima.session_of(&person);
    let before = yima.display(&session);
    assert_eq!(statuses(&yima.rows(&lab, &events)), ["duplicate", "duplicate"]);
    assert_eq!(yima.event(&lab, &events[0]), "duplicate");
    // The order of the fields and an explicit revision of 0 do not change the content.
    let text = events[1].to_string().replacen('{', "{ \"revision\": 0, ", 1);
    assert_eq!(yima.push(&lab, "application/json", text.as_bytes()).json(200)["status"], "duplicate");
    assert_eq!(yima.display(&session).body, before.body);
}

#[test]
fn different_content_under_the_same_id_and_revision_is_a_conflict() {
    let yima = shared();
    let (lab, person) = (yima.agency_token("lab-7"), new_person());
    let session = yima.session_of(&person);
    yima.event(&lab, &person.test("t-1", "positive", HOUR));
    let other = person.test("t-1", "negative", HOUR);
    let single = yima.push(&lab, "application/json", other.to_string().as_bytes());
    assert_eq!(single.json(409)["type"], "https://yima.dev/problems/conflict");
    assert_eq!(single.header("content-type"), "application/problem+json");
    let rows = yima.rows(&lab, &[other.clone(), person.test("t-2", "negative", HOUR * 2)]);
    assert_eq!(statuses(&rows), ["rejected", "accepted"]);
    assert_eq!((&rows[0]["problem"]["status"], &rows[0]["id"]), (&json!(409), &json!("t-1")));
    assert_eq!(yima.shown(&session).0, "red");
    // Each agency has its own ids.
    assert_eq!(yima.event(&yima.agency_token("lab-8"), &other), "accepted");
}

#[test]
fn an_event_in_another_agencys_name_is_refused() {
    let yima = shared();
    let (lab, person) = (yima.agency_token("lab-7"), new_person());
    let mut event = person.test("t-1", "positive", HOUR);
    event["agency"] = "lab-8".into();
    let refused = yima.push(&lab, "application/json", event.to_string().as_bytes()).json(403);
    assert_eq!(refused["errors"][0]["pointer"], "/agency");
    assert_eq!(statuses(&yima.rows(&lab, &[event.clone()])), ["rejected"]);
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "none");
    event["agency"] = "lab-7".into();
    assert_eq!(yima.event(&lab, &event), "accepted");

    let mut local = event;
    local["subject"] = json!({ "document_type": "local", "document_number": "lab-8/42" });
    let refused = yima.push(&lab, "application/json", local.to_string().as_bytes()).json(400);
    assert_eq!(refused["errors"][0]["pointer"], "/subject/document_number");
}

#[test]
fn vaccines_against_other_diseases_are_ignored() {
    let yima = shared();
    let (clinic, person) = (yima.agency_token("clinic-3"), new_person());
    let dose = |id: &str, vaccine: &str, days: u32| {
        person.event(id, "vaccination", &ago(DAY * days), json!({ "vaccine": vaccine, "dose": 1 }))
    };
    let influenza = yima.push(&clinic, "application/json", dose("v-1", "140", 9).to_string().as_bytes()).json(200);
    assert_eq!(influenza["status"], "ignored");
    assert!(influenza["reason"].as_str().is_some_and(|why| why.contains("COVID-19")));
    let rows = yima.rows(&clinic, &[dose("v-2", "140", 8), dose("v-3", "208", 7)]);
    assert_eq!(statuses(&rows), ["ignored", "accepted"]);
    let body = yima.display(&yima.session_of(&person)).json(200);
    assert_eq!((&body["vaccination"]["doses"], &body["vaccination"]["complete"]), (&json!(1), &json!(false)));
}

#[test]
fn csv_rows_are_rejected_one_by_one_and_an_invalid_header_as_a_whole() {
    let yima = shared();
    let (lab, [one, two]) = (yima.agency_token("lab-7"), [(); 2].map(|()| new_person()));
    let row = |id: &str, person: &yima_harness::Person, result: &str| {
        format!("{id},test_result,cn_resident_id,{},{},nucleic_acid,{result},,\r\n", person.document, ago(HOUR))
    };
    let header = "id,kind,document_type,document_number,occurred_at,test,result,colour,reason\r\n";
    let file = [
        header.to_owned(),
        row("csv-1", &one, "positive"),
        row("csv-2", &two, "fine"),
        ",,,,,,,,\r\n".to_owned(),
        row("csv-3", &two, "negative"),
        format!("csv-4,colour_assignment,cn_resident_id,{},{},,,yellow,close_contact", two.document, ago(HOUR)),
    ]
    .concat();
    let answers = yima.push(&lab, "text/csv; charset=utf-8", file.as_bytes()).rows();
    assert_eq!(statuses(&answers), ["accepted", "rejected", "accepted", "accepted"], "{answers:?}");
    let numbers: Vec<_> = answers.iter().map(|answer| answer["row"].as_u64().unwrap_or_default()).collect();
    assert_eq!(numbers, [2, 3, 5, 6], "rows are numbered by line");
    assert_eq!(answers[1]["problem"]["errors"][0]["pointer"], "/result", "the column is named");
    assert_eq!(yima.shown(&yima.session_of(&one)).0, "red");
    assert_eq!(yima.shown(&yima.session_of(&two)).0, "yellow");
    // Sent again, the row is the same event.
    assert_eq!(statuses(&yima.push(&lab, "text/csv", file.as_bytes()).rows())[0], "duplicate");

    let problem = yima.push(&lab, "text/csv", b"id,kind,who\r\n1,2,3\r\n").json(400);
    let pointers: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, ["", "/document_type", "/document_number", "/occurred_at"]);
    assert_eq!(yima.push(&lab, "text/csv", header.as_bytes()).json(400)["type"], "https://yima.dev/problems/malformed");
}
