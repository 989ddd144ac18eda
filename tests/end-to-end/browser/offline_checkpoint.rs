//! The checkpoint's page without a network: what it judges, until when, and what it keeps.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Person, Yima, new_person, now};
use yima_schema::time::{HOUR, Time};

use super::window::Window;
use super::{DESK, checkpoint, demo_codes, demo_people, scan};
use crate::phones::{Tokens, register};

/// A tested person's phone.
pub(super) fn phone(yima: &Yima, id: &str) -> (Person, Tokens) {
    let person = new_person();
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test(id, "negative", HOUR)), "accepted");
    let session = yima.session_of(&person);
    (person, Tokens::fetch(yima, &session, &register(yima, &session)))
}

/// The page's clock is so many seconds ahead of this machine's.
pub(super) fn shift_clock(window: &Window, seconds: i64) {
    let shift = "((now) => { Date.now = () => now() + 1e3 * SECONDS; })(window.realNow ??= Date.now.bind(Date))";
    window.evaluate(&shift.replace("SECONDS", &seconds.to_string()));
}

/// The code with a byte altered, counted from its end.
fn altered(code: &str, from_end: usize) -> String {
    let mut bytes = base45::decode(&code[4..]).expect("Base45");
    let at = bytes.len() - from_end;
    bytes[at] ^= 1;
    format!("YM1:{}", base45::encode(bytes))
}

/// Scans codes one behind the other, as fast as the page takes them; the reasons of the verdicts.
const SCAN_ALL: &str = "(async () => {
    const input = document.getElementById('code-input'), verdict = document.getElementById('verdict');
    const reasons = [];
    for (const code of CODES) {
        input.value = code;
        input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
        while (verdict.dataset.reason === '') await new Promise((resolve) => setTimeout(resolve));
        reasons.push(verdict.dataset.reason);
    }
    return reasons;
})()";

/// Everything that the browser keeps for the page's origin, as text; byte strings in hexadecimal.
pub(super) const STORED: &str = "(async () => {
    const text = (value) => JSON.stringify(value, (_, item) => item instanceof Uint8Array ?
        [...item].map((byte) => byte.toString(16).padStart(2, '0')).join('') : item);
    const of = (request) => new Promise((resolve) => request.onsuccess = () => resolve(request.result));
    const stored = [{ ...localStorage }, { ...sessionStorage }, document.cookie];
    for (const { name } of await indexedDB.databases()) {
        const database = await of(indexedDB.open(name));
        for (const store of database.objectStoreNames) {
            const all = database.transaction(store).objectStore(store);
            stored.push([store, await of(all.getAllKeys()), await of(database.transaction(store).objectStore(store).getAll())]);
        }
        database.close();
    }
    for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const request of await cache.keys()) {
            stored.push([request.url, [...request.headers], await (await cache.match(request)).text()]);
        }
    }
    return text(stored);
})()";

/// The bundle that the browser keeps; null without one.
pub(super) const KEPT_BUNDLE: &str = "(async () => {
    const of = (request) => new Promise((resolve) => request.onsuccess = () => resolve(request.result));
    const database = await of(indexedDB.open('yima.offline'));
    const bundle = await of(database.transaction('records').objectStore('records').get('bundle'));
    database.close();
    return bundle ?? null;
})()";

/// The moment of the bundle that the browser keeps, in seconds since 1970; null without one.
pub(super) fn released_at() -> String {
    format!("{KEPT_BUNDLE}.then((bundle) => bundle?.releasedAt ?? null)")
}

/// Another tab has kept a bundle of RELEASED_AT.
const KEPT_BY_ANOTHER_TAB: &str = "(async () => {
    const of = (request) => new Promise((resolve) => request.onsuccess = () => resolve(request.result));
    const database = await of(indexedDB.open('yima.offline'));
    const records = () => database.transaction('records', 'readwrite').objectStore('records');
    const bundle = await of(records().get('bundle'));
    await of(records().put({ ...bundle, releasedAt: RELEASED_AT }, 'bundle'));
    database.close();
})()";

