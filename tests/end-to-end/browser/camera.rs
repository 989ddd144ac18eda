//! The checkpoint's page with a camera: Chromium's fake capture device plays a video of phones that show codes.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use yima_harness::{Options, Yima, new_person};
use yima_schema::time::HOUR;

use super::camera_video::{CameraVideo, Scene};
use super::demo_codes;
use super::window::{Screen, Window};

/// A guard's phone.
const PHONE: Screen = Screen { width: 390, height: 844, phone: true };

/// Codes live as long as the video, and scans have no limit.
pub(super) fn yima() -> Yima {
    Yima::start(options())
}

fn options() -> Options {
    Options::default().unlimited().env("YIMA_READ_API__CODE_LIFETIME_S", 3_600)
}

pub(super) fn sign_in(guard: &Window) {
    guard.click("#demo-guard");
    guard.see("#verdict[data-verdict='idle']");
}

pub(super) fn switch_camera_on(guard: &Window) {
    guard.click("#camera-switch");
    guard.see("#camera[data-camera='on']");
}

/// Number of scan requests that the page has made.
fn scan_requests(guard: &Window) -> Value {
    guard.evaluate("performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/v1/scan')).length")
}

/// Records sounds and vibrations: `window.heard` has the waveform of each note, `window.felt` the
/// pulses of each vibration.
const LISTEN: &str = "(() => {
    window.heard = [];
    window.felt = [];
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (at) { window.heard.push(this.type); return start.call(this, at); };
    navigator.vibrate = (pulses) => window.felt.push(pulses.length);
})()";

#[test]
fn the_camera_reads_codes_and_each_verdict_has_its_sound_and_vibration() {
    let yima = yima();
    let codes = demo_codes(&yima);
    let video = CameraVideo::of(&[
        (Scene::of(&codes[0]), 8),
        (Scene::of(&codes[1]).turned(33.0).sized(0.6).lit(40, 90), 8),
        (Scene::of(&codes[2]).turned(200.0).sized(0.36), 15),
        (Scene::of("https://example.org/menu"), 12),
    ]);
    let guard = Window::open_with(PHONE, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    guard.evaluate(LISTEN);
    sign_in(&guard);
    assert_eq!(
        guard.evaluate("document.querySelector('#camera-switch').getBoundingClientRect().bottom <= innerHeight"),
        json!(true)
    );
    switch_camera_on(&guard);
    guard.see("#verdict[data-verdict='pass'][data-reason='green']");
    guard.picture("camera-pass");
    // The page works with one hand: the button is on the screen without scrolling.
    assert_eq!(
        guard.evaluate("document.querySelector('#next').getBoundingClientRect().bottom <= innerHeight"),
        json!(true)
    );
    guard.see("#verdict[data-verdict='check'][data-reason='yellow']");
    guard.see("#verdict[data-verdict='stop'][data-reason='red']");
    guard.picture("camera-stop");
    guard.until("['sine', 'triangle', 'square'].every(wave => window.heard.includes(wave))");
    guard.until("[1, 3, 5].every(pulses => window.felt.includes(pulses))");

    // The page says that a foreign QR code is no health code, and does not send it.
    guard.see_xpath("//*[@id='camera-note'][.='This is not a health code' or .='这不是健康码']");
    guard.see("#verdict:not([data-reason='malformed'])");

    guard.click("#sound");
    guard.see("#sound[aria-pressed='false']");
    guard.evaluate("window.heard.length = window.felt.length = 0");
    guard.until("window.felt.length > 0");
    assert_eq!(guard.evaluate("window.heard"), json!([]));
    super::assert_clean(&guard, &yima);
}

#[test]
fn a_code_in_view_is_scanned_once_and_signing_out_ends_the_camera() {
    let yima = yima();
    let video = CameraVideo::of(&[(Scene::of(&demo_codes(&yima)[2]), 5)]);
    let guard = Window::open_with(PHONE, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&guard);
    switch_camera_on(&guard);
    guard.see("#verdict[data-verdict='stop'][data-reason='red']");
    let name = guard.text("#person .who strong");
    assert!(name.contains('*'), "masked: {name}");
    guard.evaluate("void (window.real = Date.now, Date.now = () => real() + 46_000)");
    // The verdict clears by itself. The code is still in view, and is not scanned again.
    guard.see("#verdict[data-verdict='idle']");
    guard.evaluate("void (Date.now = real)");
    assert_eq!(guard.text("#person"), "");
    assert_eq!(scan_requests(&guard), json!(1));
    guard.evaluate("(() => { window.from = document.querySelector('video').currentTime; })()");
    guard.until("document.querySelector('video').currentTime > window.from + 3");
    assert_eq!(scan_requests(&guard), json!(1));
    // On its side, the camera leaves the code's field free.
    let turn = |width: u32, height: u32| {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        guard.devtools("Emulation.setDeviceMetricsOverride", screen);
    };
    turn(568, 320);
    guard.until(
        "(() => { const input = document.querySelector('.code-input'), box = input.getBoundingClientRect();
            return input === document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2); })()",
    );
    turn(PHONE.width, PHONE.height);

    // A hidden page switches the camera off. When the page is visible again, the code counts as new.
    let hide = |hidden: bool| {
        guard.evaluate(&format!(
            "(() => {{ Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {hidden} }});
                document.dispatchEvent(new Event('visibilitychange')); }})()"
        ))
    };
    guard.evaluate("(() => { window.track = document.querySelector('video').srcObject.getTracks()[0]; })()");
    hide(true);
    guard.see("#camera[data-camera='off']");
    assert_eq!(guard.evaluate("window.track.readyState"), json!("ended"));
    hide(false);
    guard.see("#verdict[data-verdict='stop'][data-reason='red']");
    guard.click("#next");
    guard.until("performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/v1/scan')).length >= 3");
    guard.see("#verdict[data-verdict='stop'][data-reason='red']");

    guard.evaluate("(() => { window.track = document.querySelector('video').srcObject.getTracks()[0]; })()");
    guard.click("#sign-out");
    guard.see("#demo-guard");
    assert_eq!(guard.evaluate("window.track.readyState"), json!("ended"));
    assert_eq!(guard.evaluate("document.querySelector('video').srcObject"), Value::Null);
    let page = guard.evaluate("[document.documentElement.outerHTML, JSON.stringify(sessionStorage)].join()");
    assert!(!page.to_string().contains(&name), "the page still has the name");
    super::assert_storage_empty(&guard);
    super::assert_clean(&guard, &yima);
}

