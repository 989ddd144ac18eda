//! The checkpoint's page with codes of other systems.

use serde_json::json;
use yima_harness::{Options, Yima};

use super::camera::{sign_in, switch_camera_on};
use super::camera_video::{CameraVideo, Scene};
use super::offline_checkpoint::{STORED, shift_clock};
use super::window::Window;
use super::{DESK, checkpoint, scan};
use crate::foreign_codes::Vectors;

/// The page holds the lists, and the program that reads codes by them.
const HAS_LISTS: &str =
    "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/assets/foreign.js'))";

#[test]
fn a_foreign_code_shows_what_it_proves_and_no_colour_of_ours() {
    let vectors = Vectors::read();
    let (options, _) = vectors.options(&vectors.trust_list());
    let yima = Yima::start(options.unlimited());
    let desk = checkpoint(&yima);
    let background = || desk.evaluate("getComputedStyle(document.querySelector('.say')).backgroundColor");
    for (name, shown) in [
        ("EU: vaccination", ["GABRIELE MUSTERFRAU GOESSINGER", "1998-02-26", "Dose 2/2 · Comirnaty"]),
        ("SMART: two doses", ["John B. Anyperson", "1951-01-20", "Example cards"]),
    ] {
        scan(&desk, vectors.code(name));
        desk.see("#verdict[data-verdict='pass'][data-reason='foreign_accepted'][data-foreign]");
        let person = desk.text("#person");
        assert!(shown.iter().all(|part| person.contains(part)), "{person}");
        assert!(
            !person.contains("Last test") && desk.evaluate("document.querySelector('.chip')").is_null(),
            "{person}"
        );
        assert_eq!(background(), json!("rgb(29, 79, 145)"), "not the green of a pass");
        desk.assert_accessible();
        desk.picture(&format!("foreign-{}", &name[..2]));
    }

    scan(&desk, vectors.code("EU: unknown issuer"));
    desk.see("#verdict[data-verdict='check'][data-sign='foreign'][data-reason='foreign_issuer_unknown']");
    assert_eq!((desk.text("#verdict-word"), desk.text("#person")), ("FOREIGN".to_owned(), String::new()));
    assert_eq!(background(), json!("rgb(238, 244, 253)"), "not our yellow");
    desk.click("#lang");
    assert_eq!(desk.text("#verdict-word"), "境外码");
    assert_eq!(desk.text("#instruction"), "境外码，签发机构未知。\n请核对证件。");
    desk.assert_accessible();
    desk.picture("foreign-unknown");

    // A hand scanner that types no Enter: the code ends with the typing.
    desk.type_into("#code-input", vectors.code("EU: first of two doses"));
    desk.see("#verdict[data-verdict='check'][data-sign='foreign'][data-reason='foreign_incomplete'][data-foreign]");
    assert!(desk.text("#person").contains("第 1/2 剂 · Comirnaty"));
    desk.assert_accessible();
    super::assert_clean(&desk, &yima);
}

#[test]
fn a_foreign_code_gets_the_same_verdict_without_a_network_and_leaves_no_trace() {
    let vectors = Vectors::read();
    let (options, _) = vectors.options(&vectors.trust_list());
    let mut yima = Yima::start(options.unlimited());
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    desk.until(HAS_LISTS);
    desk.until("navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated')");
    let names = [
        "EU: vaccination",
        "EU: vaccination, RSA",
        "EU: vaccination, P-384",
        "EU: recovery",
        "EU: nucleic-acid test",
        "EU: first of two doses",
        "EU: unknown vaccine",
        "EU: positive test",
        "EU: unknown issuer",
        "EU: two statements",
        "EU: signed by another key",
        "EU: stream cut",
        "SMART: two doses",
        "SMART: test of 80 h ago",
        "SMART: signed by another key",
        "SMART: first part of two",
    ];
    let judge = |name: &str| {
        scan(&desk, vectors.code(name));
        desk.see("#verdict:not([data-reason=''])");
        let shown = desk.evaluate(
            "[...['verdict', 'sign', 'reason'].map((key) => document.getElementById('verdict').dataset[key]),
                document.getElementById('instruction').innerText, document.getElementById('person').innerText]",
        );
        desk.click("#next");
        desk.see("#verdict[data-verdict='idle']");
        shown
    };
    let online = names.map(judge);
    assert_eq!(online[0][2], "foreign_accepted");

    yima.kill9();
    for (name, online) in names.into_iter().zip(online) {
        assert_eq!(judge(name), online, "{name}");
    }
    desk.see("#offline:not([hidden])[data-state='current']");
    scan(&desk, vectors.code("EU: vaccination"));
    desk.see("#verdict[data-verdict='pass'][data-foreign]");
    assert!(desk.evaluate("document.querySelector('.chip')").is_null(), "no colour of ours");
    desk.assert_accessible();
    desk.picture("foreign-offline");

    // Closed and opened again without a network, in a tab that has no session.
    desk.evaluate("sessionStorage.clear()");
    desk.reload();
    desk.see("#offline:not([hidden])[data-state='current']");
    assert_eq!(judge("SMART: two doses")[2], "foreign_accepted");
    let stored = desk.evaluate(STORED);
    let stored = stored.as_str().expect("a text");
    for private in ["MUSTERFRAU", "1998-02-26", "Anyperson", &vectors.code("EU: vaccination")[4..44]] {
        assert!(!stored.contains(private), "{private} is stored");
    }

    shift_clock(&desk, 13 * 3_600);
    scan(&desk, vectors.code("EU: vaccination"));
    desk.see("#verdict[data-verdict='check'][data-reason='bundle_old'][data-foreign]");
    desk.assert_accessible();
    shift_clock(&desk, 25 * 3_600);
    scan(&desk, vectors.code("EU: vaccination"));
    desk.see("#verdict[data-verdict='unchecked'][data-reason='bundle_over']");
}

