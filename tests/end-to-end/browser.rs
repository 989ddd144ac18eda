//! The pages in a real browser, against a running yima: what citizen, guard and agency see and what the browser keeps.

mod accessibility;
mod agency;
mod camera;
mod camera_video;
mod engine;
mod flows;
mod foreign;
mod guidance;
mod hand_scanner;
mod keycloak;
mod language;
mod layout;
mod levels;
mod line;
mod live_display;
mod offline_bundles;
mod offline_checkpoint;
mod operator;
mod page_performance;
mod paper;
mod phone_codes;
mod reasons;
mod refused_bundles;
mod shell;
mod sign_in;
mod storage;
mod upload;
mod wards;
pub(crate) mod window;
mod workbook;

use std::io::Write;
use std::time::Instant;

use serde_json::json;
use yima_harness::{Options, Person, Yima};
use yima_schema::time::HOUR;

use window::{Screen, Window};

const PHONE: Screen = Screen { width: 390, height: 844, phone: true };
const SMALL_PHONE: Screen = Screen { width: 320, height: 640, phone: true };
const DESK: Screen = Screen { width: 1280, height: 800, phone: false };

const ENTER: &str = "\u{e007}";

/// A citizen's phone, signed in as this demo person: 0 is green, 1 yellow, 2 red.
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

/// The demo people: 0 is green, 1 yellow, 2 red.
fn demo_people(yima: &Yima) -> [Person; 3] {
    let people = yima.http().get(&format!("{}/demo/people", yima.read_url()), "").json(200);
    let number = |n: usize| people["people"][n]["document_number"].as_str().expect("a document number").to_owned();
    [0, 1, 2].map(|n| Person { document: number(n) })
}

/// A code of each demo person.
fn demo_codes(yima: &Yima) -> [String; 3] {
    demo_people(yima).map(|person| yima.code(&yima.session_of(&person)))
}

fn scan(desk: &Window, code: &str) {
    desk.type_into("#code-input", &format!("{code}{ENTER}"));
}

/// The console has no entries, the page requested plain paths of its own origin only, and stored no cookie and
/// nothing in `localStorage`.
#[track_caller]
fn assert_clean(window: &Window, yima: &Yima) {
    assert_eq!(window.console(), Vec::<serde_json::Value>::new());
    let origin = yima.read_url();
    let requested =
        window.evaluate("[location.href, ...performance.getEntriesByType('resource').map(entry => entry.name)]");
    let requested: Vec<String> = serde_json::from_value(requested).expect("a list of texts");
    assert!(requested.len() > 4, "page, script, style, sign-in and data: {requested:?}");
    for url in requested {
        let path = url.strip_prefix(&origin).unwrap_or_else(|| panic!("a request to another origin: {url}"));
        let path = path.split_once("?v=").map_or(path, |(file, digest)| if is_digest(digest) { file } else { path });
        assert!(!path.contains(['?', '#']), "a URL with a query or fragment: {url}");
    }
    assert_eq!(window.evaluate("[document.cookie, localStorage.length]"), json!(["", 0]));
}

/// The start of a SHA-256, by which a page names the content of a file of its own.
fn is_digest(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The browser stores nothing about a person after signing out. The page's language is none of that, nor are the static
/// files of the page that its service worker keeps: no other request is in a cache, and none with a token. Nor is the
/// checkpoint's offline bundle: `offline_checkpoint.rs` looks into it.
#[track_caller]
fn assert_storage_empty(window: &Window) {
    // The keys of a phone are removed after the page says so.
    window.until("indexedDB.databases().then((all) => all.every(({ name }) => name === 'yima.offline'))");
    let storage = "(async () => {
        const kept = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
        const isStatic = ({ url, headers }) => [...headers].length === 0 &&
            /^\\/(|checkpoint|offline\\.html|favicon\\.svg|assets\\/[-\\w.]+)$/.test(url.slice(location.origin.length));
        const more = kept.flat().filter((request) => !isStatic(request)).map(({ url }) => url);
        const keys = Object.keys(sessionStorage).filter(key => key !== 'yima.lang');
        return [more, { ...localStorage }, keys, document.cookie];
    })()";
    assert_eq!(window.evaluate(storage), json!([[], {}, [], ""]));
}

#[test]
fn a_positive_test_turns_the_phone_red_without_a_reload_and_the_checkpoint_says_stop() {
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
    // Written past the test runner's capture: a figure to read, not a bound.
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
    // A picture of the earlier, green code gets the same verdict.
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
fn a_guard_looks_up_a_document_number() {
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
    // The field is empty, and the focus is where the next scan belongs.
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
    // Document lookups have a rate limit of their own, apart from codes.
    for _ in 0..10 {
        look_up(&number);
    }
    desk.see_xpath("//*[@id='verdict'][@data-reason='often'][contains(., 'codes can be scanned')]");
    desk.see("#countdown:not(:empty)");
    scan(&desk, "no health code");
    desk.see("#verdict[data-verdict='check'][data-reason='malformed']");
    // A hidden page clears the person, so that the next user of the screen does not see their data.
    desk.evaluate(
        "(Object.defineProperty(document, 'hidden', { value: true }),
            document.dispatchEvent(new Event('visibilitychange')))",
    );
    desk.see("#verdict[data-verdict='idle'][data-reason='']");
    let expected = |entry: &serde_json::Value| {
        ["400 (Bad Request)", "429 (Too Many"].iter().any(|status| entry.to_string().contains(status))
    };
    assert_eq!(desk.console().iter().filter(|entry| !expected(entry)).count(), 0);
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

/// The page fits the width of the screen, and nothing of its bar is left of it, where nobody can scroll. On a phone a
/// page that is too wide makes `innerWidth` larger, too.
#[track_caller]
fn assert_fits(window: &Window) {
    let widths = window.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
    let left = window.evaluate(
        "Math.min(...[...document.querySelectorAll('.bar > *')].map((one) => one.getBoundingClientRect().left))",
    );
    assert!(left.as_f64().is_some_and(|left| left >= 0.0), "{left}");
}

#[test]
fn a_phone_without_the_service_shows_a_banner_and_removes_its_expired_code() {
    let mut yima = Yima::start(Options::default().env("YIMA_READ_API__CODE_LIFETIME_S", 20));
    let phone = phone(&yima, PHONE, 0);
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current']");
    phone.see("#colour[data-colour='green']");
    phone.see("#code[data-live='true']");
    let (code, name) = (code(&phone), phone.text("#name"));
    assert_clean(&phone, &yima);

    yima.kill9();
    scan(&desk, &code);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    desk.see("#offline:not([hidden])");
    phone.see("#banner:not([hidden])");
    phone.see("#code[data-live='false']");
    let light = "getComputedStyle(document.querySelector('#code .light')).animationPlayState";
    assert_eq!(phone.evaluate(light), json!("paused"), "an animation makes the page look live");
    assert_eq!(phone.text("#name"), name, "the last display stays");
    phone.picture("citizen-offline");
    phone.see("#code:not([data-code]) #qr:empty");
    phone.see("#code-note:not([hidden])");
    phone.picture("citizen-expired");
    phone.assert_accessible();
}
