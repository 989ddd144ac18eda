//! Debian's WebKitGTK by its WebKitWebDriver: its MiniBrowser, on an X server without a screen.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use yima_harness::until;

use super::{Camera, Server, capabilities, free_port, start_and_read};

/// Width, height, colour depth of the X server's screen, on which the largest window fits.
const SCREEN: &str = "1400x1000x24";
/// Time for WebKitWebDriver to listen.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn start(camera: Camera) -> Server {
    // The X server chooses its display.
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp"]);
    let (x_server, display) = start_and_read(&mut command, "");
    let port = free_port();
    let mut driver = Command::new("WebKitWebDriver")
        .arg(format!("--port={port}"))
        .env("DISPLAY", format!(":{display}"))
        // Otherwise GLib starts a bus, which would outlive the browser.
        .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("WebKitWebDriver is installed: `tests/run` does it");
    // It writes nothing.
    until("WebKitWebDriver to listen", DEADLINE, || listens(&mut driver, port));

    let mut arguments = vec!["--automation", "--enable-media-stream=true"];
    match camera {
        Camera::Absent => {}
        Camera::Fake => arguments.push("--enable-mock-capture-devices=true"),
        Camera::Refused => panic!("MiniBrowser grants every permission while it is automated"),
    }
    Server {
        address: format!("http://127.0.0.1:{port}"),
        capabilities: capabilities(json!({
            "browserName": "MiniBrowser",
            "webkitgtk:browserOptions": { "binary": mini_browser(), "args": arguments },
        })),
        processes: vec![driver, x_server],
        _files: None,
    }
}

fn listens(driver: &mut Child, port: u16) -> bool {
    let ended = driver.try_wait().expect("a child of this process");
    assert!(ended.is_none(), "WebKitWebDriver: {ended:?}");
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `/usr/lib/<architecture>/webkit2gtk-<version>/MiniBrowser`
fn mini_browser() -> PathBuf {
    let inside = |directory: PathBuf| {
        let entries = fs::read_dir(directory).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    };
    let mut found = inside("/usr/lib".into()).flat_map(inside).map(|library| library.join("MiniBrowser"));
    found.find(|path| path.is_file()).expect("MiniBrowser is installed with WebKitWebDriver: `tests/run` does it")
}
