//! The checkpoint's page with a hand scanner, which types codes as a keyboard does, and by keyboard alone.

use serde_json::json;
use yima_harness::{Options, Yima};

use super::camera::yima;
use super::layout::{on_screen, resize};
use super::window::{Screen, Window};
use super::{DESK, ENTER, PHONE, checkpoint, demo_codes, scan};

const ESCAPE: &str = "\u{e00c}";
const TABLET: Screen = Screen { width: 820, height: 1180, phone: true };

/// What arrives at a computer with a French keyboard when a scanner types by the positions of a United States one.
fn on_french_keyboard(code: &str) -> String {
    let arrives = |key| match key {
        'A' => 'Q',
        'Q' => 'A',
        'W' => 'Z',
        'Z' => 'W',
        'M' => '?',
        ':' => 'M',
        '0'..='9' => ['à', '&', 'é', '"', '\'', '(', '-', 'è', '_', 'ç'][usize::from(key as u8 - b'0')],
        '$' => '4',
        '%' => '5',
        '*' => '8',
        '-' => ')',
        '.' => ':',
        '/' => '!',
        other => other,
    };
    code.chars().map(arrives).collect()
}

#[test]
fn the_first_character_of_the_next_code_blanks_the_verdict_and_a_code_needs_no_enter() {
    let yima = yima();
    let codes = demo_codes(&yima);
    let (green, red) = (&codes[0], &codes[2]);
    let desk = checkpoint(&yima);
    let pass = || desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    let stop = || desk.see("#verdict[data-verdict='stop'][data-reason='red']");
    let blank = || {
        let verdict = desk.evaluate("document.getElementById('verdict').dataset.verdict");
        assert!(verdict == json!("reading") || verdict == json!("idle"), "{verdict}");
        assert_eq!(desk.text("#person"), "");
    };
    scan(&desk, green);
    pass();
    desk.evaluate(
        "void (() => {
            window.panels = [];
            const [verdict, person] = ['verdict', 'person'].map((id) => document.getElementById(id));
            new MutationObserver(() => panels.push(verdict.dataset.verdict + person.innerText))
                .observe(verdict, { attributeFilter: ['data-verdict'] });
        })()",
    );
    desk.type_into("#code-input", &red[..1]);
    desk.until("panels.length > 0");
    assert_eq!(desk.evaluate("panels[0]"), json!("reading"));
    desk.type_into("#code-input", red);
    stop();
    assert_eq!(desk.evaluate("panels.filter((panel) => panel.startsWith('pass'))"), json!([]));

    // An AIM identifier, another keyboard layout, and the rest of an unfinished scan.
    desk.type_into("#code-input", &format!("]Q1{green}"));
    pass();
    desk.type_into("#code-input", &on_french_keyboard(red));
    stop();
    desk.type_into("#code-input", &format!("{}{green}", &red[..100]));
    pass();
    // Control characters of a frame: STX and ETX are Control and a letter.
    desk.evaluate("void document.getElementById('code-input').focus()");
    for (key, control) in [("b", true), ("c", true)] {
        desk.evaluate(&format!(
            "document.activeElement.dispatchEvent(
                new KeyboardEvent('keydown', {{ key: '{key}', ctrlKey: {control}, bubbles: true, cancelable: true }}))"
        ));
    }
    desk.see("#verdict[data-verdict='pass']");

    // Two people's codes run together: nobody passes. The same code twice is one scan.
    desk.type_into("#code-input", &format!("{green}{red}"));
    desk.see("#verdict[data-verdict='unchecked'][data-reason='several']");
    desk.type_into("#code-input", &format!("{green}]Q1{green}"));
    pass();
    desk.type_into("#code-input", &format!("ZM1Ö{}{ENTER}", "A`B".repeat(90)));
    desk.see("#verdict[data-verdict='unchecked'][data-reason='layout']");

    // A code in the fields for documents is a code.
    desk.click("#no-code summary");
    for (field, code) in [("#document-number", red), ("#document-type", green)] {
        desk.type_into(field, code);
        desk.see(if code == red { "#verdict[data-verdict='stop']" } else { "#verdict[data-verdict='pass']" });
        desk.see("#code-input:focus:placeholder-shown");
        assert_eq!(desk.evaluate("document.getElementById('document-number').value"), json!(""));
    }
    // A document is the next person's too.
    desk.type_into("#document-number", "1");
    blank();
    // A code is another person's: no number stays beside it.
    scan(&desk, green);
    pass();
    assert_eq!(desk.evaluate("document.getElementById('document-number').value"), json!(""));
    // Its number in the field for codes goes to the form, where its type is confirmed.
    desk.type_into("#code-input", &format!("11010519491231002x{ENTER}"));
    desk.see("#verdict[data-verdict='unchecked'][data-reason='document']");
    desk.see("#document-number:focus");
    assert_eq!(desk.evaluate("document.getElementById('document-number').value"), json!("11010519491231002X"));
    desk.assert_accessible();
    desk.type_into("#document-number", ENTER);
    desk.see("#verdict[data-verdict='check'][data-reason='not_registered']");

    // Escape clears the screen, and ends a scan that is being typed.
    desk.type_into("#code-input", ESCAPE);
    desk.see("#verdict[data-verdict='idle']");
    desk.type_into("#code-input", &format!("{}{ESCAPE}", &red[..50]));
    desk.see("#verdict[data-verdict='idle']");
    desk.see("#code-input:focus:placeholder-shown");
    super::assert_clean(&desk, &yima);
}

