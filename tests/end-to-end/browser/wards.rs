//! Families: a parent invites, the child shows the parent's code, at the service and without it, until it is ended.

use std::time::Duration;

use serde_json::json;
use yima_harness::{Options, Yima, now, until};

use super::layout::{on_screen, resize};
use super::shell::wait_until_kept;
use super::window::Window;
use super::{PHONE, assert_clean, assert_fits, assert_storage_empty, checkpoint, code, demo_people, phone, scan};
use crate::offline_bundle::{Bundle, issuers, read};

/// The invitation that the person on the screen makes.
fn invite(phone: &Window) -> String {
    phone.click("#guardians summary");
    phone.see_xpath("//*[@id='guardians-note'][contains(., 'Only you so far')]");
    phone.click("#invite");
    phone.see("#invitation-qr svg");
    phone.assert_accessible();
    phone.text("#invitation-text")
}

/// Redeems an invitation; the ward's code is on the screen.
fn redeem(phone: &Window, invitation: &str) {
    phone.click("#wards summary");
    phone.see_xpath("//*[@id='wards-note'][contains(., 'Nobody yet')]");
    phone.type_into("#ward-invitation", invitation);
    phone.click("#ward-form button");
    phone.see("body[data-for='ward'] #for-ward:not([hidden])");
}

/// The service's page for a checkpoint says that a guardian shows the code.
fn assert_by_guardian(desk: &Window, code: &str, verdict: &str) {
    scan(desk, "no health code");
    desk.see("#verdict[data-reason='malformed'] #by-guardian[hidden]");
    scan(desk, code);
    desk.see(&format!("#verdict[data-verdict='{verdict}']"));
    desk.see_xpath("//*[@id='by-guardian'][contains(., 'Shown by a guardian: compare the document of the person')]");
}

#[test]
fn a_child_shows_a_parents_code_online_and_in_flight_mode_until_the_parent_ends_it() {
    let mut yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1));
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    desk.until("navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated')");
    // Person 0 is green, person 1 yellow.
    let (parent, child) = (phone(&yima, PHONE, 0), phone(&yima, PHONE, 1));
    parent.see("#colour[data-colour='green']");
    let name = parent.text("#document");
    child.see("#colour[data-colour='yellow']");
    child.click("#wards summary");
    child.type_into("#ward-invitation", "nonsense");
    child.click("#ward-form button");
    child.see_xpath("//*[@id='wards-note'][contains(., 'Copy all of it')]");
    child.evaluate("void (document.getElementById('ward-invitation').value = '')");
    child.click("#wards summary");

    redeem(&child, &invite(&parent));
    child.see("#colour[data-colour='green']");
    assert_eq!(child.text("#document"), name);
    let bare = code(&child);
    assert_by_guardian(&desk, &bare, "pass");
    desk.assert_accessible();
    desk.picture("checkpoint-guardian");
    child.see("#history:not([open])");
    assert_eq!(child.evaluate("document.getElementById('history').offsetParent"), json!(null), "the ward's own");
    child.assert_accessible();
    child.picture("citizen-ward");
    for (width, height) in [(320, 568), (568, 320), (390, 844)] {
        resize(&child, width, height);
        assert_eq!(on_screen(&child, "#qr, #colour"), json!(true), "at {width}x{height}");
        assert_fits(&child);
    }
    child.click("#own-code");
    child.see("#colour[data-colour='yellow']");
    child.see("body:not([data-for]) #for-ward[hidden]");
    child.click("#wards summary");
    child.click("#ward-list [data-ward]");
    child.see("#colour[data-colour='green']");

    // Kept on the child's phone, the parent's code works without the service.
    child.click("#keep");
    child.see("#next-code:not([hidden])");
    wait_until_kept(&child);
    let issuers = issuers(&yima);
    let own = code(&child);
    assert_by_guardian(&desk, &own, "pass");
    let claims = read(&own, &issuers);
    assert!(claims.guardian && !Bundle::of_after(&yima, now()).denies(&claims));
    desk.until("indexedDB.databases().then((all) => all.some(({ name }) => name === 'yima.offline'))");
    yima.kill9();
    child.reload();
    child.see("#banner:not([hidden])");
    child.see("body[data-for='ward'] #colour[data-colour='green']");
    let offline = code(&child);
    assert!(read(&offline, &issuers).guardian);
    assert_by_guardian(&desk, &offline, "pass");
    desk.picture("checkpoint-guardian-offline");
    yima.start_again();
    child.see("#code[data-live='true']");

    // The parent ends it: the child is told, keys and code go, and no checkpoint takes what was copied before.
    let before = code(&child);
    parent.click("#guardians summary");
    parent.click("#guardians summary");
    parent.click("#guardian-list [data-end]");
    parent.see("#guardian-list [data-end]:focus");
    parent.assert_accessible();
    parent.picture("citizen-guardians");
    parent.click("#guardian-list [data-end]");
    parent.see("#guardian-list:empty");
    child.see_xpath("//*[@id='phone-notice'][contains(., \"not this person's guardian any more\")]");
    child.see("body:not([data-for]) #colour[data-colour='yellow']");
    child.until("indexedDB.databases().then((all) => all.length === 0)");
    let guard = yima.checkpoint_session();
    assert_eq!(yima.scan(&guard, &before)["reason"], "phone_ended");
    let claims = read(&before, &issuers);
    assert!(Bundle::of_after(&yima, now()).denies(&claims), "offline from the next release on");
    child.click("#sign-out");
    child.see("#sign-in:focus");
    assert_storage_empty(&child);
}

#[test]
fn a_guardian_signs_out_of_everything_and_both_languages_fit() {
    let yima = Yima::start(Options::default().unlimited());
    let (parent, child) = (phone(&yima, PHONE, 0), phone(&yima, PHONE, 1));
    let invitation = invite(&parent);
    redeem(&child, &invitation);
    // The invitation makes no second guardian.
    let other = phone(&yima, PHONE, 2);
    other.click("#wards summary");
    other.type_into("#ward-invitation", &invitation);
    other.click("#ward-form button");
    other.see_xpath("//*[@id='wards-note'][contains(., 'has expired or was used')]");

    child.click("#keep");
    child.see("#next-code:not([hidden])");
    for lang in ["zh-Hans", "en"] {
        child.click("#lang");
        child.see(&format!("html[lang='{lang}']"));
        assert_fits(&child);
        parent.click("#lang");
        parent.see(&format!("html[lang='{lang}']"));
        assert_fits(&parent);
    }
    child.see_xpath("//*[@id='for-ward'][contains(., 'as a guardian')]");
    // One entry of the ward, which the child switches to and from.
    child.click("#own-code");
    child.see("#colour[data-colour='yellow']");
    child.see_xpath("//*[@id='people-list'][contains(., 'you are the guardian')]");
    child.click("#people-list button");
    child.see("#next-code:not([hidden])");
    child.see("#colour[data-colour='green']");
    assert_clean(&child, &yima);

    child.click("#sign-out");
    child.see("#sign-in:focus");
    assert_storage_empty(&child);
    let session = yima.session_of(&demo_people(&yima)[0]);
    let guardians = || {
        let listed = yima.http().get(&format!("{}/v1/guardians", yima.read_url()), &session).json(200);
        listed["guardians"][0]["phones"].clone()
    };
    until("the end of the guardian's phone", Duration::from_secs(30), || guardians() == json!(0));
}
