//! A phone that keeps keys shows its code without the service: after its end, a reload, a day, with a wrong clock. What
//! it keeps cannot be read out. Phones are ended, people share one, and a browser that keeps nothing needs the network.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use yima_harness::{Options, Yima, now, until};
use yima_schema::code::{Claims, CodeError, IssuerKeys, verify};
use yima_schema::event::Colour;
use yima_schema::time::DAY;

use super::layout::{on_screen, resize};
use super::shell::wait_until_kept;
use super::window::Window;
use super::{PHONE, assert_clean, assert_fits, assert_storage_empty, code, demo_people, phone};
use crate::offline_bundle::issuers;

const MINUTE: Duration = Duration::from_secs(60);

/// What the page says about this phone.
pub(super) const STATE: &str = "//*[@id='phone-state'][contains(., '{}')]";

/// A citizen's phone with keys of its own.
pub(super) fn phone_with_keys(yima: &Yima, person: u32) -> Window {
    let phone = phone(yima, PHONE, person);
    keep(&phone);
    phone
}

/// Keeps the person on the screen on this phone, and waits for a code of its own.
pub(super) fn keep(phone: &Window) {
    phone.click("#keep");
    phone.see("#next-code:not([hidden])");
}

/// The next code, by the clock that the page's script sees: `skew` ms ahead.
fn code_at(phone: &Window, skew: i64) -> String {
    let before = code(phone);
    phone.evaluate(&format!("void (window.skew = {skew})"));
    phone.attribute(&format!("#code[data-code]:not([data-code='{before}'])"), "data-code")
}

/// A window whose clock is `skew` ms ahead from the page's first script on; `window.skew` changes it.
fn open_with_clock(skew: i64) -> Window {
    let phone = Window::open(PHONE, "about:blank");
    let source = format!("(() => {{ const real = Date.now; Date.now = () => real() + (window.skew ?? {skew}); }})()");
    phone.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source }));
    phone
}

/// Ids of the person's phones, as the service knows them.
pub(super) fn phones_of(yima: &Yima, session: &str) -> usize {
    let answer = yima.http().get(&format!("{}/v1/phones", yima.read_url()), session).json(200);
    answer["phones"].as_array().expect("a list").len()
}

/// A code from before is refused by its age, by a scanner without a network.
fn refusal(code: &str, issuers: &IssuerKeys, later: Duration) -> Option<CodeError> {
    verify(code, issuers, now().plus(later)).err()
}

/// The colour that a scanner without a network reads so much later from a code of that moment.
fn colour(code: &str, issuers: &IssuerKeys, later: Duration) -> Colour {
    let then = now().plus(later);
    let Claims { validity, snapshot, .. } = verify(code, issuers, then).expect("accepted");
    snapshot.expect("a snapshot").colour_at(&validity, then)
}

/// The page's storage: whether each key can be read out, and everything else as one text.
fn stored(phone: &Window) -> (Vec<bool>, String) {
    let stored = phone.evaluate(
        "(async () => {
            const done = (request) => new Promise((resolve) => request.onsuccess = () => resolve(request.result));
            const database = await done(indexedDB.open('yima.citizen'));
            const entries = await done(database.transaction('people').objectStore('people').getAll());
            database.close();
            const keys = [], rest = [JSON.stringify({ ...sessionStorage, ...localStorage })];
            const walk = (value) => {
                if (value instanceof CryptoKey) keys.push(value.extractable);
                else if (value instanceof ArrayBuffer) rest.push(new TextDecoder('latin1').decode(value));
                else if (typeof value === 'object') Object.values(value).forEach(walk);
                else rest.push(String(value));
            };
            walk(entries);
            return [keys, rest.join(' ')];
        })()",
    );
    serde_json::from_value(stored).expect("a list and a text")
}

