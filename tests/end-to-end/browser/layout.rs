//! What fits on the citizen's screen: the code whole on every phone, upright and on its side, and type of any size.

use serde_json::{Value, json};
use yima_harness::{Options, Yima};

use super::window::Window;
use super::{PHONE, assert_fits, code, demo_codes, phone, scan};

/// Gives the window another size.
pub(super) fn resize(window: &Window, width: u32, height: u32) {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
    window.devtools("Emulation.setDeviceMetricsOverride", metrics);
    // A page that is too wide makes `innerWidth` larger.
    window.until(&format!("screen.width === {width} && screen.height === {height}"));
}

/// Whether elements are on the screen as a whole, without scrolling.
pub(super) fn on_screen(window: &Window, css: &str) -> Value {
    window.evaluate(&format!(
        "(scrollTo(0, 0), [...document.querySelectorAll(\"{css}\")].map((one) => one.getBoundingClientRect())
            .every(({{ top, left, right, bottom }}) =>
                top >= 0 && left >= 0 && right <= innerWidth && bottom <= innerHeight && bottom > top))"
    ))
}

#[test]
fn the_code_is_whole_on_every_phone_and_type_of_any_size_fits_the_width() {
    let yima = Yima::start(Options::default());
    let phone = phone(&yima, PHONE, 1);
    code(&phone);
    for lang in ["en", "zh-Hans"] {
        for (width, height) in [(390, 844), (320, 568), (568, 320), (667, 375), (844, 390), (932, 430)] {
            resize(&phone, width, height);
            assert_eq!(on_screen(&phone, "#qr"), json!(true), "the code at {width}x{height} in {lang}");
            assert_fits(&phone);
            phone.picture(&format!("citizen-{width}x{height}-{lang}"));
            // A scanner needs at least two pixels of a phone's screen a module, here of 73.
            let side = phone.evaluate("document.querySelector('#qr svg').getBoundingClientRect().width");
            assert!(side.as_f64().is_some_and(|side| side >= 200.0), "{side} at {width}x{height}");
        }
        resize(&phone, 390, 844);
        let beside = "#colour, #name, #qr, #as-of, #tests, #vaccination";
        assert_eq!(on_screen(&phone, beside), json!(true), "{beside} in {lang}");
        // 200 % type, as a browser's setting makes it; and the page's large type on top of that.
        for (size, screens) in [
            ("137.5%", [(568, 320), (844, 390)]),
            ("200%", [(390, 844), (320, 568)]),
            ("275%", [(390, 844), (320, 568)]),
        ] {
            phone.evaluate(&format!("void (document.documentElement.style.fontSize = '{size}')"));
            for (width, height) in screens {
                resize(&phone, width, height);
                assert_fits(&phone);
            }
            phone.picture(&format!("citizen-type-{}-{lang}", size.trim_end_matches('%')));
        }
        phone.evaluate("void document.documentElement.style.removeProperty('font-size')");
        phone.click("#lang");
    }
    phone.click("#sign-out");
    phone.see("button[data-person='0']");
    phone.evaluate("void (document.documentElement.style.fontSize = '200%')");
    resize(&phone, 320, 568);
    assert_fits(&phone);
}

#[test]
fn the_code_is_whole_with_a_browser_set_to_type_of_200_percent() {
    let yima = Yima::start(Options::default());
    // Media queries follow this setting, and not a style of the page.
    let phone = Window::open_with(PHONE, &yima.read_url(), &["--blink-settings=defaultFontSize=32".to_owned()]);
    assert_eq!(phone.evaluate("getComputedStyle(document.documentElement).fontSize"), json!("32px"));
    phone.click("button[data-person='1']");
    code(&phone);
    for lang in ["zh-Hans", "en"] {
        phone.click("#lang");
        phone.see(&format!("html[lang='{lang}']"));
        for (width, height) in [(390, 844), (320, 568), (568, 320), (844, 390)] {
            resize(&phone, width, height);
            assert_eq!(on_screen(&phone, "#qr, #colour, .brand"), json!(true), "at {width}x{height} in {lang}");
            assert_fits(&phone);
            phone.picture(&format!("citizen-browser-200-{width}x{height}-{lang}"));
        }
    }
    // The page's own large type on top of it.
    phone.click("#large");
    for (width, height) in [(320, 568), (568, 320)] {
        resize(&phone, width, height);
        assert_fits(&phone);
        assert_eq!(on_screen(&phone, ".brand, #colour-word"), json!(true), "the name is cut off");
        phone.picture(&format!("citizen-browser-275-{width}x{height}"));
    }
}

#[test]
fn the_guards_browser_may_be_set_to_type_of_200_percent() {
    let yima = Yima::start(Options::default());
    let [_, yellow, _] = demo_codes(&yima);
    let url = format!("{}/checkpoint", yima.read_url());
    let guard = Window::open_with(PHONE, &url, &["--blink-settings=defaultFontSize=32".to_owned()]);
    guard.click("#demo-guard");
    guard.see("#verdict[data-verdict='idle']");
    scan(&guard, &yellow);
    guard.see("#verdict[data-verdict='check']");
    for (width, height) in [(390, 844), (320, 568), (844, 390), (1024, 768)] {
        resize(&guard, width, height);
        assert_fits(&guard);
        let header_and_verdict = "#post-name, #post-policy, #verdict-shape, #verdict-word";
        assert_eq!(on_screen(&guard, header_and_verdict), json!(true), "at {width}x{height}");
        let cut = guard.evaluate(
            "[...document.querySelectorAll('.post > *, #verdict, #verdict *')]
                .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === 'hidden')
                .map((one) => one.id || one.className)",
        );
        assert_eq!(cut, json!([]), "cut off at {width}x{height}");
        guard.picture(&format!("guard-browser-200-{width}x{height}"));
    }
}
