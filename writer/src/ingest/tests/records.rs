//! Records of CSV.

use super::*;

#[test]
fn a_csv_record_is_the_event_that_it_stands_for() {
    let file = "\u{feff}id,kind,document_type,document_number,occurred_at,test,result,vaccine,dose\r\n\
        lab7-000123,test_result,cn_resident_id,610102199003070016,2026-09-21T07:30:00Z,nucleic_acid,negative,,\r\n\
        \r\n\
        \"v,1\",vaccination,cn_resident_id,610102199003070016,2026-09-21T07:30:00Z,,,208,two\r\n\
        t-2,test_result,cn_resident_id,610102199003070010,2026-09-21T07:30:00Z,antigen,fine,208,\r\n\
        ,,,,,,,,\r\n\
        t-3,test_result\r\n";
    let records = csv::records(&file.into()).unwrap();
    assert_eq!(records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 5, 7]);
    let mut rows = records.into_iter().map(|(_, record)| read(record));
    let first = rows.next().unwrap();
    assert_eq!(first.id.as_deref(), Some("lab7-000123"));
    assert_eq!(first.event.unwrap().hash, read_event(&test_result()).event.unwrap().hash, "the same event as in JSON");
    let pointers: Vec<_> = rows.map(faults).collect();
    assert_eq!(pointers, [vec!["/id", "/dose"], vec!["/document_number", "/result", "/vaccine"], vec![""]]);

    let header = |file: &str| -> Vec<String> {
        let problem = csv::records(&file.to_owned().into()).map(|_| ()).unwrap_err();
        problem.errors.into_iter().map(|error| error.pointer).collect()
    };
    assert_eq!(header("id,kind,document_type,document_number\n"), ["/occurred_at"]);
    assert_eq!(header("id,kind,document_type,document_number,occurred_at,id,colr\n"), ["/id", ""]);
    assert_eq!(header("").len(), 6);
    assert_eq!(header(&",".repeat(10_000_000)), [""], "a column that nobody knows is not told a million times");
}

#[test]
fn a_quote_out_of_place_makes_one_row_of_two_and_nothing_is_taken() {
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
    // By its quotes this is one row, and no text that somebody wrote has another row in it.
    let mut one = rows(["\"mixed up", "twice\""]).unwrap();
    assert_eq!((one.len(), faults(read(one.remove(0).1))), (1, vec!["/why".to_owned()]));
}