#[test]
fn a_code_rotates_without_the_service_and_is_accepted_by_scanners_with_and_without_a_network() {
    let mut yima = Yima::start(Options::default().unlimited());
    let (guard, issuers) = (yima.checkpoint_session(), issuers(&yima));
    let reason = |yima: &Yima, code: &str| yima.scan(&guard, code)["reason"].as_str().expect("a reason").to_owned();
    let phone = phone(&yima, PHONE, 0);
    code(&phone);
    let session = phone.evaluate("sessionStorage.getItem('yima.session.citizen')");
    let requests = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/v1/code')).length";
    let bare = phone.evaluate(requests);
    keep(&phone);
    phone.see_xpath(&STATE.replace("{}", "without a network until"));
    phone.assert_accessible();
    phone.picture("citizen-own-code");
    let online = code(&phone);
    assert_eq!(reason(&yima, &online), "green");

    // The token, which begins after a head of 3 or 4 bytes, is nowhere to be read, nor are its keys and the session.
    let (keys, rest) = stored(&phone);
    assert!(keys.len() == 11 && !keys.contains(&true), "a key to seal by, two of each of five tokens: {keys:?}");
    let bytes = base45::decode(&online[4..]).expect("Base45");
    let token = &bytes[if bytes[1] == 0x58 { 3 } else { 4 }..][..48];
    let readable = [session.as_str().expect("a session"), &URL_SAFE_NO_PAD.encode(token)];
    assert!(readable.iter().all(|text| !rest.contains(text)), "{rest}");
    assert_eq!(phone.evaluate(requests), bare, "a phone with keys asks for no code");
    wait_until_kept(&phone);
    assert_clean(&phone, &yima);

    yima.kill9();
    phone.reload();
    phone.see_xpath("//*[@id='banner-why'][contains(., 'this phone makes the code')]");
    phone.see_xpath("//*[@id='banner-age'][contains(., 'Information of')]");
    phone.see("#colour[data-colour='green']");
    phone.see("#code[data-live='false']");
    let offline = code(&phone);
    assert_ne!(offline, online);
    phone.evaluate("void ((real) => Date.now = () => real() + (window.skew ?? 0))(Date.now)");
    let rotated = code_at(&phone, 15_000);
    assert!([&offline, &rotated].iter().all(|code| refusal(code, &issuers, Duration::ZERO).is_none()));
    assert_eq!(refusal(&rotated, &issuers, MINUTE * 2), Some(CodeError::StaleProof), "a picture");
    phone.assert_accessible();
    for (width, height) in [(320, 568), (568, 320), (390, 844)] {
        resize(&phone, width, height);
        assert_eq!(on_screen(&phone, "#qr, #colour, #banner"), json!(true), "at {width}x{height}");
        assert_fits(&phone);
    }
    phone.picture("citizen-own-code-offline");
    phone.go_to(&format!("{}/elsewhere", yima.read_url()));
    phone.evaluate("history.back()");
    let back = code(&phone);

    yima.start_again();
    assert_eq!(reason(&yima, &back), "green");
    phone.see("#code[data-live='true']");
    phone.click("#sign-out");
    phone.see("#sign-in:focus");
    let session = yima.session_of(&demo_people(&yima)[0]);
    until("the end of the phone", Duration::from_secs(30), || phones_of(&yima, &session) == 0);
    assert_storage_empty(&phone);
}