#[test]
fn an_unencrypted_page_says_that_it_gets_no_camera() {
    let yima = Yima::start(options().env("YIMA_ADMIN__HOST_NAMES", r#"["gate.test"]"#));
    let port = yima.read_url().rsplit(':').next().expect("a port").to_owned();
    let elsewhere = "--host-resolver-rules=MAP gate.test 127.0.0.1".to_owned();
    let guard = Window::open_with(PHONE, &format!("http://gate.test:{port}/checkpoint"), &[elsewhere]);
    sign_in(&guard);
    guard.click("#camera-switch");
    guard.see_xpath("//*[@id='camera-note'][contains(., 'Browsers do not allow the camera')]");
    // The hand scanner works without a camera.
    super::scan(&guard, &demo_codes(&yima)[0]);
    guard.see("#verdict[data-verdict='pass'][data-reason='green']");
}

#[test]
fn a_code_is_judged_while_the_service_hangs_and_checked_when_it_answers_again() {
    let yima = yima();
    let video = CameraVideo::of(&[(Scene::of(&demo_codes(&yima)[0]), 5)]);
    let guard = Window::open_with(PHONE, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&guard);
    guard.see("#offline[data-state='current']");
    yima.pause();
    switch_camera_on(&guard);
    guard.see("#verdict[data-verdict='pass'][data-reason='green']");
    guard.see("#offline:not([hidden])");
    assert_eq!(
        guard.evaluate("document.querySelector('#person .number')"),
        Value::Null,
        "no document without a network"
    );
    yima.resume();
    guard.click("#next");
    guard.see("#offline[hidden]");
    guard.see("#verdict[data-verdict='pass'] .number");
    // The camera's strip hides nothing of the person, whatever buttons the phone has.
    for lang in ["zh-Hans", "en"] {
        guard.click("#lang");
        guard.see(&format!("html[lang='{lang}']"));
        guard.evaluate(
            "void (document.getElementById('torch').hidden = document.getElementById('other-camera').hidden = false)",
        );
        guard.picture(&format!("camera-strip-{lang}"));
        let clear = "document.querySelector('#person').getBoundingClientRect().bottom
            <= document.querySelector('#camera').getBoundingClientRect().top";
        assert_eq!(guard.evaluate(clear), json!(true), "{lang}");
    }
}

#[test]
fn a_desk_screen_shows_camera_and_verdict_without_scrolling() {
    let yima = yima();
    let video = CameraVideo::of(&[(Scene::of(&demo_codes(&yima)[0]), 5)]);
    let desk = Window::open_with(super::DESK, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&desk);
    switch_camera_on(&desk);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    desk.picture("camera-desk");
    desk.assert_accessible();
    assert_eq!(
        desk.evaluate("document.querySelector('#next').getBoundingClientRect().bottom <= innerHeight"),
        json!(true)
    );
}

#[test]
fn a_session_ends_after_a_warning_and_ends_the_camera() {
    let yima = Yima::start(Options::default().env("YIMA_READ_API__CHECKPOINT_SESSION_S", 15));
    let video = CameraVideo::of(&[(Scene::empty(), 5)]);
    let guard = Window::open_with(PHONE, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&guard);
    guard.see("#ending:not(:empty)");
    switch_camera_on(&guard);
    guard.assert_accessible();
    guard.picture("camera-idle");
    guard.see("#sign-in:not([hidden]) #notice:not(:empty)");
    assert_eq!(guard.evaluate("document.querySelector('video').srcObject"), Value::Null);
    super::assert_storage_empty(&guard);
    super::assert_clean(&guard, &yima);
}

/// A guard's phone downloads the page before the first scan, perhaps over a slow network.
#[test]
fn the_page_weighs_at_most_60_kb() {
    let yima = yima();
    let video = CameraVideo::of(&[(Scene::empty(), 5)]);
    let guard = Window::open_with(PHONE, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&guard);
    switch_camera_on(&guard);
    let sizes = guard.evaluate(
        "[performance.getEntriesByType('navigation')[0],
            ...performance.getEntriesByType('resource').filter((entry) => /\\/assets\\/|favicon/.test(entry.name))]
            .map((entry) => [entry.name, entry.encodedBodySize])",
    );
    // The icon has two entries.
    let sizes: BTreeMap<String, u32> =
        serde_json::from_value::<Vec<_>>(sizes).expect("names and numbers").into_iter().collect();
    assert_eq!(sizes.len(), 5, "{sizes:?}");
    assert!(sizes.values().sum::<u32>() <= 60_000, "{sizes:?}");
    assert!(sizes.values().all(|&size| size > 100), "{sizes:?}");
}

/// `tests/bench scan-page`: from the first frame that shows a code to its verdict on the screen.
#[test]
#[ignore = "a measurement"]
fn from_frame_to_verdict() {
    const CODES: usize = 50;
    /// Frames of each code: a verdict stays for a second.
    const FRAMES: u32 = 6;
    let yima = yima();
    let lab = yima.agency_token("lab-7");
    // The background changes with each code, so that the page can tell their frames apart. The
    // first scene opens the camera.
    let scenes: Vec<_> = (0..=CODES)
        .map(|n| {
            let person = new_person();
            yima.event(&lab, &person.test(&format!("camera-{n}"), "negative", HOUR));
            let code = yima.code(&yima.session_of(&person));
            (Scene::of(&code).background(if n % 2 == 0 { 60 } else { 150 }), FRAMES)
        })
        .collect();
    let video = CameraVideo::of(&scenes);
    let guard = Window::open_with(PHONE, &format!("{}/checkpoint", yima.read_url()), &video.arguments());
    sign_in(&guard);
    guard.evaluate(
        "(() => {
            window.took = [];
            let background, since;
            const video = document.querySelector('video');
            const pixel = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
            const onFrame = (_, { presentationTime }) => {
                pixel.drawImage(video, 0, 0, 8, 8, 0, 0, 1, 1);
                const seen = pixel.getImageData(0, 0, 1, 1).data[0] > 105;
                if (background !== undefined && background !== seen) since = presentationTime;
                background = seen;
                video.requestVideoFrameCallback(onFrame);
            };
            video.requestVideoFrameCallback(onFrame);
            const verdict = document.querySelector('#verdict');
            new MutationObserver(() => {
                if (verdict.dataset.verdict !== 'pass' || since === undefined) return;
                window.took.push(performance.now() - since);
                since = undefined;
            }).observe(verdict, { attributeFilter: ['data-verdict'] });
        })()",
    );
    switch_camera_on(&guard);
    for done in (10..=CODES).step_by(10) {
        guard.until(&format!("window.took.length >= {done}"));
    }
    let mut took: Vec<f64> = serde_json::from_value(guard.evaluate("window.took")).expect("numbers");
    took.truncate(CODES);
    took.sort_by(f64::total_cmp);
    let (p50, p95) = (took[CODES / 2], took[CODES * 95 / 100]);
    // A figure to read, not a bound.
    let _ = writeln!(std::io::stderr(), "{CODES} codes, from frame to verdict: p50 {p50:.0} ms, p95 {p95:.0} ms");
}
