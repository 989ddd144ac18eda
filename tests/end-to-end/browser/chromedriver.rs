//! Debian's chromedriver: its process, the capabilities of a session, and its commands beyond WebDriver.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use http::Method;
use serde_json::{Value, json};

use super::chromium::Screen;

/// Chromium's arguments: no window, and no network traffic of its own.
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

/// A port that is free on IPv4 and IPv6: chromedriver listens on both, and on its own tests only one
/// before it fails on the other.
fn free_port() -> u16 {
    let free = || {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = four.local_addr().ok()?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => None,
            // On a machine without IPv6 nothing can occupy the port.
            Ok(_) | Err(_) => Some(port),
        }
    };
    std::iter::repeat_with(free).take(100).flatten().next().expect("a free port")
}

/// Starts chromedriver; returns the process and its address.
pub(super) fn start() -> (Child, String) {
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
    // chromedriver goes on writing, and ends when the pipe is closed.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, format!("http://127.0.0.1:{}", port.expect("chromedriver says its port")))
}

pub(super) fn capabilities(screen: Screen, profile: &Path, more: &[String]) -> Capabilities {
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
                "deviceMetrics": {
                    "width": width, "height": height, "pixelRatio": ratio, "mobile": phone, "touch": phone,
                },
            },
        },
    }) else {
        unreachable!("written as an object")
    };
    capabilities
}

/// chromedriver's command that sends a command of the Chrome DevTools protocol.
#[derive(Debug)]
pub(super) struct DevTools(pub(super) Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// chromedriver's command for the console's entries, which WebDriver lacks.
#[derive(Debug)]
pub(super) struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