#[test]
fn a_wrong_clock_is_corrected_and_colours_change_and_end_at_their_moments_without_the_service() {
    let mut yima = Yima::start(Options::default());
    let issuers = issuers(&yima);
    let [person, ..] = demo_people(&yima);
    // Red for 20 minutes more.
    let test = person.test("own-1", "positive", DAY * 7 - MINUTE * 20);
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &test), "accepted");
    let ahead = 300_000;
    let phone = open_with_clock(ahead);
    phone.go_to(&yima.read_url());
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='red']");
    keep(&phone);
    phone.see_xpath(&STATE.replace("{}", "5 min off"));
    let scanned = yima.scan(&yima.checkpoint_session(), &code(&phone));
    assert_eq!((&scanned["verdict"], &scanned["reason"]), (&json!("stop"), &json!("red")), "the code is genuine");
    wait_until_kept(&phone);

    yima.kill9();
    phone.reload();
    phone.see("#banner:not([hidden])");
    phone.see("#colour[data-colour='red']");
    assert_eq!(colour(&code(&phone), &issuers, Duration::ZERO), Colour::Red);
    let (later, minute) = (MINUTE * 36, 60_000);
    let green = code_at(&phone, ahead + 36 * minute);
    phone.see("#colour[data-colour='green']");
    assert_eq!(colour(&green, &issuers, later), Colour::Green);
    code_at(&phone, ahead + 22 * 60 * minute);
    phone.see_xpath(&STATE.replace("{}", "only until"));
    // A day later nothing is shown as valid.
    phone.evaluate(&format!("void (window.skew = {})", ahead + 25 * 60 * minute));
    phone.see("#code:not([data-code]) #qr:empty");
    phone.see_xpath("//*[@id='code-note'][contains(., 'ended at')]");
    phone.see("body:not([data-colour]) #colour:not([data-colour])");
    phone.assert_accessible();
    phone.picture("citizen-own-code-ended");
    // A checkpoint may accept it in an emergency, and refuses it otherwise.
    phone.click("#show-ended");
    let ended = code(&phone);
    assert_eq!(refusal(&ended, &issuers, MINUTE * 60 * 25), Some(CodeError::Expired));
    phone.see_xpath(&STATE.replace("{}", "counts in an emergency only"));
    phone.see("body:not([data-colour]) #show-ended[hidden]");
    phone.assert_accessible();
    phone.picture("citizen-own-code-after-its-end");
    // A clock from before all of it.
    phone.evaluate("void (window.skew = -86_400_000)");
    phone.see_xpath("//*[@id='code-note'][contains(., 'clock is wrong')]");
}

#[test]
fn a_lost_phone_is_ended_from_another_and_deletes_its_keys() {
    let yima = Yima::start(Options::default().env("YIMA_READ_API__PHONES__MAX_PER_PERSON", 1));
    let lost = phone_with_keys(&yima, 0);
    let code_of_lost = code(&lost);
    let other = phone(&yima, PHONE, 0);
    other.click("#keep");
    other.see_xpath("//*[@id='phone-notice'][contains(., 'as many phones')]");
    other.see("#phones[open] #phone-list li");
    other.assert_accessible();
    other.click("#phone-list [data-end]");
    other.see("#phone-list [data-end]:focus");
    other.click("#phone-list [data-end]");
    other.see("#phone-list:empty");
    assert_eq!(yima.scan(&yima.checkpoint_session(), &code_of_lost)["reason"], "phone_ended");
    keep(&other);
    other.picture("citizen-phones");

    lost.see_xpath("//*[@id='phone-notice'][contains(., 'This phone was ended')]");
    lost.until("indexedDB.databases().then((all) => all.length === 0)");
    // Still signed in, with a bare code.
    lost.see("#next-code[hidden]");
    lost.see(&format!("#code[data-code]:not([data-code='{code_of_lost}'])"));
    lost.assert_accessible();

    // A worse colour: the tokens that permit more go at once, and new ones come.
    let [person, ..] = demo_people(&yima);
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("own-2", "positive", MINUTE)), "accepted");
    other.see("#colour[data-colour='red']");
    let issuers = issuers(&yima);
    until("a token of the new colour", Duration::from_secs(30), || {
        colour(&code(&other), &issuers, Duration::ZERO) == Colour::Red
    });
}

