//! The main flows of the pages, in each engine: who wants to use them, what they see, and what is left in the browser.

use std::fs;

use fast_qr::{ECL, QRBuilder};
use serde_json::json;
use yima_harness::{Options, Yima, ago, new_person};
use yima_schema::time::HOUR;

use super::engine::{Camera, Engine};
use super::window::{Screen, Window};
use super::{DESK, ENTER, PHONE, assert_clean, assert_fits, assert_storage_empty, code, demo_codes, demo_people, scan};

/// A module of tests, one a flow, in this engine.
macro_rules! in_engine {
    ($module:ident, $engine:ident: $($flow:ident),*) => {
        mod $module {
            use super::Engine;
            $(
                #[test]
                fn $flow() {
                    super::$flow(Engine::$engine);
                }
            )*
        }
    };
}

macro_rules! in_each_engine {
    ($($flow:ident),* $(,)?) => {
        in_engine!(chromium, Chromium: $($flow),*);
        in_engine!(firefox, Firefox: $($flow),*);
        in_engine!(webkit, WebKit: $($flow),*);
    };
}

in_each_engine!(
    a_guard_scans_a_citizens_code,
    a_clerk_sends_a_result_and_a_file,
    a_guards_camera_reads_a_code,
    the_page_says_why_there_is_no_camera,
);

fn open(engine: Engine, screen: Screen, url: &str) -> Window {
    Window::open_in(engine, Camera::Absent, screen, url)
}

fn checkpoint(yima: &Yima, engine: Engine, camera: Camera, screen: Screen) -> Window {
    let guard = Window::open_in(engine, camera, screen, &format!("{}/checkpoint", yima.read_url()));
    guard.click("#demo-guard");
    guard.see("#verdict[data-verdict='idle']");
    guard
}

/// The page's other language and back: this element has the texts in Chinese and in English.
#[track_caller]
fn assert_both_languages(window: &Window, id: &str, chinese: &str, english: &str) {
    for (lang, text) in [("zh-Hans", chinese), ("en", english)] {
        window.click("#lang");
        window.see(&format!("html[lang='{lang}']"));
        window.see_xpath(&format!("//*[@id='{id}'][.='{text}']"));
        assert_fits(window);
    }
}

/// Signing out leaves no storage.
#[track_caller]
fn sign_out(window: &Window) {
    window.click("#sign-out");
    window.see("#sign-in:not([hidden])");
    assert_storage_empty(window);
}

fn a_guard_scans_a_citizens_code(engine: Engine) {
    let yima = Yima::start(Options::default());
    let phone = open(engine, PHONE, &yima.read_url());
    phone.see("button[data-person='0']");
    phone.assert_accessible();
    phone.click("button[data-person='0']");
    phone.see("#colour[data-colour='green']");
    phone.see("#as-of[datetime]");
    let time = phone.text("#clock-time");
    phone.see_xpath(&format!("//*[@id='clock-time'][.!='{time}']"));
    let green = code(&phone);
    phone.picture("citizen");
    phone.assert_accessible();
    assert_both_languages(&phone, "colour-word", "绿码", "Green");

    let desk = open(engine, DESK, &format!("{}/checkpoint", yima.read_url()));
    desk.see("#demo-guard");
    desk.assert_accessible();
    desk.click("#demo-guard");
    desk.see("#verdict[data-verdict='idle']");
    desk.assert_accessible();
    scan(&desk, &green);
    desk.see("#verdict[data-verdict='pass'][data-reason='green']");
    assert_eq!(desk.text("#person .who"), format!("{} {}", phone.text("#name"), phone.text("#document")));
    desk.picture("checkpoint");
    desk.assert_accessible();
    assert_both_languages(&desk, "verdict-word", "通行", "Pass");
    // A scanner types into the focused element.
    let [_, yellow, red] = demo_codes(&yima);
    for (code, verdict, reason) in
        [(&*yellow, "check", "yellow"), (&red, "stop", "red"), ("no health code", "check", "malformed")]
    {
        desk.see("#code-input:focus:placeholder-shown");
        scan(&desk, code);
        desk.see(&format!("#verdict[data-verdict='{verdict}'][data-reason='{reason}']"));
    }
    assert_eq!(desk.text("#person"), "");
    desk.assert_accessible();

    // The phone learns of a positive test by its live display, and stays signed in after a reload.
    let [person, ..] = demo_people(&yima);
    assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("flow-1", "positive", HOUR)), "accepted");
    phone.see("#colour[data-colour='red']");
    scan(&desk, &green);
    desk.see("#verdict[data-verdict='stop'][data-reason='red']");
    phone.reload();
    phone.see("#colour[data-colour='red']");
    code(&phone);
    // A phone that keeps keys makes its codes itself, from then on also when the page is opened again.
    phone.click("#keep");
    phone.see("#next-code:not([hidden])");
    phone.reload();
    phone.see("#next-code:not([hidden])");
    scan(&desk, "no health code");
    desk.see("#verdict[data-reason='malformed']");
    scan(&desk, &code(&phone));
    desk.see("#verdict[data-verdict='stop'][data-reason='red']");
    for window in [&phone, &desk] {
        assert_clean(window, &yima);
        sign_out(window);
    }
}

