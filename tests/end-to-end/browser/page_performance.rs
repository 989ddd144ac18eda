//! Weight of the pages, time to first paint and to a code on a slow phone, and from a scan to its verdict: `tests/bench
//! pages`.

use serde_json::{Value, json};
use yima_harness::{Options, Yima, report};

use super::offline_checkpoint::phone;
use super::window::Window;
use super::{PHONE, checkpoint};

/// Page loads, each by a browser with an empty cache.
const ROUNDS: usize = 7;
/// Factor by which the phone is slower than this machine.
const SLOWDOWN: u32 = 4;

/// Runs before the page's own scripts: records when the code appears.
const NOTE_CODE: &str = "new MutationObserver(() => {
        if (document.querySelector('#code[data-code]')) window.codeAt ??= performance.now();
    }).observe(document, { subtree: true, childList: true, attributes: true })";
/// Paths of the page and its files, with their bytes as sent.
const BYTES: &str = "[performance.getEntriesByType('navigation')[0],
    ...performance.getEntriesByType('resource').filter((entry) => /\\/assets\\/|favicon/.test(entry.name))]
    .map((entry) => [new URL(entry.name).pathname, entry.encodedBodySize])";

#[test]
#[ignore = "a measurement: tests/bench pages"]
fn measure_pages() {
    let yima = Yima::start(Options::default());
    let (read, write) = (yima.read_url(), yima.writer_url());
    for (page, origin, path) in [("citizen", &read, "/"), ("checkpoint", &read, "/checkpoint"), ("agency", &write, "/")]
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
                // Signed in: the wait of a citizen who opens the page at a gate.
                window.reload();
                codes.push(window.wait_for_number("window.codeAt"));
            }
        }
        let files: Vec<(String, u64)> = serde_json::from_value(files).expect("names and numbers");
        let sent: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let whole: usize = files.iter().map(|(path, _)| uncompressed(&yima, origin, path)).sum();
        report!("{page}: {} files, {sent} bytes as sent to browsers, compressed; {whole} otherwise", files.len());
        report!("{page}: first paint {:.0} ms at {SLOWDOWN}x slowdown, median of {ROUNDS}", median(&mut paints));
        if page == "citizen" {
            report!("{page}: a code on the screen {:.0} ms after it was opened, likewise", median(&mut codes));
        }
    }
}

/// Scans of one code, each after the verdict on the one before has been cleared: milliseconds from the end of the typing
/// to the verdict on the screen.
const SCANS: &str = "(async () => {
    const input = document.getElementById('code-input'), verdict = document.getElementById('verdict');
    const took = [];
    for (let n = 0; n < 300; n++) {
        document.getElementById('next').click();
        input.value = CODE;
        const begun = performance.now();
        const seen = new Promise((resolve) => {
            const observer = new MutationObserver(() => {
                if (verdict.dataset.reason === '') return;
                observer.disconnect();
                resolve(verdict.dataset.verdict);
            });
            observer.observe(verdict, { attributeFilter: ['data-reason'] });
        });
        input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
        if ((await seen) !== 'pass') throw new Error('no pass');
        took.push(performance.now() - begun);
    }
    return took;
})()";

#[test]
#[ignore = "a measurement: tests/bench pages"]
fn measure_verdicts() {
    let mut yima = Yima::start(Options::default().unlimited());
    let (_, phone) = phone(&yima, "verdicts");
    let desk = checkpoint(&yima);
    desk.see("#offline[data-state='current'][hidden]");
    for slowdown in [1, SLOWDOWN] {
        for network in ["with", "without"] {
            desk.devtools("Emulation.setCPUThrottlingRate", json!({ "rate": slowdown }));
            let script = SCANS.replace("CODE", &json!(phone.show()).to_string());
            let mut took: Vec<f64> = serde_json::from_value(desk.evaluate(&script)).expect("numbers");
            let p50 = median(&mut took);
            let p95 = took[took.len() * 95 / 100];
            report!("verdict {network} a network, {slowdown}x slowdown: p50 {p50:.1} ms, p95 {p95:.1} ms");
            if network == "with" {
                yima.kill9();
            } else {
                yima.start_again();
                desk.click("#next");
                desk.see("#offline[hidden]");
            }
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The size of a file as sent to a client that accepts no compression.
fn uncompressed(yima: &Yima, origin: &str, path: &str) -> usize {
    yima.http().get_with(&format!("{origin}{path}"), &[]).expect("a whole answer").body.len()
}
