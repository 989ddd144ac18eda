//! One window of a real browser, driven through WebDriver. Blocking, like the harness.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use yima_harness::until;

use super::engine::{BrowserLog, Camera, DevTools, Engine, Server};

/// Time for a page to reach an expected state, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// Interval between two polls of a page.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Collects what Chromium writes to its console, from the end of the page's load on.
const COLLECT_FAULTS: &str = "
    window.faults = [];
    for (const kind of ['error', 'unhandledrejection', 'securitypolicyviolation']) {
        addEventListener(kind, (event) => {
            faults.push(`${kind}: ${event.message ?? event.reason ?? event.blockedURI ?? event.target.outerHTML}`);
        }, true);
    }
    for (const level of ['error', 'warn']) {
        const write = console[level];
        console[level] = (...values) => (faults.push(`console: ${values}`), write(...values));
    }";

/// The screen of a window.
#[derive(Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    /// Emulates a phone: touch, and two dots a pixel. Chromium only.
    pub phone: bool,
}

/// A window with a profile of its own; both end when it is dropped.
pub struct Window {
    runtime: Runtime,
    client: Option<Client>,
    engine: Engine,
    /// Dropped after the client.
    _server: Server,
}

impl Window {
    /// Opens `url` in Chromium.
    pub fn open(screen: Screen, url: &str) -> Self {
        Self::open_with(screen, url, &[])
    }

    /// Opens `url` in a Chromium with further arguments.
    pub fn open_with(screen: Screen, url: &str, arguments: &[String]) -> Self {
        Self::connect(Engine::Chromium, Server::chromium(screen, arguments), screen, url)
    }

    /// Opens `url` in this engine. Firefox' windows are at least 500 pixels wide, WebKit's 447.
    pub fn open_in(engine: Engine, camera: Camera, screen: Screen, url: &str) -> Self {
        Self::connect(engine, Server::start(engine, screen, camera), screen, url)
    }

    fn connect(engine: Engine, server: Server, screen: Screen, url: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let mut browser = ClientBuilder::new(HttpConnector::new());
        let started = browser.capabilities(server.capabilities.clone()).connect(&server.address);
        let client = runtime.block_on(started).unwrap_or_else(|error| panic!("{engine:?} does not start: {error}"));
        let window = Self { runtime, client: Some(client), engine, _server: server };
        if engine != Engine::Chromium {
            window.resize(screen);
        }
        window.go_to(url);
        window
    }

    /// Gives the page this size, to which the window's frame and bars are added.
    fn resize(&self, Screen { width, height, .. }: Screen) {
        self.run(self.client().set_window_size(width, height));
        let bars = self.evaluate("[outerWidth - innerWidth, outerHeight - innerHeight]");
        let [across, down]: [u32; 2] = serde_json::from_value(bars).expect("two numbers");
        self.run(self.client().set_window_size(width + across, height + down));
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("set until dropped")
    }