fn a_clerk_sends_a_result_and_a_file(engine: Engine) {
    let yima = Yima::start(Options::default());
    let desk = open(engine, DESK, &yima.writer_url());
    desk.see("#demo-sign-in:not([hidden])");
    desk.assert_accessible();
    desk.click("#demo-agency");
    desk.see("#work:not([hidden])");
    desk.click("#single button[type='submit']");
    desk.see("#document-number[aria-invalid='true']");
    desk.see("#fault-document_number:not(:empty)");
    desk.assert_accessible();

    let [one, two] = [(); 2].map(|()| new_person());
    desk.type_into("#document-number", &one.document);
    desk.evaluate(&format!(
        "void (document.getElementById('result').value = 'positive',
            document.getElementById('occurred-at').value =
                new Date(Date.parse('{}') - new Date().getTimezoneOffset() * 6e4).toISOString().slice(0, 16))",
        ago(HOUR)
    ));
    desk.click("#single button[type='submit']");
    desk.see("#confirm[open] #confirm-back:focus");
    desk.assert_accessible();
    desk.click("#confirm-send");
    desk.see("#single-status[data-status='accepted']");
    assert_eq!(yima.shown(&yima.session_of(&one)).0, "red");
    desk.click("#sent-rows [data-act='take_back']");
    desk.type_into("#confirm-why", &format!("samples mixed up{ENTER}"));
    desk.see("#sent-rows tr[data-state='taken_back']");
    assert_eq!(yima.shown(&yima.session_of(&one)).0, "green");
    desk.reload();
    desk.see("#work:not([hidden])");

    let file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    let row =
        |id, result| format!("{id},test_result,cn_resident_id,{},{},nucleic_acid,{result}\n", two.document, ago(HOUR));
    let rows = [
        "id,kind,document_type,document_number,occurred_at,test,result\n".into(),
        row("bad", "fine"),
        row("good", "positive"),
    ];
    fs::write(file.path(), rows.concat()).expect("a file");
    desk.type_into("#file", file.path().to_str().expect("a path in UTF-8"));
    desk.click("#send-file:enabled");
    desk.see("#counts:not(:empty)");
    desk.see("#upload-status[data-status='partly']");
    assert_eq!(desk.evaluate("document.querySelectorAll('#failed-rows tr').length"), json!(1));
    assert_eq!(yima.shown(&yima.session_of(&two)).0, "red");
    desk.picture("agency-upload");
    desk.assert_accessible();
    assert_both_languages(&desk, "sign-out", "退出", "Sign out");
    // The part that reads workbooks is loaded.
    desk.type_into("#file", concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/workbooks/results-1.xlsx"));
    desk.see_xpath("//*[@id='preview-title'][contains(., 'results-1.xlsx · 9')]");
    assert_eq!(desk.evaluate("document.querySelectorAll('#failed-rows tr').length"), json!(5));
    assert_eq!(desk.console(), Vec::<serde_json::Value>::new());
    sign_out(&desk);
}

fn a_guards_camera_reads_a_code(engine: Engine) {
    let yima = Yima::start(Options::default());
    let guard = checkpoint(&yima, engine, Camera::Fake, PHONE);
    guard.click("#camera-switch");
    guard.see("#camera[data-camera='on']");
    guard.until("document.querySelector('video').currentTime > 0.5");
    guard.assert_accessible();
    guard.picture("camera-fake");
    guard.click("#camera-switch");
    guard.see("#camera[data-camera='off']");

    // No engine but Chromium has a fake camera that can show a code.
    let [green, ..] = demo_codes(&yima);
    film(&guard, &green);
    guard.click("#camera-switch");
    guard.see("#verdict[data-verdict='pass'][data-reason='green']");
    assert_clean(&guard, &yima);
    guard.evaluate("void (window.track = document.querySelector('video').srcObject.getTracks()[0])");
    sign_out(&guard);
    assert_eq!(guard.evaluate("track.readyState"), json!("ended"));
}

/// Replaces the camera by a picture of this code.
fn film(guard: &Window, code: &str) {
    let code = QRBuilder::new(code).ecl(ECL::L).build().expect("a code fits into a QR code");
    let row = |y: usize| (0..code.size).map(|x| u8::from(code[y][x].value())).collect::<Vec<_>>();
    let modules: Vec<_> = (0..code.size).map(row).collect();
    guard.evaluate(&format!(
        "void (navigator.mediaDevices.getUserMedia = async () => {{
            const rows = {modules:?}, canvas = document.createElement('canvas'), size = rows.length + 8;
            canvas.width = canvas.height = 8 * size;
            const context = canvas.getContext('2d');
            const draw = () => {{
                context.fillStyle = 'white';
                context.fillRect(0, 0, 8 * size, 8 * size);
                context.fillStyle = 'black';
                rows.forEach((row, y) => row.forEach((dark, x) => {{
                    if (dark) context.fillRect(8 * (x + 4), 8 * (y + 4), 8, 8);
                }}));
            }};
            draw();
            // A canvas that stays as it is has no second frame.
            setInterval(draw, 50);
            return canvas.captureStream();
        }})"
    ));
}

fn the_page_says_why_there_is_no_camera(engine: Engine) {
    let yima = Yima::start(Options::default());
    let absent = (Camera::Absent, ["There is no camera", "未找到摄像头"]);
    let refused = (Camera::Refused, ["The camera was refused", "摄像头权限被拒绝"]);
    let [green, ..] = demo_codes(&yima);
    for (camera, [english, chinese]) in if engine == Engine::WebKit { vec![absent] } else { vec![absent, refused] } {
        let guard = checkpoint(&yima, engine, camera, PHONE);
        guard.click("#camera-switch");
        guard.see_xpath(&format!("//*[@id='camera-note'][contains(., '{english}') or contains(., '{chinese}')]"));
        // The hand scanner works without a camera.
        scan(&guard, &green);
        guard.see("#verdict[data-verdict='pass'][data-reason='green']");
    }
}
