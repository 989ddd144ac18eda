//! Records of CSV.

use std::collections::{BTreeMap, BTreeSet};

use yima_schema::event::EventKind;

use super::csv::{COLUMNS, Place};
use super::events::complete;
use super::*;

/// The fields of an event of some kind: by object, as the decoder lists them beside an unknown field.
fn decoded_fields(kind: EventKind) -> impl Iterator<Item = (Place, String)> {
    let objects = [("", Place::Event), ("/subject", Place::Subject), ("/data", Place::Data)];
    objects.into_iter().flat_map(move |(pointer, place)| {
        let mut event = complete(kind);
        event.pointer_mut(pointer).unwrap()["?"] = json!(0);
        let Err(RowError::Rejected(problem)) = decode_event(&event).event else { panic!("{event}") };
        let detail = problem.errors[0].detail.clone();
        let names = detail.strip_prefix("unknown field; expected ").unwrap().split(", ").map(str::to_owned);
        names.map(move |name| (place, name)).collect::<Vec<_>>()
    })
}

#[test]
fn the_columns_are_the_fields_of_all_kinds() {
    let fields: BTreeSet<_> = EventKind::OF_AGENCIES.into_iter().flat_map(decoded_fields).collect();
    let objects = ["subject", "data"].map(|name| (Place::Event, name.to_owned()));
    let fields: Vec<_> = fields.into_iter().filter(|field| !objects.contains(field)).collect();
    let columns: BTreeSet<_> = COLUMNS.iter().map(|column| (column.place, column.name.to_owned())).collect();
    assert_eq!(columns.into_iter().collect::<Vec<_>>(), fields);
}

#[test]
fn the_numeric_columns_are_the_fields_that_are_numbers() {
    // By column: whether the decoder expects a whole number.
    let mut numbers = BTreeMap::new();
    for (kind, column) in
        EventKind::OF_AGENCIES.into_iter().flat_map(|kind| COLUMNS.iter().map(move |column| (kind, column)))
    {
        let object = match column.place {
            Place::Event => "",
            Place::Subject => "/subject",
            Place::Data => "/data",
        };
        let mut event = complete(kind);
        event.pointer_mut(object).unwrap()[column.name] = json!({});
        if let Err(RowError::Rejected(problem)) = decode_event(&event).event {
            let detail = &problem.errors[0].detail;
            *numbers.entry(column.name).or_insert(false) |= detail.contains("whole number");
        }
    }
    let columns: BTreeMap<_, _> = COLUMNS.iter().map(|column| (column.name, column.is_number)).collect();
    assert_eq!(columns, numbers);
}

#[test]
fn a_csv_record_is_the_equivalent_json_event() {
    let file = "\u{feff}id,kind,document_type,document_number,occurred_at,test,result,vaccine,dose\r\n\
        lab7-000123,test_result,cn_resident_id,610102199003070016,2026-09-21T07:30:00Z,nucleic_acid,negative,,\r\n\
        \r\n\
        \"v,1\",vaccination,cn_resident_id,610102199003070016,2026-09-21T07:30:00Z,,,208,two\r\n\
        t-2,test_result,cn_resident_id,610102199003070010,2026-09-21T07:30:00Z,antigen,fine,208,\r\n\
        ,,,,,,,,\r\n\
        t-3,test_result\r\n";
    let records = csv::records(&file.into()).unwrap();
    assert_eq!(records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 5, 7]);
    let mut rows = records.into_iter().map(|(_, record)| decode(record));
    let first = rows.next().unwrap();
    assert_eq!(first.id.as_deref(), Some("lab7-000123"));
    assert_eq!(
        first.event.unwrap().0.hash,
        decode_event(&test_result()).event.unwrap().0.hash,
        "the same event as in JSON"
    );
    let pointers: Vec<_> = rows.map(error_pointers).collect();
    assert_eq!(pointers, [vec!["/id", "/dose"], vec!["/document_number", "/result", "/vaccine"], vec![""]]);

    let header = |file: &str| -> Vec<String> {
        let problem = csv::records(&file.to_owned().into()).map(|_| ()).unwrap_err();
        problem.errors.into_iter().map(|error| error.pointer).collect()
    };
    assert_eq!(header("id,kind,document_type,document_number\n"), ["/occurred_at"]);
    assert_eq!(header("id,kind,document_type,document_number,occurred_at,id,colr\n"), ["/id", ""]);
    assert_eq!(header("").len(), 6);
    assert_eq!(header(&",".repeat(10_000_000)), [""], "a million unknown columns are one error");
}

#[test]
fn a_misplaced_quote_that_would_merge_two_rows_is_refused() {
    let rows = |why: [&str; 2]| {
        let row = |(n, why)| {
            format!("r-{n},retraction,cn_resident_id,61010219900307001{n},2026-09-21T07:30:00Z,t-{n},{why}\n")
        };
        let header = "id,kind,document_type,document_number,occurred_at,event_id,why\n".to_owned();
        csv::records(&(header + &(6..).zip(why).map(row).collect::<String>()).into())
    };
    assert_eq!(rows(["mixed up", "\"sent, twice\""]).unwrap().len(), 2);
    for why in [["\"mixed up", "\"sent twice\""], ["\"mixed up", "sent twice"], ["mixed up\"", "x"]] {
        let problem = rows(why).map(|_| ()).unwrap_err();
        assert_eq!(problem.kind, ProblemType::Malformed);
        assert!(problem.detail.starts_with("line 2: ") && !problem.detail.contains("mixed"), "{}", problem.detail);
    }
    // By its quotes this is one row, and the text of `why` may not contain another row.
    let mut one = rows(["\"mixed up", "twice\""]).unwrap();
    assert_eq!((one.len(), error_pointers(decode(one.remove(0).1))), (1, vec!["/why".to_owned()]));
}
