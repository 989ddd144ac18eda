//! The edge of a region: Debian's HAProxy with the files that `deploy/multi-region/render` makes for a machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::yima::sum_of_samples;
use crate::{CertificateFiles, Http, Reply, TlsConnection};

/// From starting the process to listening, on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Fewer than a machine of its own has, whose limit of open files is higher.
const CONNECTIONS: &str = "2000";

/// Runs `deploy/multi-region/render` and returns what it prints, both streams.
///
/// # Errors
/// It refuses the inventory: its exit code and what it prints.
///
/// # Panics
/// When it cannot be run.
pub fn render(inventory: &Path, directory: &Path) -> Result<String, (Option<i32>, String)> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/multi-region/render");
    let output = Command::new(program).arg(inventory).arg(directory).output().expect("Python can be run");
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if output.status.success() { Ok(printed) } else { Err((output.status.code(), printed)) }
}

/// The variables of a file `NAME='VALUE'`, as `render` writes it for systemd.
///
/// # Panics
/// When a line is of another form.
pub fn variables(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let variable = |line: &str| {
        let (name, value) = line.split_once("='").expect("NAME='VALUE'");
        (name.to_owned(), value.strip_suffix('\'').expect("a closing quote").to_owned())
    };
    text.lines().map(variable).collect()
}

/// A running edge, killed when dropped.
pub struct Edge {
    child: Child,
    log: PathBuf,
    certificate: CertificateFiles,
    https: String,
    admin: String,
}

impl Edge {
    /// Starts HAProxy with the files of a rendered machine, and a certificate for 127.0.0.1, and waits until it listens.
    /// `changed` are variables that the machine has otherwise.
    ///
    /// # Panics
    /// When it ends, or does not listen in time.
    pub fn start(machine: &Path, changed: &[(&str, &str)]) -> Self {
        let certificate = CertificateFiles::make(machine, 2099);
        fs::copy(&certificate.key, format!("{}.key", certificate.cert.display())).expect("a file");
        let mut given = variables(&machine.join("etc/default/haproxy"));
        given.push(("EDGE_CERTIFICATE".into(), certificate.cert.display().to_string()));
        given.push(("EDGE_CONNECTIONS".into(), CONNECTIONS.into()));
        given.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let log = machine.join("log");
        let output = File::create(&log).expect("the temporary directory can be written");
        let child = Command::new("/usr/sbin/haproxy")
            .args(["-db", "-f"])
            .arg(machine.join("etc/haproxy/haproxy.cfg"))
            .arg("-f")
            .arg(machine.join("etc/haproxy/nodes.cfg"))
            .envs(given.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn()
            .expect("haproxy can be run");
        let address = |name: &str| {
            let found = given.iter().rfind(|(found, _)| found == name);
            found.expect("each edge has its addresses").1.clone()
        };
        let (https, admin) =
            (format!("https://{}", address("EDGE_HTTPS")), format!("http://{}", address("EDGE_ADMIN")));
        let mut started = Self { child, log, certificate, https, admin };
        started.wait_until_listening();
        started
    }

    fn wait_until_listening(&mut self) {
        let start = Instant::now();
        // Connections are refused until it listens.
        while self.try_admin("/live").is_none() {
            let ended = self.child.try_wait().expect("a child's status can be read");
            assert!(ended.is_none() && start.elapsed() < START_DEADLINE, "{ended:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn try_admin(&self, path: &str) -> Option<Reply> {
        Http::default().send("GET", &format!("{}{path}", self.admin), &[], None).ok()
    }

    /// An answer of the port for operators.
    ///
    /// # Panics
    /// When no answer arrives.
    pub fn admin(&self, path: &str) -> Reply {
        self.try_admin(path).expect("an answer of the edge")
    }

    /// The sum of a metric's samples that have all these labels, written `name="value"`.
    ///
    /// # Panics
    /// When no answer arrives, or a sample is not a number.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of_samples(self.admin("/metrics").text(), name, labels)
    }

    /// The URL for people and agencies.
    pub fn url(&self) -> &str {
        &self.https
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateFiles {
        &self.certificate
    }

    /// A new connection of HTTP/1.1 over TLS.
    ///
    /// # Panics
    /// When the handshake fails.
    pub fn connect(&self) -> TlsConnection {
        TlsConnection::connect(&self.https, &self.certificate.certificate(), &["http/1.1"]).expect("a handshake")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the edge ---\n{}", self.log());
        }
    }
}
