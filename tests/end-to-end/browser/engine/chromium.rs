//! Debian's Chromium by its chromedriver, and chromedriver's commands beyond WebDriver.

use std::process::Command;

use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Camera, Server, capabilities, free_port, start_and_read};
use crate::browser::window::Screen;

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

pub(super) fn camera(camera: Camera) -> Vec<String> {
    let arguments: &[&str] = match camera {
        Camera::Absent => &[],
        Camera::Fake => &["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        Camera::Refused => &["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny"],
    };
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

pub(super) fn start(screen: Screen, more: &[String]) -> Server {
    let profile = TempDir::new().expect("a temporary directory");
    let mut command = Command::new("chromedriver");
    command.arg(format!("--port={}", free_port()));
    let (driver, port) = start_and_read(&mut command, "started successfully on port ");

    let mut arguments: Vec<_> = ARGUMENTS.iter().map(|&argument| argument.to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    arguments.extend_from_slice(more);
    let Screen { width, height, phone } = screen;
    let ratio = if phone { 2 } else { 1 };
    Server {
        address: format!("http://127.0.0.1:{}", port.trim_end_matches('.')),
        capabilities: capabilities(json!({
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
        })),
        processes: vec![driver],
        _files: Some(profile),
    }
}

/// chromedriver's command that sends a command of the Chrome DevTools protocol.
#[derive(Debug)]
pub(in crate::browser) struct DevTools(pub(in crate::browser) Value);

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
pub(in crate::browser) struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
