//! How an instance is started, and yima's other commands on the same data.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::{Cluster, Tmpfs};

/// How to start an instance. A clone starts another instance on the same data directory.
#[derive(Clone)]
pub struct Options {
    pub(crate) directory: Arc<TempDir>,
    pub(crate) population: u64,
    pub(crate) command_line: Vec<String>,
    env: Vec<(String, String)>,
    /// The name of the data directory below `directory`.
    data: String,
    /// The datacenter in whose network it runs; `None` for this machine's own.
    datacenter: Option<(Arc<Cluster>, usize)>,
    /// The file system of its data directory, if that has one of its own.
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
            datacenter: None,
            disk: None,
        };
        // Nodes that share two cores with tests are silent for seconds.
        let options = options.env("YIMA_STORE__CQL__LEAVE_SILENT_AFTER_MS", 20_000);
        // Two cores that tests share are overloaded now and then: answers would leave fields out.
        let options = options.env("YIMA_READ_API__LEVELS__AUTOMATIC", false);
        // An answer's as_of is the time of the last poll: with frequent polls tests wait less for a later one.
        options.env("YIMA_READ_API__CACHE__POLL_MS", 5)
    }
}

impl Options {
    /// The number of demo people. Default 10.
    pub fn population(mut self, people: u64) -> Self {
        self.population = people;
        self
    }

    /// Arguments in place of none, which run everything on the embedded store: `["--store", "cql"]`, `["read-api"]`,
    /// `["writer"]`.
    pub fn command_line(mut self, args: &[&str]) -> Self {
        self.command_line = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    /// Runs the instance in the network of a datacenter, if the cluster's datacenters have networks of their own.
    pub fn in_datacenter(mut self, cluster: &Arc<Cluster>, datacenter: usize) -> Self {
        self.datacenter = Some((Arc::clone(cluster), datacenter));
        self
    }

    /// Runs the instance where this file system is mounted on its data directory.
    pub fn on_disk(mut self, disk: &Arc<Tmpfs>) -> Self {
        self.disk = Some(Arc::clone(disk));
        self
    }

    /// The address that the instance listens on.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.datacenter.as_ref().map_or(Ipv4Addr::LOCALHOST, |(cluster, datacenter)| cluster.address(*datacenter))
    }

    /// A setting by its environment variable, such as `YIMA_READ_API__CODE_LIFETIME_S`.
    pub fn env(mut self, variable: &str, value: impl ToString) -> Self {
        self.env.push((variable.to_owned(), value.to_string()));
        self
    }

    /// The name of the data directory. Default `data`.
    pub fn data_dir_name(mut self, name: String) -> Self {
        self.data = name;
        self
    }

    /// Rate limits that no test reaches, for tests of something else.
    pub fn unlimited(mut self) -> Self {
        for limit in [
            "READ_API__LIMITS__DISPLAY",
            "READ_API__LIMITS__CODE",
            "READ_API__LIMITS__SCAN",
            "READ_API__LIMITS__FOREIGN",
            "READ_API__LIMITS__SESSION",
            "READ_API__LIMITS__SESSION_END",
            "READ_API__LIMITS__TOKEN",
        ] {
            self = self.env(&format!("YIMA_{limit}__REQUESTS"), 1_000_000).env(&format!("YIMA_{limit}__WINDOW_S"), 1);
        }
        self
    }

    /// The temporary directory, deleted with the last clone of these options and the last instance.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The data directory, deleted likewise.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join(&self.data)
    }

    /// The key of this name in the data directory.
    ///
    /// # Panics
    /// Before the first start or migration, which makes it.
    pub fn key(&self, name: &str) -> [u8; 32] {
        let path = self.data_dir().join("keys").join(name);
        let key = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        key.try_into().expect("32 bytes")
    }

    /// The command `yima --data-dir …`, without the settings of the caller's environment.
    ///
    /// # Panics
    /// When yima is not built.
    pub fn command(&self) -> Command {
        let binary = binary();
        let mut command = match (&self.datacenter, &self.disk) {
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

    /// Runs a command of yima and returns the lines that it prints.
    ///
    /// # Panics
    /// When the command fails.
    pub fn print(&self, args: &[impl AsRef<OsStr>]) -> Vec<String> {
        let output = self.command().args(args).output().expect("yima can be run");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

/// The program: `YIMA_BIN`, else the one that cargo built beside this test.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("YIMA_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // A test is in `deps` below the directory of programs.
    let found = test.ancestors().skip(1).take(2).map(|directory| directory.join("yima")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no yima beside {}: run `cargo build -p yima`, or set YIMA_BIN", test.display()))
}
