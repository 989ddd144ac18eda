//! The pages in a real browser, against a real yima: what a citizen, a guard and an agency see, and what they do not.

mod access;
mod agency;
mod camera;
pub(crate) mod chromium;
mod film;
mod live;
mod measure;
mod sign_in;
mod upload;

use std::io::Write;
use std::time::Instant;

use serde_json::json;
use yima_harness::{Options, Person, Yima};
use yima_schema::time::HOUR;

use chromium::{Screen, Window};

const PHONE: Screen = Screen { width: 390, height: 844, phone: true };
const SMALL_PHONE: Screen = Screen { width: 320, height: 640, phone: true };
const DESK: Screen = Screen { width: 1280, height: 800, phone: false };

const ENTER: &str = "\u{e007}";

/// A citizen's phone, signed in as that demo person: 0 is green, 1 yellow, 2 red.
fn phone(yima: &Yima, screen: Screen, person: u32) -> Window {
    let phone = Window::open(screen, &yima.read_url());
    phone.click(&format!("button[data-person='{person}']"));
    phone
}

/// A checkpoint's screen, signed in.
fn checkpoint(yima: &Yima) -> Window {
    let desk = Window::open(DESK, &format!("{}/checkpoint", yima.read_url()));
    desk.see("#demo-guard");
    desk.assert_accessible();
    desk.click("#demo-guard");
    desk.see("#verdict[data-verdict='idle']");
    desk.assert_accessible();
    desk
}

fn code(phone: &Window) -> String {
    phone.attribute("#code[data-code^='YM1:']", "data-code")
}

fn scan(desk: &Window, code: &str) {
    desk.type_into("#code-input", &format!("{code}{ENTER}"));
}

/// Nothing went wrong out of sight, and the page left nothing behind where others could find it.
#[track_caller]
fn assert_clean(window: &Window, yima: &Yima) {
    assert_eq!(window.complaints(), Vec::<serde_json::Value>::new());
    let origin = yima.read_url();
    let asked =
        window.evaluate("[location.href, ...performance.getEntriesByType('resource').map(entry => entry.name)]");
    let asked: Vec<String> = serde_json::from_value(asked).expect("a list of texts");
    assert!(asked.len() > 4, "page, script, style, sign-in and data: {asked:?}");
    for url in asked {
        let path = url.strip_prefix(&origin).unwrap_or_else(|| panic!("asked elsewhere: {url}"));
        assert!(!path.contains(['?', '#']), "more than a path: {url}");
    }
    assert_eq!(window.evaluate("[document.cookie, localStorage.length]"), json!(["", 0]));
}

/// Once signed out there is nothing of anyone in the browser; the page's language says nothing about a person.
#[track_caller]
fn assert_nothing_kept(window: &Window) {
    let kept = "Promise.all([caches.keys(), indexedDB.databases()]).then(([caches, databases]) =>
        [caches, databases, { ...localStorage }, Object.keys(sessionStorage).filter(key => key !== 'yima.lang'), document.cookie])";
    assert_eq!(window.evaluate(kept), json!([[], [], {}, [], ""]));
}

#[test]
fn a_citizen_shows_a_code_and_a_guard_lets_them_through() {
    let yima = Yima::start(Options::default());
    let phone = phone(&yima, PHONE, 0);
    phone.see("#colour[data-colour='green']");
    phone.see("#as-of[datetime]");
    let time = phone.text("#clock-time");
    phone.see_xpath(&format!("//*[@id='clock-time'][.!='{time}']"));
    let code = code(&phone);
    phone.picture("citizen");
    phone.assert_accessible();

    let desk = checkpoint(&yima);
    scan(&desk, &code);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    desk.see("#code-input:focus:placeholder-shown");
    assert_eq!(desk.text("#person .who"), format!("{} {}", phone.text("#name"), phone.text("#document")));
    desk.picture("checkpoint");
    desk.assert_accessible();

    // As a scanner types it: into whatever has the focus.
    scan(&desk, "no health code");
    desk.see("#verdict[data-verdict='check'][data-reason='malformed']");
    assert_eq!(desk.text("#person"), "");
    desk.see("#code-input:focus:placeholder-shown");
    desk.assert_accessible();

    assert_clean(&phone, &yima);
    assert_clean(&desk, &yima);
}

#[test]
fn a_positive_test_turns_the_phone_red_by_itself_and_the_guard_stops_its_holder() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    let person = Person { document: phone.text("button[data-person='0'] small") };
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='green']");
    let green = code(&phone);

    let lab = yima.agency_token("lab-7");
    assert_eq!(yima.event(&lab, &person.test("browser-1", "positive", HOUR)), "accepted");
    let accepted = Instant::now();
    phone.see("#colour[data-colour='red']");
    // Past the test runner's capture: it is a figure to look at, not a bound.
    let _ = writeln!(std::io::stderr(), "accepted → red on the phone: {} ms", accepted.elapsed().as_millis());

    phone.click("#history summary");
    phone.see("#decisions li[data-state='in_force']");
    assert_eq!(
        phone.evaluate("[...document.querySelectorAll('#decisions li')].map(li => li.dataset.state).slice(0, 3)"),
        json!(["to_come", "in_force", "past"])
    );
    assert!(phone.text("#decisions li[data-state='in_force']").contains("lab-7"));
    phone.assert_accessible();

    let red = phone.attribute(&format!("#code[data-code]:not([data-code='{green}'])"), "data-code");
    let desk = checkpoint(&yima);
    scan(&desk, &red);
    desk.see("#verdict[data-verdict='stop'][data-reason='red']");
    // A picture of the green one does not help.
    scan(&desk, "no health code");
    desk.see("#verdict[data-reason='malformed']");
    scan(&desk, &green);
    desk.see("#verdict[data-verdict='stop'][data-reason='red']");
    desk.picture("checkpoint-stop");
    desk.assert_accessible();
    phone.picture("citizen-red");
    assert_clean(&phone, &yima);
    assert_clean(&desk, &yima);
}