    #[track_caller]
    fn run<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(command).unwrap_or_else(|error| panic!("the browser: {error:?}"))
    }

    /// Waits for an element that matches the CSS selector.
    #[track_caller]
    pub fn see(&self, css: &str) -> Element {
        self.wait_for(Locator::Css(css))
    }

    /// Waits for an element that matches the XPath.
    #[track_caller]
    pub fn see_xpath(&self, xpath: &str) -> Element {
        self.wait_for(Locator::XPath(xpath))
    }

    #[track_caller]
    fn see_visible(&self, css: &str) -> Element {
        self.until(&format!("document.querySelector({})?.checkVisibility()", json!(css)));
        self.see(css)
    }

    #[track_caller]
    fn wait_for(&self, locator: Locator<'_>) -> Element {
        let wait = self.client().wait().at_most(DEADLINE).every(POLL_INTERVAL);
        match self.runtime.block_on(wait.for_element(locator)) {
            Ok(element) => element,
            Err(CmdError::WaitTimeout) => {
                panic!("not seen in {DEADLINE:?}: {locator:?}; the page says:\n{}", self.text("body"))
            }
            Err(error) => panic!("{locator:?}: {error}"),
        }
    }

    /// Waits for an element to be visible, then clicks it.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.see_visible(css);
        self.run(element.click());
    }

    /// Waits for an element to be visible, then types into it; Enter is `\u{e007}`.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        let element = self.see_visible(css);
        self.run(element.send_keys(text));
    }

    /// Opens another page.
    #[track_caller]
    pub fn go_to(&self, url: &str) {
        self.run(self.client().goto(url));
        self.loaded();
    }

    /// Waits until a JavaScript expression is a number.
    #[track_caller]
    pub fn wait_for_number(&self, expression: &str) -> f64 {
        let mut number = None;
        until(&format!("a number: {expression}"), DEADLINE, || {
            number = self.evaluate(expression).as_f64();
            number.is_some()
        });
        number.expect("set before the wait ended")
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.run(self.client().refresh());
        self.loaded();
    }

    /// Closes the tab and opens `url` in another one of the same browser.
    #[track_caller]
    pub fn reopen(&self, url: &str) {
        self.run(async {
            let tab = self.client().new_window(true).await?;
            self.client().close_window().await?;
            self.client().switch_to_window(tab.handle).await
        });
        self.go_to(url);
    }

    fn loaded(&self) {
        if self.engine != Engine::Chromium {
            self.run(self.client().execute(COLLECT_FAULTS, Vec::new()));
        }
    }

    /// The visible text of an element.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        self.run(async { self.client().find(Locator::Css(css)).await?.text().await })
    }

    /// Waits for an element, then reads its attribute.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> String {
        let element = self.see(css);
        self.run(element.attr(name)).unwrap_or_else(|| panic!("{css} has no {name}"))
    }

    /// The value of a JavaScript expression.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.run(self.client().execute(&format!("return {expression}"), Vec::new()))
    }

    /// The answer to a command of the Chrome DevTools protocol. Chromium only.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.run(self.client().issue_cmd(DevTools(json!({ "cmd": command, "params": parameters }))))
    }

    /// axe-core finds no serious or critical violation in the page's present state, and each text is in the page's
    /// language.
    #[track_caller]
    pub fn assert_accessible(&self) {
        let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/pages/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(axe).expect("building the pages has installed axe-core");
        self.run(self.client().execute(&axe, Vec::new()));
        let run = "axe.run().then(({ violations }) => arguments[0](violations), (error) => arguments[0](`${error}`))";
        let violations = self.run(self.client().execute_async(run, Vec::new()));
        let violations = violations.as_array().unwrap_or_else(|| panic!("axe-core: {violations}"));
        let grave = violations.iter().filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
        let grave: Vec<String> = grave.map(|one| format!("{}: {}", one["help"], one["nodes"])).collect();
        assert!(grave.is_empty(), "{}", grave.join("\n"));
        self.assert_one_language();
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let started = Instant::now();
        while self.evaluate(expression) != json!(true) {
            // Unlike the harness' `until`, the failure shows the page.
            assert!(
                started.elapsed() < DEADLINE,
                "not true in {DEADLINE:?}: {expression}; the page says:\n{}",
                self.text("body")
            );
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The console's entries since the last call: uncaught errors, violations of the content security policy,
    /// `console`; in Chromium also failed requests, in the others only entries after the page's load.
    #[track_caller]
    pub fn console(&self) -> Vec<Value> {
        let log = match self.engine {
            Engine::Chromium => self.run(self.client().issue_cmd(BrowserLog)),
            Engine::Firefox | Engine::WebKit => self.evaluate("faults.splice(0)"),
        };
        let Value::Array(log) = log else { panic!("a log is a list: {log}") };
        log
    }

    /// Saves a screenshot for review, below `target/screenshots`; those of other engines than Chromium with its name.
    /// Each text is in the page's language.
    #[track_caller]
    pub fn picture(&self, name: &str) {
        let name = match self.engine {
            Engine::Chromium => name.to_owned(),
            Engine::Firefox | Engine::WebKit => format!("{name}-{:?}", self.engine).to_lowercase(),
        };
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        let png = self.run(self.client().screenshot());
        let written =
            fs::create_dir_all(&directory).and_then(|()| fs::write(directory.join(format!("{name}.png")), png));
        written.expect("the target directory can be written");
        self.assert_one_language();
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Browsers are not in their driver's process group: only the end of the session ends them.
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, client.close()).await });
        }
    }
}
