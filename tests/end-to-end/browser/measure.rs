//! What the pages weigh, and how soon they are there on a slow phone: `tests/bench pages`.

use serde_json::{Value, json};
use yima_harness::{Options, Yima, report};

use super::PHONE;
use super::chromium::Window;

/// Loads of each page, each by a browser that has seen nothing before.
const ROUNDS: usize = 7;
/// So many times as slow as this machine.
const SLOWDOWN: u32 = 4;

/// Put into a page before its own scripts: notes when there is a code to show.
const NOTE_CODE: &str = "new MutationObserver(() => { if (document.querySelector('#code[data-code]')) window.codeAt ??= performance.now() })
    .observe(document, { subtree: true, childList: true, attributes: true })";
/// Bytes of the page and its files as they were sent.
const BYTES: &str = "[performance.getEntriesByType('navigation')[0],
    ...performance.getEntriesByType('resource').filter((entry) => /\\/assets\\/|favicon/.test(entry.name))]
    .map((entry) => [new URL(entry.name).pathname, entry.encodedBodySize])";

#[test]
#[ignore = "a measurement: tests/bench pages"]
fn measure_pages() {
    let yima = Yima::start(Options::default());
    let (reading, writing) = (yima.read_url(), yima.writer_url());
    for (page, origin, path) in
        [("citizen", &reading, "/"), ("checkpoint", &reading, "/checkpoint"), ("agency", &writing, "/")]
    {
        let (mut paints, mut codes, mut files) = (Vec::new(), Vec::new(), Value::Null);
        for _ in 0..ROUNDS {
            let window = Window::open(PHONE, "about:blank");
            window.devtools("Emulation.setCPUThrottlingRate", json!({ "rate": SLOWDOWN }));
            window.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": NOTE_CODE }));
            window.go_to(&format!("{origin}{path}"));
            window.see("main:not([hidden])");
            paints.push(window.wait_for_number("performance.getEntriesByName('first-contentful-paint')[0]?.startTime"));
            files = window.evaluate(BYTES);
            if page == "citizen" {
                window.click("button[data-person='0']");
                window.see("#code[data-code]");
                // Signed in: what somebody waits for who opens the page at a gate.
                window.reload();
                codes.push(window.wait_for_number("window.codeAt"));
            }
        }
        let files: Vec<(String, u64)> = serde_json::from_value(files).expect("names and numbers");
        let sent: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let whole: usize = files.iter().map(|(path, _)| plain(&yima, origin, path)).sum();
        report!("{page}: {} files, {sent} bytes as sent to browsers, compressed; {whole} otherwise", files.len());
        report!("{page}: first paint {:.0} ms at {SLOWDOWN}x slowdown, median of {ROUNDS}", median(&mut paints));
        if page == "citizen" {
            report!("{page}: a code on the screen {:.0} ms after it was opened, likewise", median(&mut codes));
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The size of a file as it is sent to who takes no compression.
fn plain(yima: &Yima, origin: &str, path: &str) -> usize {
    yima.http().get_with(&format!("{origin}{path}"), &[]).expect("a whole answer").body.len()
}