#[test]
fn a_checkpoint_without_a_network_goes_on_judging_and_keeps_nothing_of_anybody() {
    let mut yima = Yima::start(Options::default().unlimited());
    let [green, yellow, red] = demo_codes(&yima);
    let session = yima.session_of(&demo_people(&yima)[0]);
    let phone = Tokens::fetch(&yima, &session, &register(&yima, &session));
    let printed = yima.http().get(&format!("{}/v1/paper", yima.read_url()), &session).json(200);
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    desk.until("navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated')");
    let shown = phone.show();
    scan(&desk, &shown);
    desk.see("#verdict[data-verdict='pass'] .number");
    let name = desk.text("#person .who strong");
    let scan_all = |codes: &[&String]| desk.evaluate(&SCAN_ALL.replace("CODES", &json!(codes).to_string()));
    assert_eq!(scan_all(&[&shown; 50]), json!(vec!["green"; 50]));

    yima.kill9();
    scan(&desk, &shown);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    assert!(desk.text("#offline").starts_with("Offline, as of "), "{}", desk.text("#offline"));
    let person = desk.text("#person");
    assert!(person.contains(&name) && person.contains("negative") && !person.contains("at most"), "{person}");
    desk.assert_accessible();
    desk.picture("checkpoint-offline");
    let size = desk.evaluate("parseFloat(getComputedStyle(document.getElementById('offline-as-of')).fontSize)");
    assert!(size.as_f64().is_some_and(|size| size >= 24.0), "large type: {size}");
    // The MAC takes 9 bytes at the end, the proof 64 before it, the moment 7 before the token's signature.
    for (code, verdict, reason) in [
        (&yellow, "check", "yellow"),
        (&red, "stop", "red"),
        (&altered(&shown, 9 + 1), "stop", "wrong_phone"),
        (&altered(&shown, 9 + 66 + 5 + 1), "stop", "forged"),
        (&altered(&shown, 9 + 66 + 5), "check", "malformed"),
        (&altered(&green, 9 + 1), "stop", "forged"),
        (&"hello".to_owned(), "check", "malformed"),
    ] {
        scan(&desk, code);
        desk.see(&format!("#verdict[data-verdict='{verdict}'][data-reason='{reason}']"));
    }
    scan(&desk, &phone.show_at(now().minus(Duration::from_secs(90))));
    desk.see("#verdict:is([data-reason='stale_proof'], [data-reason='not_yet_valid'])[data-verdict='check']");
    scan(&desk, printed["code"].as_str().expect("a text"));
    desk.see("#verdict[data-verdict='check'][data-reason='paper'] .number");
    assert!(desk.text("#person").contains(&name) && !desk.text("#person").contains("Green"));

    // Closed and opened again, in a tab that has no session.
    desk.evaluate("sessionStorage.clear()");
    desk.reload();
    desk.see("#offline:not([hidden])[data-state='current']");
    assert_eq!(desk.text("#post-name"), "demo-gate");
    let shown = phone.show();
    assert_eq!(scan_all(&[&shown; 50]), json!(vec!["green"; 50]));
    desk.click("#lang");
    desk.see_xpath("//*[@id='offline-as-of'][contains(., '脱网查验 · 数据截至')]");
    desk.assert_accessible();
    desk.picture("checkpoint-offline-zh");
    let stored = desk.evaluate(STORED);
    let stored = stored.as_str().expect("a text");
    let tag = denial_tag(&shown);
    for trace in [name.as_str(), &shown[4..40], &shown[300..340], &tag] {
        assert!(!stored.contains(trace), "{trace} is stored");
    }
    assert!(stored.contains(r#"["records",["bundle","clockOffset","post"]"#), "{}", &stored[..400]);

    yima.start_again();
    desk.click("#next");
    desk.see("#offline[hidden]");
    scan(&desk, &phone.show());
    // This tab never signed in.
    desk.see("#sign-in:not([hidden])");
}

/// In hexadecimal, from the code: behind the tag come the token's signature, the moment, the proof and the MAC.
fn denial_tag(code: &str) -> String {
    let bytes = base45::decode(&code[4..]).expect("Base45");
    let end = bytes.len() - 9 - 66 - 5 - 66;
    bytes[end - 8..end].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_colour_that_got_worse_is_known_with_the_next_bundle_and_an_old_bundle_lets_nobody_pass() {
    let yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1));
    let [(person, worse), (_, green)] = ["offline-2", "offline-3"].map(|id| phone(&yima, id));
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("offline-4", "positive", HOUR)), "accepted");
    let accepted = now();
    desk.until(&format!("{}.then((at) => at > {})", released_at(), accepted.as_secs() + 1));
    // What another tab has kept meanwhile is not replaced by an older bundle.
    desk.evaluate(&KEPT_BY_ANOTHER_TAB.replace("RELEASED_AT", &(accepted.as_secs() + 3_600).to_string()));
    let fetched =
        "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/offline-bundle')).length";
    let so_far = desk.wait_for_number(fetched);
    desk.until(&format!("{fetched} > {so_far} + 2"));
    assert_eq!(desk.wait_for_number(&released_at()) as i64, accepted.as_secs() + 3_600);
    // A browser that keeps nothing has its bundle as long as the page is open.
    let private = Window::open(DESK, "about:blank");
    let refuse = "indexedDB.open = () => { throw new DOMException('', 'SecurityError'); }";
    private.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": refuse }));
    private.go_to(&format!("{}/checkpoint", yima.read_url()));
    private.click("#demo-guard");
    private.see("#offline[data-state='current'][hidden]");
    for window in [&desk, &private] {
        window.devtools("Network.enable", json!({}));
        let offline = json!({ "offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        window.devtools("Network.emulateNetworkConditions", offline);
    }
    scan(&private, &green.show());
    private.see("#verdict[data-verdict='pass'][data-reason='green']");
    private.see("#offline:not([hidden])");
    drop(private);
    let scan_at = |phone: &Tokens, ahead: i64| {
        shift_clock(&desk, ahead);
        scan(&desk, &phone.show_at(Time::from_secs(now().as_secs() + ahead)));
    };
    scan_at(&worse, 0);
    desk.see("#verdict[data-verdict='check'][data-reason='changed_since'][data-sign='unproved']");
    desk.assert_accessible();
    desk.picture("checkpoint-changed-since");
    scan_at(&green, 0);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    scan_at(&green, 2 * 3_600);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    desk.see_xpath("//*[@id='offline'][@data-state='aging'][contains(., 'getting old')]");
    scan_at(&green, 13 * 3_600);
    desk.see("#verdict[data-verdict='check'][data-reason='bundle_old']");
    desk.see_xpath("//*[@id='offline'][@data-state='old'][contains(., 'too old for anyone to pass')]");
    desk.assert_accessible();
    shift_clock(&desk, 25 * 3_600);
    scan(&desk, &green.show());
    desk.see("#verdict[data-verdict='unchecked'][data-reason='bundle_over']");
    desk.see_xpath("//*[@id='offline'][@data-state='over'][contains(., 'too old to judge by')]");
    desk.assert_accessible();
    desk.picture("checkpoint-bundle-over");
    // A clock that is wrong is explained, and no code is called forged.
    shift_clock(&desk, 300);
    scan(&desk, &green.show());
    desk.see_xpath("//*[@id='verdict'][@data-reason='stale_proof'][contains(., 'check this device')]");
    shift_clock(&desk, -300);
    scan(&desk, &green.show());
    desk.see("#verdict[data-verdict='unchecked'][data-reason='clock']");
}
