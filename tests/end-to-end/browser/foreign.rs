//! The checkpoint's page with codes of other systems.

use serde_json::json;
use yima_harness::Yima;

use super::{checkpoint, scan};
use crate::foreign_codes::Vectors;

#[test]
fn a_foreign_code_shows_what_it_proves_and_no_colour_of_ours() {
    let vectors = Vectors::read();
    let (options, _) = vectors.options(&vectors.trust_list());
    let yima = Yima::start(options.unlimited());
    let desk = checkpoint(&yima);
    let background = || desk.evaluate("getComputedStyle(document.querySelector('.say')).backgroundColor");
    for (name, shown) in [
        ("EU: vaccination", ["GABRIELE MUSTERFRAU GOESSINGER", "1998-02-26", "Dose 2/2 · Comirnaty"]),
        ("SMART: two doses", ["John B. Anyperson", "1951-01-20", "Example cards"]),
    ] {
        scan(&desk, vectors.code(name));
        desk.see("#verdict[data-verdict='pass'][data-reason='foreign_accepted'][data-foreign]");
        let person = desk.text("#person");
        assert!(shown.iter().all(|part| person.contains(part)), "{person}");
        assert!(
            !person.contains("Last test") && desk.evaluate("document.querySelector('.chip')").is_null(),
            "{person}"
        );
        assert_eq!(background(), json!("rgb(29, 79, 145)"), "not the green of a pass");
        desk.assert_accessible();
        desk.picture(&format!("foreign-{}", &name[..2]));
    }

    scan(&desk, vectors.code("EU: unknown issuer"));
    desk.see("#verdict[data-verdict='check'][data-sign='foreign'][data-reason='foreign_issuer_unknown']");
    assert_eq!((desk.text("#verdict-word"), desk.text("#person")), ("FOREIGN".to_owned(), String::new()));
    assert_eq!(background(), json!("rgb(238, 244, 253)"), "not our yellow");
    desk.click("#lang");
    assert_eq!(desk.text("#verdict-word"), "境外码");
    assert_eq!(desk.text("#instruction"), "境外码，签发机构未知。\n请核对证件。");
    desk.assert_accessible();
    desk.picture("foreign-unknown");

    // A hand scanner that types no Enter: the code ends with the typing.
    desk.type_into("#code-input", vectors.code("EU: first of two doses"));
    desk.see("#verdict[data-verdict='check'][data-sign='foreign'][data-reason='foreign_incomplete'][data-foreign]");
    assert!(desk.text("#person").contains("第 1/2 剂 · Comirnaty"));
    desk.assert_accessible();
    super::assert_clean(&desk, &yima);
}
