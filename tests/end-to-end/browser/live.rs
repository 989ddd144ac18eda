//! How the citizen's page comes to know that something changed: told by a stream, or by asking where there is none.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Person, Yima, until};
use yima_schema::time::HOUR;

use super::chromium::Window;
use super::{PHONE, assert_clean};

/// Displays that were asked for, each answered.
const ASKED: &str =
    "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/v1/display')).length";

/// A phone with a green code, and whose it is.
fn green(yima: &Yima) -> (Window, Person) {
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    let person = Person { document: phone.text("button[data-person='0'] small") };
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='green']");
    (phone, person)
}

/// Until so many are open.
fn wait_for_streams(yima: &Yima, open: u32) {
    let is_so = || yima.metric("live_displays_open", &[]) == f64::from(open);
    until(&format!("{open} streams"), Duration::from_secs(30), is_so);
}

fn turn_red(yima: &Yima, person: &Person) {
    let test = person.test("live-1", "positive", HOUR);
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &test), "accepted");
}

#[test]
fn a_change_is_told_without_a_question_and_said_once() {
    let yima = Yima::start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2));
    let (phone, person) = green(&yima);
    wait_for_streams(&yima, 1);
    phone.evaluate(
        "void (window.said = []), new MutationObserver(() => said.push(document.getElementById('announce').textContent))
            .observe(document.getElementById('announce'), { childList: true, characterData: true, subtree: true })",
    );
    // What was told keeps the page live, and is not said aloud.
    let as_of = phone.attribute("#as-of", "datetime");
    phone.see(&format!("#as-of[datetime]:not([datetime='{as_of}'])"));
    phone.see("#code[data-live='true']");
    turn_red(&yima, &person);
    phone.see("#colour[data-colour='red']");
    assert_eq!(phone.evaluate(ASKED), json!(1), "it asked once, when it was opened");
    let said = phone.evaluate("said");
    let said: Vec<String> = serde_json::from_value(said).expect("a list of texts");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&phone.text("#colour-word")) && said[0].contains(" · "), "{said:?}");
    assert_clean(&phone, &yima);

    // Nobody looks any more.
    phone.click("#sign-out");
    wait_for_streams(&yima, 0);
}

#[test]
fn without_a_stream_the_page_asks() {
    let yima = Yima::start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", 0));
    let (phone, person) = green(&yima);
    turn_red(&yima, &person);
    phone.see("#colour[data-colour='red']");
    phone.see("#code[data-live='true']");
    assert!(yima.metric("live_displays_refused_total", &["reason=\"full\""]) > 0.0);
    assert_ne!(phone.evaluate(ASKED), json!(1));
}

/// Puts what it says in the place of the page's `fetch`, which is `asks` there.
fn fetch_by(phone: &Window, body: &str) {
    phone.evaluate(&format!("void (window.asks = fetch, window.fetch = async (path, init) => {{ {body} }})"));
}

#[test]
fn a_history_is_of_this_version_and_of_this_person() {
    let yima = Yima::start(Options::default());
    let (phone, person) = green(&yima);
    wait_for_streams(&yima, 1);
    phone.click("#history summary");
    phone.see("#decisions li[data-state='in_force']");
    turn_red(&yima, &person);
    phone.see_xpath("//*[@id='decisions']/li[@data-state='in_force'][contains(., 'lab-7')]");

    // An answer on its way when somebody signs out belongs on no page.
    phone.click("#history summary");
    fetch_by(
        &phone,
        "const answer = await asks(path, init);
         if (path === '/v1/history') await new Promise((done) => window.release = done);
         return answer",
    );
    phone.click("#history summary");
    phone.until("typeof release === 'function'");
    phone.click("#sign-out");
    phone.see("#sign-in:not([hidden])");
    // By the page itself, since the list may just then be drawn again.
    phone.evaluate("document.querySelector(\"button[data-person='1']\").click()");
    phone.see("#colour[data-colour='yellow']");
    assert_eq!(phone.evaluate("(release(), new Promise((done) => setTimeout(done, 100)))"), json!(null));
    assert_eq!(phone.evaluate("document.querySelectorAll('#decisions li[data-state]').length"), json!(0));
}

#[test]
fn a_stream_that_tells_of_an_old_moment_is_left_for_another() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    // The first stream is of a node that has no news since a minute, and says so each second.
    fetch_by(
        &phone,
        "if (path !== '/v1/display/events' || window.stale) return asks(path, init);
         window.stale = new Date(Date.now() - 60_000).toISOString();
         const text = `event: unchanged\\ndata: {\"as_of\":\"${stale}\"}\\n\\n`;
         return new Response(new ReadableStream({ start: (stream) => {
             init.signal.addEventListener('abort', () => (clearInterval(timer), stream.error(init.signal.reason)));
             const timer = setInterval(() => stream.enqueue(new TextEncoder().encode(text)), 1_000);
         } }))",
    );
    phone.click("button[data-person='0']");
    wait_for_streams(&yima, 1);
    assert_eq!(phone.evaluate(&format!("[typeof stale, {ASKED} > 1]")), json!(["string", true]));
    phone.see("#code[data-live='true']");
}

#[test]
fn what_is_asked_beside_the_display_may_not_be_older() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    let person = Person { document: phone.text("button[data-person='0'] small") };
    fetch_by(
        &phone,
        "const answer = await asks(path, init);
         if (path === '/v1/display') window.shown ??= answer.headers.get('etag');
         window.floors = { ...window.floors, [path]: init.headers.get('if-none-match') };
         return answer",
    );
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='green']");
    phone.click("#history summary");
    phone.see("#decisions li[data-state='in_force']");
    phone.until("floors['/v1/history'] === shown && typeof shown === 'string'");
    turn_red(&yima, &person);
    phone.see("#colour[data-colour='red']");
    // The tag of the display that made it ask, which a stream may have told.
    phone.until("floors['/v1/code'] !== shown && /^\"[^\"]+\"$/.test(floors['/v1/code'])");
}