#[test]
fn a_revoked_certificate_is_refused_without_a_network_too() {
    let vectors = Vectors::of("foreign-revoked");
    let (options, _) = vectors.options(&vectors.trust_list());
    let path = options.directory().join("revoked.json");
    std::fs::write(&path, vectors.revocations()).unwrap();
    let options = options.env("YIMA_READ_API__FOREIGN__REVOCATIONS_FILE", path.display());
    let mut yima = Yima::start(options.unlimited());
    let desk = checkpoint(&yima);
    desk.until(HAS_LISTS);
    yima.kill9();
    for name in ["EU: by the hash of its signature, P-256", "SMART: issued before the moment"] {
        scan(&desk, vectors.code(name));
        desk.see("#verdict[data-verdict='check'][data-sign='foreign'][data-reason='foreign_revoked']");
        assert_eq!(desk.text("#person"), "", "{name}");
        desk.click("#next");
    }
    desk.see("#offline:not([hidden])[data-state='current']");
    scan(&desk, vectors.code("SMART: issued at the moment"));
    desk.see("#verdict[data-verdict='pass'][data-reason='foreign_accepted']");
}

#[test]
fn a_turnstile_without_a_network_shows_nobody_and_lets_no_foreign_code_through() {
    let vectors = Vectors::read();
    let (options, _) = vectors.options(&vectors.trust_list());
    let mut yima = Yima::start(options.unlimited());
    let desk = checkpoint(&yima);
    desk.until(HAS_LISTS);
    desk.evaluate(
        "(async () => {
            const post = JSON.parse(sessionStorage.getItem('yima.session.checkpoint.of'));
            sessionStorage.setItem('yima.session.checkpoint.of', JSON.stringify({ ...post, role: 'turnstile' }));
        })()",
    );
    desk.reload();
    desk.until(HAS_LISTS);
    yima.kill9();
    scan(&desk, vectors.code("EU: vaccination"));
    desk.see("#verdict[data-verdict='check'][data-reason='foreign_accepted']");
    assert_eq!(desk.text("#person"), "");
}

#[test]
fn without_lists_a_foreign_code_is_refused_without_a_network_and_the_page_says_why() {
    let mut yima = Yima::start(Options::default().unlimited());
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    yima.kill9();
    scan(&desk, Vectors::read().code("EU: vaccination"));
    desk.see("#verdict[data-verdict='unchecked'][data-reason='foreign']");
    assert!(desk.text("#instruction").contains("no list of foreign issuers"), "{}", desk.text("#instruction"));
    desk.assert_accessible();
}

#[test]
fn the_camera_reads_dense_foreign_codes_with_and_without_a_network() {
    let vectors = Vectors::read();
    let (options, _) = vectors.options(&vectors.trust_list());
    let yima = Yima::start(options.unlimited());
    // An RSA signature takes a QR code of version 17, a card one of version 26.
    let dense = ["EU: vaccination, RSA", "SMART: two doses"].map(|name| Scene::of(vectors.code(name)).sized(0.95));
    let scenes = dense.map(|scene| (scene, 10));
    let video = CameraVideo::of(&scenes);
    let guard = Window::open_with(DESK, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&guard);
    guard.until(HAS_LISTS);
    switch_camera_on(&guard);
    let read_both = || {
        for person in ["GABRIELE MUSTERFRAU GOESSINGER", "John B. Anyperson"] {
            guard.see_xpath(&format!("//*[@id='verdict'][@data-verdict='pass'][contains(., '{person}')]"));
        }
    };
    read_both();
    guard.see("#offline[hidden]");
    yima.pause();
    guard.click("#next");
    guard.see("#offline:not([hidden])");
    read_both();
    yima.resume();
}
