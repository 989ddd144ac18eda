//! Debian's Firefox ESR by Mozilla's geckodriver.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::{Camera, Server, capabilities, start_and_read};

/// `permissions.default.camera`: refuse without asking.
const BLOCK: u8 = 2;

pub(super) fn start(camera: Camera) -> Server {
    // geckodriver makes the profile.
    let files = TempDir::new().expect("a temporary directory");
    let mut command = Command::new("geckodriver");
    command.args(["--port", "0"]).env("TMPDIR", files.path());
    let (driver, address) = start_and_read(&mut command, "Listening on ");

    let preferences = match camera {
        Camera::Absent => json!({}),
        Camera::Fake => json!({ "media.navigator.streams.fake": true, "media.navigator.permission.disabled": true }),
        Camera::Refused => json!({ "media.navigator.streams.fake": true, "permissions.default.camera": BLOCK }),
    };
    Server {
        address: format!("http://{address}"),
        capabilities: capabilities(json!({
            "browserName": "firefox",
            "moz:firefoxOptions": { "binary": "/usr/bin/firefox-esr", "args": ["-headless"], "prefs": preferences },
        })),
        processes: vec![driver],
        _files: Some(files),
    }
}
