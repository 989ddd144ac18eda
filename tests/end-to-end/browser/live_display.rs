//! How the citizen's page learns of a change: by its live display (server-sent events), or by polling without one.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Person, Yima, until};
use yima_schema::time::HOUR;

use super::window::Window;
use super::{PHONE, assert_clean};

/// Number of displays that the page has requested.
const DISPLAY_REQUESTS: &str =
    "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/v1/display')).length";

/// A phone with a green code, and its person.
fn green(yima: &Yima) -> (Window, Person) {
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    let person = Person { document: phone.text("button[data-person='0'] small") };
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='green']");
    (phone, person)
}

/// Waits until this number of live displays is open.
fn wait_for_live_displays(yima: &Yima, open: u32) {
    let are_open = || yima.metric("live_displays_open", &[]) == f64::from(open);
    until(&format!("{open} open live displays"), Duration::from_secs(30), are_open);
}

fn turn_red(yima: &Yima, person: &Person) {
    let test = person.test("live-1", "positive", HOUR);
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &test), "accepted");
}

#[test]
fn a_change_arrives_by_the_live_display_and_is_announced_once() {
    let options = Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2);
    let yima = Yima::start(options.env("YIMA_READ_API__LIVE_DISPLAYS__REPORT_EVERY_MS", 2_000));
    let (phone, person) = green(&yima);
    wait_for_live_displays(&yima, 1);
    phone.evaluate(
        "void (window.said = []), new MutationObserver(() => said.push(document.getElementById('announce').textContent))
            .observe(document.getElementById('announce'), { childList: true, characterData: true, subtree: true })",
    );
    // A report without a change keeps the page live and is not announced.
    let as_of = phone.attribute("#as-of", "datetime");
    phone.see(&format!("#as-of[datetime]:not([datetime='{as_of}'])"));
    phone.see("#code[data-live='true']");
    turn_red(&yima, &person);
    phone.see("#colour[data-colour='red']");
    assert_eq!(phone.evaluate(DISPLAY_REQUESTS), json!(1), "a request other than the first one at sign-in");
    let announced = phone.evaluate("said");
    let announced: Vec<String> = serde_json::from_value(announced).expect("a list of texts");
    assert_eq!(announced.len(), 1, "{announced:?}");
    assert!(announced[0].contains(&phone.text("#colour-word")) && announced[0].contains(" · "), "{announced:?}");
    assert_clean(&phone, &yima);

    phone.click("#sign-out");
    wait_for_live_displays(&yima, 0);
}

#[test]
fn a_page_without_a_live_display_polls() {
    let yima = Yima::start(Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_OPEN", 0));
    let (phone, person) = green(&yima);
    turn_red(&yima, &person);
    phone.see("#colour[data-colour='red']");
    phone.see("#code[data-live='true']");
    assert!(yima.metric("live_displays_refused_total", &["reason=\"full\""]) > 0.0);
    assert_ne!(phone.evaluate(DISPLAY_REQUESTS), json!(1));
}

/// Replaces the page's `fetch` by a function with this body, which calls the original as `asks`.
pub(super) fn replace_fetch(phone: &Window, body: &str) {
    phone.evaluate(&format!("void (window.asks = fetch, window.fetch = async (path, init) => {{ {body} }})"));
}

#[test]
fn a_live_display_that_has_reached_its_age_is_opened_again_without_a_poll() {
    let options = Options::default().env("YIMA_READ_API__LIVE_DISPLAYS__MAX_BUSY", 2);
    let yima = Yima::start(options.env("YIMA_READ_API__LIVE_DISPLAYS__MAX_AGE_S", 1));
    let (phone, _) = green(&yima);
    phone.until(
        "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/v1/display/events')).length > 1",
    );
    phone.see("#code[data-live='true']");
    assert_eq!(phone.evaluate(DISPLAY_REQUESTS), json!(1), "a request other than the first one at sign-in");
}

#[test]
fn a_history_follows_the_displayed_version_and_never_shows_another_persons() {
    let yima = Yima::start(Options::default());
    let (phone, person) = green(&yima);
    wait_for_live_displays(&yima, 1);
    phone.click("#history summary");
    phone.see("#decisions li[data-state='in_force']");
    turn_red(&yima, &person);
    phone.see_xpath("//*[@id='decisions']/li[@data-state='in_force'][contains(., 'lab-7')]");

    // An answer under way at sign-out is shown on no page.
    phone.click("#history summary");
    replace_fetch(
        &phone,
        "const answer = await asks(path, init);
         if (path === '/v1/history') await new Promise((done) => window.release = done);
         return answer",
    );
    phone.click("#history summary");
    phone.until("typeof release === 'function'");
    phone.click("#sign-out");
    phone.see("#sign-in:not([hidden])");
    // Clicked within the page, since the list may be redrawn at this moment.
    phone.evaluate("document.querySelector(\"button[data-person='1']\").click()");
    phone.see("#colour[data-colour='yellow']");
    assert_eq!(phone.evaluate("(release(), new Promise((done) => setTimeout(done, 100)))"), json!(null));
    assert_eq!(phone.evaluate("document.querySelectorAll('#decisions li[data-state]').length"), json!(0));
}

#[test]
fn a_live_display_that_stays_behind_is_replaced_by_another() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    // The first live display is of a node that last followed the feed a minute ago, and reports this each second.
    replace_fetch(
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
    wait_for_live_displays(&yima, 1);
    assert_eq!(phone.evaluate(&format!("[typeof stale, {DISPLAY_REQUESTS} > 1]")), json!(["string", true]));
    phone.see("#code[data-live='true']");
}

#[test]
fn requests_beside_the_display_carry_its_tag_as_their_floor() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    let person = Person { document: phone.text("button[data-person='0'] small") };
    replace_fetch(
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
    // The tag of the display that caused the request; it may have come by the live display.
    phone.until("floors['/v1/code'] !== shown && /^\"[^\"]+\"$/.test(floors['/v1/code'])");
}
