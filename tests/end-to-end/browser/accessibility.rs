//! Accessibility of the citizen's page: large type, zoom, contrast, forced colours, print; and
//! its state after signing out.

use serde_json::{Value, json};
use yima_harness::{Options, Yima};

use super::window::{Screen, Window};
use super::{DESK, PHONE, SMALL_PHONE, assert_fits, code, phone};

/// Pages of 390 and of 320 pixels, at 200 %.
const ZOOMED: [Screen; 2] =
    [Screen { width: 195, height: 422, phone: true }, Screen { width: 160, height: 320, phone: true }];

/// Emulates a medium (`print`) and the media features of a system's settings.
fn emulate(window: &Window, media: &str, features: &[(&str, &str)]) {
    let features: Vec<Value> = features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    window.devtools("Emulation.setEmulatedMedia", json!({ "media": media, "features": features }));
}

/// A computed style.
fn style(window: &Window, css: &str, property: &str) -> String {
    let value = window.evaluate(&format!("getComputedStyle(document.querySelector(\"{css}\")).{property}"));
    value.as_str().expect("a text").to_owned()
}

#[test]
fn large_type_takes_one_click_and_lasts_until_signing_out() {
    let yima = Yima::start(Options::default());
    let phone = phone(&yima, SMALL_PHONE, 1);
    code(&phone);
    assert_eq!(style(&phone, "html", "fontSize"), "16px");
    phone.click("#large[aria-pressed='false']");
    phone.see("#large[aria-pressed='true']");
    assert_eq!(style(&phone, "html", "fontSize"), "22px");
    for lang in ["zh-Hans", "en"] {
        phone.click("#lang");
        phone.see(&format!("html[lang='{lang}']"));
        assert_fits(&phone);
    }
    phone.picture("citizen-large");
    phone.assert_accessible();
    phone.reload();
    phone.see("#large[aria-pressed='true']");
    code(&phone);
    phone.click("#sign-out");
    phone.see("#sign-in:not([hidden])");
    assert_eq!(phone.evaluate("[sessionStorage.length, localStorage.length, document.cookie]"), json!([0, 0, ""]));
    assert_eq!(phone.evaluate("document.activeElement.id"), json!("sign-in"));
    assert_eq!(phone.text("#sign-in").matches("110105").count(), 0);
    for id in ["name", "document", "tests", "decision", "qr", "announce"] {
        assert_eq!(phone.evaluate(&format!("document.getElementById('{id}').textContent")), json!(""), "{id}");
    }
}

#[test]
fn a_page_at_200_percent_shows_everything() {
    let yima = Yima::start(Options::default());
    for screen in ZOOMED {
        let phone = phone(&yima, screen, 2);
        code(&phone);
        assert_fits(&phone);
        phone.click("#lang");
        phone.click("#history summary");
        phone.see("#decisions li[data-state]");
        assert_fits(&phone);
    }
}

#[test]
fn a_colour_is_recognizable_by_its_shape() {
    let yima = Yima::start(Options::default());
    for (person, colour, shape) in [(0, "green", "tick"), (1, "yellow", "triangle"), (2, "red", "octagon")] {
        let phone = phone(&yima, PHONE, person);
        phone.see(&format!("#colour[data-colour='{colour}'] .shape-{shape}"));
        assert!(!phone.text("#colour-word").is_empty());
        phone.see("#code[data-live='true']");
        let ground = style(&phone, "body", "backgroundImage");
        assert!(ground.starts_with("linear-gradient") && !ground.contains("repeating"), "{ground}");
        phone.assert_accessible();
        emulate(&phone, "", &[("forced-colors", "active")]);
        // Forced colours leave two: the shape's body has one, its mark the other.
        let [form, mark] = [("body", "fill"), ("mark", "stroke")]
            .map(|(part, property)| style(&phone, &format!("#colour .shape-{part}"), property));
        assert_ne!(form, mark);
        assert_eq!(style(&phone, "#qr", "forcedColorAdjust"), "none", "a scanner needs dark on white");
        phone.picture(&format!("citizen-{colour}-forced-colors"));
        emulate(&phone, "", &[("prefers-contrast", "more"), ("prefers-reduced-motion", "reduce")]);
        assert_eq!(style(&phone, ".light", "animationTimingFunction"), "steps(4)");
        assert_eq!(style(&phone, ".pulse", "animationName"), "none");
        phone.assert_accessible();
    }
}

#[test]
fn a_print_has_the_status_with_its_time_and_no_code() {
    let yima = Yima::start(Options::default());
    let desk = phone(&yima, DESK, 2);
    code(&desk);
    assert_eq!(style(&desk, ".on-paper", "display"), "none");
    emulate(&desk, "print", &[]);
    for hidden in ["#qr", "#sign-out", "#lang", "#print", ".runner", ".scan-me"] {
        assert_eq!(style(&desk, hidden, "display"), "none", "{hidden}");
    }
    for shown in ["#colour", "#name", "#document", "#decision", "#clock-time", "#clock-date", "#as-of", ".on-paper"] {
        assert!(!desk.text(shown).is_empty(), "{shown}");
    }
    desk.picture("citizen-paper");
}
