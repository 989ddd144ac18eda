//! The engines of browsers, each behind its own WebDriver server.

mod chromium;
mod firefox;
mod webkit;

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use fantoccini::wd::Capabilities;
use serde_json::Value;
use tempfile::TempDir;

use super::window::Screen;

pub(super) use chromium::{BrowserLog, DevTools};

/// A browser by its engine: Blink, Gecko, WebKit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Chromium,
    Firefox,
    WebKit,
}

/// The camera that a page gets.
#[derive(Clone, Copy, Debug)]
pub enum Camera {
    /// The machine has no camera.
    Absent,
    /// The engine's own test picture, without asking for permission.
    Fake,
    /// There is a camera, and the permission is refused. Not with WebKit: MiniBrowser grants every permission.
    Refused,
}

/// A WebDriver server for one window, with all that it needs beside it. Its processes end when it is dropped.
pub(super) struct Server {
    pub(super) address: String,
    pub(super) capabilities: Capabilities,
    processes: Vec<Child>,
    /// The browser's profile; MiniBrowser keeps its own in memory.
    _files: Option<TempDir>,
}

impl Server {
    pub(super) fn start(engine: Engine, screen: Screen, camera: Camera) -> Self {
        match engine {
            Engine::Chromium => chromium::start(screen, &chromium::camera(camera)),
            Engine::Firefox => firefox::start(camera),
            Engine::WebKit => webkit::start(camera),
        }
    }

    /// Chromium with further arguments.
    pub(super) fn chromium(screen: Screen, arguments: &[String]) -> Self {
        chromium::start(screen, arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts a program, which is in PATH, and reads its output up to a line with this text; returns the rest of the line.
fn start_and_read(command: &mut Command, text: &str) -> (Child, String) {
    let program = command.get_program().to_owned();
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}; `tests/run` installs it, below target/tools/bin"));
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let rest = lines.find_map(|line| line.ok()?.split_once(text).map(|(_, rest)| rest.to_owned()));
    // Drivers go on writing, and end when the pipe is closed.
    std::thread::spawn(move || lines.for_each(drop));
    (process, rest.unwrap_or_else(|| panic!("{program:?} ended without the output {text:?}")))
}

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

fn capabilities(json: Value) -> Capabilities {
    let Value::Object(capabilities) = json else { unreachable!("each engine's are written as an object") };
    capabilities
}