#[test]
fn a_browser_that_keeps_nothing_shows_bare_codes_and_says_so() {
    let yima = Yima::start(Options::default());
    let phone = Window::open(PHONE, "about:blank");
    let before_load = |source: &str| {
        phone.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source }));
    };
    // A full disk.
    before_load("IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError') }");
    phone.go_to(&yima.read_url());
    phone.click("button[data-person='0']");
    code(&phone);
    phone.click("#keep");
    let needs_network = STATE.replace("{}", "could not keep a key");
    phone.see_xpath(&needs_network);
    phone.see("#keep-form[hidden]");
    phone.assert_accessible();
    phone.picture("citizen-keeps-nothing");
    assert_eq!(phones_of(&yima, &yima.session_of(&demo_people(&yima)[0])), 0);
    assert_eq!(phone.evaluate("indexedDB.databases()"), json!([]));
    // A private window.
    before_load("indexedDB.databases = async () => { throw new DOMException('private', 'SecurityError') }");
    phone.reload();
    phone.see_xpath(&needs_network);
    let bare = code(&phone);
    assert_eq!(yima.scan(&yima.checkpoint_session(), &bare)["reason"], "green");
    assert_clean(&phone, &yima);
}

#[test]
fn people_share_a_phone_and_two_tabs_make_one_phone_of_each() {
    let yima = Yima::start(Options::default().unlimited());
    let phone = phone(&yima, PHONE, 0);
    code(&phone);
    phone.evaluate("void (window.two = open('/'))");
    phone.until("two.document.querySelector('#code[data-code]') !== null");
    phone.evaluate("void [two, window].forEach((tab) => tab.document.getElementById('keep').click())");
    phone.until("two.document.querySelector('#next-code:not([hidden])') !== null");
    // The tab behind is hidden, and renews nothing.
    phone.evaluate("two.close()");
    phone.see("#next-code:not([hidden])");
    let [green, yellow, _] = demo_people(&yima).map(|person| yima.session_of(&person));
    assert_eq!(phones_of(&yima, &green), 1);

    phone.click("#add-person");
    phone.see("#sign-in:not([hidden]) #kept-list button");
    phone.assert_accessible();
    phone.click("button[data-person='1']");
    phone.see("#colour[data-colour='yellow']");
    keep(&phone);
    phone.until("document.querySelectorAll('#people-list li').length === 2");
    assert!(phone.text("#people-list").matches('*').count() > 16, "masked");
    phone.assert_accessible();
    phone.picture("citizen-people");
    phone.click("#people-list button");
    phone.see("#colour[data-colour='green']");
    phone.reload();
    phone.see("#colour[data-colour='green']");
    // Signed in again, the person has one phone here still.
    phone.click("#add-person");
    phone.click("button[data-person='0']");
    phone.see("#next-code:not([hidden])");
    assert_eq!(phones_of(&yima, &green), 1);

    phone.click("#sign-out");
    phone.see("#kept-list [data-kept]");
    until("the end of the phone", Duration::from_secs(30), || phones_of(&yima, &green) == 0);
    assert_eq!(phones_of(&yima, &yellow), 1);
    phone.click("#kept-list [data-kept]");
    phone.see("#colour[data-colour='yellow']");
    phone.see("#next-code:not([hidden])");
    phone.until("document.querySelectorAll('#people-list li').length === 1");
    assert_clean(&phone, &yima);

    // What a backup may bring to another phone: keys that cannot sign, then an entry that cannot be opened.
    change_entry(&phone, "for (const one of entry.keys) one.key = one.secret");
    phone.reload();
    phone.see("#next-code:not([hidden])");
    change_entry(
        &phone,
        "entry.sealed.key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['decrypt'])",
    );
    phone.reload();
    phone.see("#sign-in:not([hidden]) #kept-people[hidden]");
    phone.click("button[data-person='1']");
    phone.see("#colour[data-colour='yellow']");
    keep(&phone);
    phone.reload();
    phone.see("#next-code:not([hidden])");
}

/// Changes the only entry of the page's storage by a script.
fn change_entry(phone: &Window, script: &str) {
    phone.evaluate(&format!(
        "(async () => {{
            const done = (request) => new Promise((resolve) => request.onsuccess = () => resolve(request.result));
            const database = await done(indexedDB.open('yima.citizen'));
            const people = () => database.transaction('people', 'readwrite').objectStore('people');
            const [entry] = await done(people().getAll());
            {script};
            await done(people().put(entry));
            database.close();
        }})()"
    ));
}
