//! Offline bundles that the checkpoint's page refuses: it says so, and the one held still judges.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use yima_harness::{Options, Person, Yima, now};
use yima_schema::time::{HOUR, Time};

use super::offline_checkpoint::{KEPT_BUNDLE, phone, released_at};
use super::window::Window;
use super::{checkpoint, scan};
use crate::offline_bundle::Bundle;

/// Puts itself between page and service: answers for the bundle's index with `offer(bytes)`, for one of its parts with
/// `offerPart(bytes)`.
const STAND_BETWEEN: &str = "void (window.asks ??= fetch, window.offered = [], window.parts = [],
    window.offer = window.offerPart = (bytes) => bytes,
    window.fetch = async (path, init) => {
        if (!String(path).startsWith('/v1/offline-bundle')) return asks(path, init);
        const isIndex = path === '/v1/offline-bundle';
        const response = await asks(path, isIndex ? undefined : init);
        const genuine = new Uint8Array(await response.arrayBuffer());
        if (!isIndex) parts.push(genuine);
        const bytes = isIndex ? offer(genuine) : offerPart(genuine);
        if (isIndex) offered.push(bytes.join());
        return new Response(bytes, { headers: response.headers });
    })";

/// Whether the browser has kept an index that was offered.
fn kept_the_offered() -> String {
    format!("{KEPT_BUNDLE}.then(({{ index }}) => offered.includes(index.join()))")
}

/// The page asks for the newest bundle at once.
fn ask(desk: &Window) {
    desk.evaluate("void dispatchEvent(new Event('online'))");
}

/// Offers the page what the expression makes of a genuine index (`bytes`), until `refused` has seen the refusal; then
/// the genuine one again.
fn offer(desk: &Window, made: &str, seen: impl FnOnce()) {
    desk.evaluate(&format!("void (offered = [], offer = (bytes) => {made})"));
    ask(desk);
    seen();
    assert_eq!(desk.evaluate(&kept_the_offered()), Value::Bool(false), "{made}");
    desk.evaluate("void (offer = (bytes) => bytes)");
    ask(desk);
    desk.see("#offline[hidden]");
    desk.until(&kept_the_offered());
}

#[test]
fn a_bundle_that_is_not_genuine_not_whole_or_older_is_refused_and_the_one_held_still_judges() {
    let options = || Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1);
    let mut yima = Yima::start(options());
    let [first, second, green] = ["refused-1", "refused-2", "refused-3"].map(|id| phone(&yima, id));
    let positive = |yima: &Yima, person: &Person, id: &str| {
        assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test(id, "positive", HOUR / 2)), "accepted");
    };
    let strange = Yima::start(options());
    Bundle::of_after(&strange, Time::EPOCH);
    let index = strange.http().get_with(&format!("{}/v1/offline-bundle", strange.read_url()), &[]).expect("an answer");
    let strange = STANDARD.encode(&index.body);

    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    desk.evaluate(STAND_BETWEEN);
    ask(&desk);
    desk.until("offered.length > 0");
    desk.evaluate("void (older = new Uint8Array(offered[0].split(',')))");
    let refused = || {
        desk.see_xpath("//*[@id='offline'][not(@hidden)][contains(., 'is not valid')]");
    };
    offer(&desk, "bytes.slice(0, -1)", refused);
    offer(&desk, "bytes.with(-1, bytes.at(-1) ^ 1)", refused);
    offer(&desk, &format!("Uint8Array.from(atob('{strange}'), (byte) => byte.charCodeAt(0))"), refused);
    positive(&yima, &first.0, "refused-4");
    desk.until("parts.length > 0");
    // The part of the index before in place of the one that it names.
    desk.evaluate("void (offerPart = () => parts[0])");
    offer(&desk, "bytes", || {
        positive(&yima, &second.0, "refused-5");
        refused();
        desk.evaluate("void (offered = offered.slice(-1), offerPart = (bytes) => bytes)");
    });
    desk.assert_accessible();

    let denied = now();
    desk.until(&format!("{}.then((at) => at > {})", released_at(), denied.as_secs() + 1));
    // An edge may be behind: that is no fault, so the next one is asked for at the usual time.
    desk.evaluate("void (offered = [], offer = () => older)");
    desk.until("offered.length > 2 && document.getElementById('offline').hidden");
    yima.kill9();
    for (phone, reason) in [(&first.1, "changed_since"), (&second.1, "changed_since"), (&green.1, "green")] {
        scan(&desk, &phone.show());
        desk.see(&format!("#verdict[data-reason='{reason}']"));
    }
}