#[test]
fn a_scanners_enter_counts_while_an_input_method_composes() {
    let yima = Yima::start(Options::default());
    let desk = checkpoint(&yima);
    let typed = |text: &str, key: &str| {
        desk.evaluate(&format!(
            "((input) => {{
                input.value = '{text}';
                input.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', isComposing: true }}));
                input.dispatchEvent(new CompositionEvent('compositionend'));
                return input.value;
            }})(document.getElementById('code-input'))"
        ))
    };
    // A space ends a composition too, in the middle of a code.
    assert_eq!(typed("ym1:0123456789abcdefgh", " "), json!("ym1:0123456789abcdefgh"));
    assert_eq!(typed("\u{ff39}m1:0123456789abcdefgh", "Enter"), json!(""));
    desk.see("#verdict[data-reason='malformed']");
}

/// Presses a key as a keyboard does: to whatever has the focus.
fn press(window: &Window, key: &str) {
    let (code, text) = match key {
        "Tab" => (9, ""),
        "Enter" => (13, "\r"),
        other => panic!("a key without a code: {other}"),
    };
    for kind in ["keyDown", "keyUp"] {
        let text = if kind == "keyDown" { text } else { "" };
        let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        window.devtools("Input.dispatchKeyEvent", event);
    }
}

/// Moves the focus with Tab, and fails after a whole round.
#[track_caller]
fn tab_to(window: &Window, css: &str) {
    for _ in 0..20 {
        press(window, "Tab");
        if window.evaluate(&format!("document.activeElement.matches(\"{css}\")")) == json!(true) {
            return;
        }
    }
    panic!("Tab does not reach {css}");
}

#[test]
fn a_guard_needs_no_mouse_and_reads_one_language() {
    let yima = yima();
    let codes = demo_codes(&yima);
    let desk = Window::open(DESK, &format!("{}/checkpoint", yima.read_url()));
    desk.see("#demo-guard");
    let outline = desk.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, json!("none"), "a focus line on load");
    desk.picture("guard-sign-in");
    tab_to(&desk, "#demo-guard");
    press(&desk, "Enter");
    desk.see("#verdict[data-verdict='idle'] #hint:not([hidden])");
    assert_eq!(desk.text("#post-name"), "demo-gate");
    assert_eq!(desk.text("#post-policy"), "By colour alone");
    desk.picture("guard-first-use");
    tab_to(&desk, "#open-guide");
    press(&desk, "Enter");
    desk.see("#guide[open] summary:focus");
    desk.picture("guard-guide");
    for lang in ["zh-Hans", "en"] {
        tab_to(&desk, "#lang");
        press(&desk, "Enter");
        desk.see(&format!("html[lang='{lang}']"));
    }
    desk.assert_one_language();
    desk.assert_accessible();
    // A scanner types into the button that has the focus, and the hint is gone for good.
    desk.evaluate("void document.getElementById('sound').focus()");
    desk.type_into("#sound", &codes[1]);
    desk.see("#verdict[data-verdict='check'][data-sign='yellow'] .shape-triangle");
    desk.see("#hint[hidden]");
    // On a phone on its side the person is beside the verdict, to be compared without scrolling.
    for (width, height) in [(844, 390), (568, 320)] {
        resize(&desk, width, height);
        let beside = "#verdict-shape, #verdict-word, #person .who, #person .colour, #person .fact";
        assert_eq!(on_screen(&desk, beside), json!(true), "{beside} at {width}x{height}");
        super::assert_fits(&desk);
        desk.picture(&format!("guard-yellow-{width}x{height}"));
    }
    desk.devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    tab_to(&desk, "#no-code summary");
    press(&desk, "Enter");
    tab_to(&desk, "#document-number");
    desk.type_into("#document-number", &format!("11010519491231002X{ENTER}"));
    desk.see("#verdict[data-sign='unregistered'] .shape-card");
    super::assert_clean(&desk, &yima);

    // Each sign, as the service may answer, on a desk, a tablet and a phone.
    for (reason, sign, shape) in [
        ("yellow", "yellow", "triangle"),
        ("expired", "expired", "clock"),
        ("malformed", "unreadable", "broken"),
        ("test_too_old", "test", "tube"),
        ("not_registered", "unregistered", "card"),
        ("region_silent", "unproved", "cloud"),
    ] {
        let answer = json!({
            "verdict": "check", "reason": reason, "instruction": "", "identity": null, "colour": null, "tests": [],
            "vaccination": null, "as_of": null,
        });
        desk.evaluate(&format!("void (window.fetch = async () => new Response({:?}))", answer.to_string()));
        scan(&desk, "a code");
        desk.see(&format!("#verdict[data-reason='{reason}'][data-sign='{sign}'] .shape-{shape}"));
        for (name, Screen { width, height, phone }) in [("desk", DESK), ("tablet", TABLET), ("phone", PHONE)] {
            let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
            desk.devtools("Emulation.setDeviceMetricsOverride", metrics);
            super::assert_fits(&desk);
            desk.picture(&format!("guard-{reason}-{name}"));
        }
    }
}
