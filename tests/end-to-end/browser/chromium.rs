//! One window of a real Chromium, driven by Debian's chromedriver through WebDriver. Blocking, like the rest of the harness.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// For a page to become what is waited for, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// What Chromium is started with: no window, and nothing of its own on the network.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
];

/// What the page is seen on.
#[derive(Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    /// With touch, and two dots a pixel.
    pub phone: bool,
}

/// A window with a profile of its own; both end when it is dropped.
pub struct Window {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    profile: TempDir,
}

impl Window {
    /// Opens `url`.
    pub fn open(screen: Screen, url: &str) -> Self {
        Self::open_with(screen, url, &[])
    }

    /// Opens `url` in a Chromium that was given more arguments.
    pub fn open_with(screen: Screen, url: &str, arguments: &[String]) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let profile = TempDir::new().expect("a temporary directory");
        let (driver, address) = start_driver();
        let mut window = Self { runtime, client: None, driver, profile };
        let mut chromium = ClientBuilder::new(HttpConnector::new());
        let started = chromium.capabilities(capabilities(screen, window.profile.path(), arguments)).connect(&address);
        window.client = Some(window.runtime.block_on(started).expect("chromedriver starts Chromium"));
        window.done(window.client().goto(url));
        window
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("set until dropped")
    }

    #[track_caller]
    fn done<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(command).unwrap_or_else(|e| panic!("the browser: {e}"))
    }

    /// Waits until something matches the CSS selector.
    #[track_caller]
    pub fn see(&self, css: &str) -> Element {
        self.wait_for(Locator::Css(css))
    }

    /// Waits until something matches the XPath.
    #[track_caller]
    pub fn see_xpath(&self, xpath: &str) -> Element {
        self.wait_for(Locator::XPath(xpath))
    }

    #[track_caller]
    fn wait_for(&self, what: Locator<'_>) -> Element {
        let wait = self.client().wait().at_most(DEADLINE).every(PERIOD);
        match self.runtime.block_on(wait.for_element(what)) {
            Ok(element) => element,
            Err(CmdError::WaitTimeout) => {
                panic!("not seen in {DEADLINE:?}: {what:?}; the page says:\n{}", self.text("body"))
            }
            Err(e) => panic!("{what:?}: {e}"),
        }
    }

    /// Waits for it, then clicks it.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.see(css);
        self.done(element.click());
    }

    /// Types into it; Enter is `\u{e007}`.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        let element = self.see(css);
        self.done(element.send_keys(text));
    }

    /// Opens another page.
    #[track_caller]
    pub fn go_to(&self, url: &str) {
        self.done(self.client().goto(url));
    }

    /// Waits until an expression has a number.
    #[track_caller]
    pub fn wait_for_number(&self, expression: &str) -> f64 {
        let begun = Instant::now();
        loop {
            if let Some(number) = self.evaluate(expression).as_f64() {
                return number;
            }
            assert!(begun.elapsed() < DEADLINE, "no number in {DEADLINE:?}: {expression}");
            std::thread::sleep(PERIOD);
        }
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.done(self.client().refresh());
    }

    /// What it says, as far as it can be seen.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        self.done(async { self.client().find(Locator::Css(css)).await?.text().await })
    }

    /// Waits for it, then reads the attribute.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> String {
        let element = self.see(css);
        self.done(element.attr(name)).unwrap_or_else(|| panic!("{css} has no {name}"))
    }

    /// The value of a JavaScript expression.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.done(self.client().execute(&format!("return {expression}"), Vec::new()))
    }

    /// A command of Chromium's own, beyond WebDriver's (Chrome DevTools protocol).
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: Value) {
        self.done(self.client().issue_cmd(DevTools(json!({ "cmd": command, "params": parameters }))));
    }

    /// Nothing that axe-core takes for a serious or critical hindrance, in the state that the page is in.
    #[track_caller]
    pub fn assert_accessible(&self) {
        let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/pages/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(axe).expect("building the pages has installed axe-core");
        self.done(self.client().execute(&axe, Vec::new()));
        let run = "axe.run().then(({ violations }) => arguments[0](violations), (fault) => arguments[0](`${fault}`))";
        let found = self.done(self.client().execute_async(run, Vec::new()));
        let found = found.as_array().unwrap_or_else(|| panic!("axe-core: {found}"));
        let grave = found.iter().filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
        let said: Vec<String> = grave.map(|one| format!("{}: {}", one["help"], one["nodes"])).collect();
        assert!(said.is_empty(), "{}", said.join("\n"));
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let begun = Instant::now();
        while self.evaluate(expression) != json!(true) {
            assert!(
                begun.elapsed() < DEADLINE,
                "not so in {DEADLINE:?}: {expression}; the page says:\n{}",
                self.text("body")
            );
            std::thread::sleep(PERIOD);
        }
    }

    /// What Chromium had to say about the page since this was asked last: uncaught errors, violations of its content
    /// security policy, failed requests, `console`.
    pub fn complaints(&self) -> Vec<Value> {
        let Value::Array(log) = self.done(self.client().issue_cmd(BrowserLog)) else {
            panic!("a log is a list");
        };
        log
    }

    /// Keeps a picture for people to look at, below `target/screenshots`.
    pub fn picture(&self, name: &str) {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        let png = self.done(self.client().screenshot());
        let written =
            fs::create_dir_all(&directory).and_then(|()| fs::write(directory.join(format!("{name}.png")), png));
        written.expect("the target directory can be written");
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Chromium is not in chromedriver's process group: it ends with its session or not at all.
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, client.close()).await });
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A port that is free for both of chromedriver's listeners: by itself it looks at one and ends if somebody's connection has the other.
fn free_port() -> u16 {
    let free = || {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = four.local_addr().ok()?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Err(fault) if fault.kind() == ErrorKind::AddrInUse => None,
            // A machine without IPv6 has nobody there.
            Ok(_) | Err(_) => Some(port),
        }
    };
    std::iter::repeat_with(free).take(100).flatten().next().expect("a free port")
}

/// chromedriver, and its address.
fn start_driver() -> (Child, String) {
    let mut driver = Command::new("chromedriver")
        .arg(format!("--port={}", free_port()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed: `tests/run` does it");
    let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let port = lines.find_map(|line| {
        let line = line.ok()?;
        line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
    });
    // It goes on to write; a closed pipe would be the end of it.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, format!("http://127.0.0.1:{}", port.expect("chromedriver says its port")))
}

fn capabilities(screen: Screen, profile: &Path, more: &[String]) -> fantoccini::wd::Capabilities {
    let mut arguments: Vec<_> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    arguments.extend_from_slice(more);
    let Screen { width, height, phone } = screen;
    let ratio = if phone { 2 } else { 1 };
    let Value::Object(capabilities) = json!({
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "args": arguments,
            "mobileEmulation": {
                "deviceMetrics": { "width": width, "height": height, "pixelRatio": ratio, "mobile": phone, "touch": phone },
            },
        },
    }) else {
        unreachable!("written as an object")
    };
    capabilities
}

/// chromedriver's command for Chromium's own.
#[derive(Debug)]
struct DevTools(Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// chromedriver's command for the console's entries, which WebDriver does not have.
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
