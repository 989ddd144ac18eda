//! How an instance is started, and the program's other commands on the same data.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::{Cluster, Tmpfs};

/// How to start an instance. A clone starts another one on the same data directory.
#[derive(Clone)]
pub struct Options {
    pub(crate) directory: Arc<TempDir>,
    pub(crate) population: u64,
    pub(crate) command_line: Vec<String>,
    env: Vec<(String, String)>,
    /// The data directory within ours.
    data: String,
    /// Where it runs and listens, if not on this machine's own network.
    inside: Option<(Arc<Cluster>, usize)>,
    /// Where its data directory is mounted.
    disk: Option<Arc<Tmpfs>>,
}

impl Default for Options {
    fn default() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let options = Self {
            directory: Arc::new(directory),
            population: 10,
            command_line: Vec::new(),
            env: Vec::new(),
            data: "data".to_owned(),
            inside: None,
            disk: None,
        };
        // An answer is true of the last poll's moment: more of them, so that tests wait less for a later one.
        options.env("YIMA_READ_API__CACHE__POLL_MS", 5)
    }
}

impl Options {
    /// So many demo people. Default 10.
    pub fn population(mut self, people: u64) -> Self {
        self.population = people;
        self
    }

    /// What to run in place of everything on the embedded store: `["--store", "cql"]`, `["read-api"]`, `["writer"]`.
    pub fn command_line(mut self, args: &[&str]) -> Self {
        self.command_line = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    /// Runs it in the network of a datacenter, if the cluster's have networks of their own.
    pub fn inside(mut self, cluster: &Arc<Cluster>, datacenter: usize) -> Self {
        self.inside = Some((Arc::clone(cluster), datacenter));
        self
    }

    /// Runs it where its data directory is a file system of its own.
    pub fn on(mut self, disk: &Arc<Tmpfs>) -> Self {
        self.disk = Some(Arc::clone(disk));
        self
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.inside.as_ref().map_or(Ipv4Addr::LOCALHOST, |(cluster, datacenter)| cluster.address(*datacenter))
    }

    /// A setting by its variable, such as `YIMA_READ_API__CODE_LIFETIME_S`.
    pub fn env(mut self, variable: &str, value: impl ToString) -> Self {
        self.env.push((variable.to_owned(), value.to_string()));
        self
    }

    /// A data directory of another name.
    pub fn below(mut self, name: String) -> Self {
        self.data = name;
        self
    }

    /// Rate limits that no test reaches. For tests that are about something else.
    pub fn unlimited(mut self) -> Self {
        for limit in [
            "READ_API__LIMITS__DISPLAY",
            "READ_API__LIMITS__CODE",
            "READ_API__LIMITS__SCAN",
            "READ_API__LIMITS__SESSION",
        ] {
            self = self.env(&format!("YIMA_{limit}__REQUESTS"), 1_000_000).env(&format!("YIMA_{limit}__WINDOW_S"), 1);
        }
        self
    }

    /// Gone with the last clone of these options and the last instance.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Where the instance keeps everything. It goes with the last clone of these options and the last instance.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join(&self.data)
    }

    /// A secret of that name in the data directory.
    ///
    /// # Panics
    /// Before the first start or migration has made it.
    pub fn key(&self, name: &str) -> [u8; 32] {
        let path = self.data_dir().join("keys").join(name);
        let key = std::fs::read(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        key.try_into().expect("32 bytes")
    }

    /// `yima --data-dir …` without anything that the caller's environment would add.
    ///
    /// # Panics
    /// When yima is not built.
    pub fn command(&self) -> Command {
        let binary = binary();
        let mut command = match (&self.inside, &self.disk) {
            (Some((cluster, datacenter)), _) => cluster.command(*datacenter, binary.to_str().expect("a path in UTF-8")),
            (None, Some(disk)) => disk.command(&binary),
            (None, None) => Command::new(binary),
        };
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"YIMA_") {
                command.env_remove(variable);
            }
        }
        command.arg("--data-dir").arg(self.data_dir()).envs(self.env.iter().map(|(k, v)| (k, v)));
        command
    }

    /// What a command of yima prints, line by line.
    ///
    /// # Panics
    /// When it fails.
    pub fn print(&self, args: &[impl AsRef<OsStr>]) -> Vec<String> {
        let output = self.command().args(args).output().expect("yima can be run");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

/// Debian's libfaketime, the one for programs with threads.
///
/// # Panics
/// When it is not installed.
pub fn faketime() -> String {
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|dir| PathBuf::from(dir).join("faketime/libfaketimeMT.so.1"));
    let found = found.iter().find(|path| path.exists()).expect("libfaketime: tests/run installs the package faketime");
    found.display().to_string()
}

/// The program: `YIMA_BIN`, else what cargo built beside this test.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("YIMA_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // Tests are in `deps` below the directory of programs.
    let found = test.ancestors().skip(1).take(2).map(|directory| directory.join("yima")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no yima beside {}: run `cargo build -p yima`, or set YIMA_BIN", test.display())
    })
}