#[test]
fn a_guard_looks_up_somebody_without_a_phone() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='2']");
    let number = phone.text("button[data-person='2'] small");
    let desk = checkpoint(&yima);
    desk.click("#no-code summary");
    let look_up = |number: &str| desk.type_into("#document-number", &format!("{number}{ENTER}"));
    look_up(&number);
    desk.see("#verdict[data-verdict='stop'][data-reason='red']");
    assert!(desk.text("#person .who").contains('*'), "masked");
    // The number is gone, and what a scanner types next does not land there.
    assert_eq!(
        desk.evaluate("[document.activeElement.id, document.getElementById('document-number').value]"),
        json!(["code-input", ""])
    );
    look_up("610102199003070010");
    desk.see("#verdict[data-verdict='unchecked'][data-reason='invalid']");
    assert_eq!(desk.text("#person"), "");
    look_up("11010519491231002X");
    desk.see("#verdict[data-verdict='check'][data-reason='not_registered']");
    desk.picture("checkpoint-document");
    desk.assert_accessible();
    // Their limit is not that of codes.
    for _ in 0..10 {
        look_up(&number);
    }
    desk.see_xpath("//*[@id='verdict'][@data-reason='often'][contains(., 'codes can be scanned')]");
    desk.see("#countdown:not(:empty)");
    scan(&desk, "no health code");
    desk.see("#verdict[data-verdict='check'][data-reason='malformed']");
    // Nobody finds them who takes the screen up later.
    desk.evaluate("(Object.defineProperty(document, 'hidden', { value: true }), document.dispatchEvent(new Event('visibilitychange')))");
    desk.see("#verdict[data-verdict='idle'][data-reason='']");
    let expected =
        |c: &serde_json::Value| ["400 (Bad Request)", "429 (Too Many"].iter().any(|s| c.to_string().contains(s));
    assert_eq!(desk.complaints().iter().filter(|c| !expected(c)).count(), 0);
}

#[test]
fn an_input_method_does_not_swallow_a_scanners_enter() {
    let yima = Yima::start(Options::default());
    let desk = checkpoint(&yima);
    let typed = |text: &str, key: &str| {
        desk.evaluate(&format!(
            "((input) => {{
                input.value = '{text}';
                input.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', isComposing: true }}));
                input.dispatchEvent(new CompositionEvent('compositionend'));
                return input.value;
            }})(document.getElementById('code-input'))"
        ))
    };
    // A space ends a composition too, in the midst of a code.
    assert_eq!(typed("ym1:0123456789abcdefgh", " "), json!("ym1:0123456789abcdefgh"));
    assert_eq!(typed("\u{ff39}m1:0123456789abcdefgh", "Enter"), json!(""));
    desk.see("#verdict[data-reason='malformed']");
}

#[test]
fn a_small_phone_shows_everything_in_both_languages() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(SMALL_PHONE, &yima.read_url());
    for person in ["0", "1"] {
        phone.see(&format!("button[data-person='{person}']"));
        assert_fits(&phone);
        phone.assert_accessible();
        phone.click(&format!("button[data-person='{person}']"));
        code(&phone);
        for (lang, words) in [("zh-Hans", ["绿码", "黄码"]), ("en", ["Green", "Yellow"])] {
            phone.click("#lang");
            phone.see(&format!("html[lang='{lang}']"));
            phone.see_xpath(&format!("//*[@id='colour-word'][.='{}' or .='{}']", words[0], words[1]));
            assert_fits(&phone);
        }
        phone.click("#sign-out");
    }
    assert_clean(&phone, &yima);
}

/// Nothing has to be scrolled for sideways.
#[track_caller]
fn assert_fits(window: &Window) {
    assert_eq!(window.evaluate("document.documentElement.scrollWidth <= innerWidth"), json!(true));
}

#[test]
fn without_the_service_a_phone_says_so_and_takes_its_code_away() {
    let mut yima = Yima::start(Options::default().env("YIMA_READ_API__CODE_LIFETIME_S", 20));
    let phone = phone(&yima, PHONE, 0);
    let desk = checkpoint(&yima);
    phone.see("#colour[data-colour='green']");
    phone.see("#code[data-live='true']");
    let (code, name) = (code(&phone), phone.text("#name"));
    assert_clean(&phone, &yima);

    yima.kill9();
    scan(&desk, &code);
    desk.see("#verdict[data-verdict='unchecked'][data-reason='offline']");
    desk.picture("checkpoint-offline");
    desk.assert_accessible();
    phone.see("#banner:not([hidden])");
    phone.see("#code[data-live='false']");
    let light = "getComputedStyle(document.querySelector('#code .light')).animationPlayState";
    assert_eq!(phone.evaluate(light), json!("paused"), "nothing moves that would look live");
    assert_eq!(phone.text("#name"), name, "what was shown last stays");
    phone.picture("citizen-offline");
    phone.see("#code:not([data-code]) #qr:empty");
    phone.see("#code-note:not([hidden])");
    phone.picture("citizen-expired");
    phone.assert_accessible();
}
