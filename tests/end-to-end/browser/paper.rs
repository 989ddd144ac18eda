//! A citizen prints a code on paper, which a gate scans, and revokes it by its number.

use serde_json::json;
use yima_harness::{Options, Yima};

use super::window::Window;
use super::{PHONE, phone};
use crate::papers::read_qr;

/// Prints in this layout; the browser's own dialog is left out.
fn print(phone: &Window, layout: &str) -> (String, String) {
    phone.evaluate("void (window.print = () => { window.printed = (window.printed ?? 0) + 1; })");
    phone.click(&format!("#paper-{layout}"));
    phone.until(&format!("window.printed && document.body.dataset.sheet === '{layout}'"));
    phone.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    let visible = "[...document.body.children].filter((element) => element.offsetParent).map(({ id }) => id)";
    assert_eq!(phone.evaluate(visible), json!(["sheet"]), "the sheet alone is printed");
    phone.picture(&format!("citizen-paper-{layout}"));
    let sheet = phone.evaluate("document.getElementById('sheet').innerHTML");
    let text = phone.text("#sheet");
    phone.devtools("Emulation.setEmulatedMedia", json!({ "media": "" }));
    phone.evaluate("void dispatchEvent(new Event('afterprint'))");
    assert_eq!(phone.evaluate("document.getElementById('sheet').innerHTML"), "", "nothing stays");
    (read_qr(sheet.as_str().expect("HTML")), text)
}

#[test]
fn a_citizen_prints_codes_that_a_gate_scans_and_revokes_one_by_its_number() {
    let yima = Yima::start(Options::default().unlimited());
    let guard = yima.checkpoint_session();
    let reason = |code: &str| yima.scan(&guard, code)["reason"].as_str().expect("a reason").to_owned();
    let phone = phone(&yima, PHONE, 0);
    phone.click("#paper summary");
    let ((page, on_page), (card, _)) = (print(&phone, "page"), print(&phone, "card"));
    assert!(page != card);
    assert_eq!([reason(&page), reason(&card)], ["paper_green", "paper_green"]);
    phone.assert_accessible();

    let number = on_page.split_once("No. ").expect("a number").1.lines().next().expect("a line");
    phone.type_into("#paper-number", "1234");
    phone.click("#paper-form button");
    phone.see_xpath("//*[@id='paper-note'][contains(., '16 digits')]");
    phone.evaluate("void (document.getElementById('paper-number').value = '')");
    phone.type_into("#paper-number", &number.to_uppercase());
    phone.click("#paper-form button");
    phone.see_xpath("//*[@id='paper-note'][contains(., 'It is revoked')]");
    assert_eq!([reason(&page), reason(&card)], ["paper_ended", "paper_green"]);
}
