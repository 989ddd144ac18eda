//! The citizen's page where the browser's storage is full, or ends with its window.

use std::time::Duration;

use yima_harness::{Options, Yima, now, until};
use yima_schema::time::HOUR;

use super::phone_codes::{STATE, keep, phone_with_keys, phones_of};
use super::shell::wait_until_kept;
use super::window::Window;
use super::{PHONE, code, demo_people};
use crate::offline_bundle::{Bundle, issuers, read};

/// The browser's storage is full, until the page is loaded again.
fn fill_storage(phone: &Window) {
    let full = "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }";
    phone.evaluate(&format!("void ({full})"));
}

#[test]
fn a_disk_that_is_full_at_a_renewal_is_named_and_never_brings_a_better_colour_back() {
    let mut yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1));
    let [person, ..] = demo_people(&yima);
    let (lab, issuers) = (yima.agency_token("lab-7"), issuers(&yima));
    let phone = phone_with_keys(&yima, 0);
    wait_until_kept(&phone);
    let first = code(&phone);
    let first_says = read(&first, &issuers);
    fill_storage(&phone);
    // Another version of the display: the tokens are renewed, and cannot be kept.
    assert_eq!(yima.event(&lab, &person.test("full-1", "negative", HOUR)), "accepted");
    phone.see_xpath(&STATE.replace("{}", "storage is full"));
    phone.see(&format!("#code[data-code]:not([data-code='{first}'])"));
    phone.assert_accessible();
    phone.picture("citizen-storage-full");
    // The page opened anew has the tokens of before, which are good still.
    yima.kill9();
    phone.reload();
    read(&code(&phone), &issuers);

    // A worse colour: what the browser keeps would show the better one.
    yima.start_again();
    fill_storage(&phone);
    assert_eq!(yima.event(&lab, &person.test("full-2", "positive", HOUR / 2)), "accepted");
    phone.see("#colour[data-colour='red']");
    phone.see_xpath(&STATE.replace("{}", "could not keep a key"));
    let session = yima.session_of(&person);
    until("the end of the phone", Duration::from_secs(30), || phones_of(&yima, &session) == 0);
    phone.until("indexedDB.databases().then((all) => all.length === 0)");
    assert_eq!(yima.scan(&yima.checkpoint_session(), &code(&phone))["reason"], "red");
    assert!(Bundle::of_after(&yima, now()).denies(&first_says));
    yima.kill9();
    phone.reload();
    phone.see_xpath("//*[@id='code-note'][contains(., 'No connection')]");
    phone.see("body:not([data-colour])");
}

#[test]
fn a_private_window_keeps_a_phone_until_it_is_closed() {
    let yima = Yima::start(Options::default());
    let phone = Window::open_with(PHONE, &yima.read_url(), &["--incognito".to_owned()]);
    phone.click("button[data-person='0']");
    code(&phone);
    keep(&phone);
    phone.reload();
    phone.see("#next-code:not([hidden])");
    assert_eq!(yima.scan(&yima.checkpoint_session(), &code(&phone))["reason"], "green");
}
