//! yima as a process of its own: started on free ports, watched until ready, ended by its id.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Http;

/// From starting the process to ready, with a small population, on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// From SIGTERM to the end; above the product's own deadline of 20 s.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How to start an instance. A clone starts another one on the same data directory.
#[derive(Clone)]
pub struct Options {
    directory: Arc<TempDir>,
    population: u64,
    env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        Self { directory: Arc::new(directory), population: 10, env: Vec::new() }
    }
}

impl Options {
    /// So many demo people. Default 10.
    pub fn population(mut self, people: u64) -> Self {
        self.population = people;
        self
    }

    /// A setting by its variable, such as `YIMA_READ_API__CODE_LIFETIME_S`.
    pub fn env(mut self, variable: &str, value: impl ToString) -> Self {
        self.env.push((variable.to_owned(), value.to_string()));
        self
    }

    /// Rate limits that no test reaches. For tests that are about something else.
    pub fn unlimited(mut self) -> Self {
        for limit in ["READ_API__LIMITS__DISPLAY", "READ_API__LIMITS__CODE", "READ_API__LIMITS__SCAN", "READ_API__LIMITS__SESSION"]
        {
            self = self.env(&format!("YIMA_{limit}__REQUESTS"), 1_000_000).env(&format!("YIMA_{limit}__WINDOW_S"), 1);
        }
        self
    }

    /// Where the instance keeps everything. It goes with the last clone of these options and the last instance.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("stderr.log")
    }

    /// `yima --data-dir …` without anything that the caller's environment would add.
    ///
    /// # Panics
    /// When yima is not built.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
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

/// Why an instance did not become ready.
#[derive(Debug)]
pub struct NotStarted {
    /// How it ended; `None` if it went on, not ready.
    pub exit: Option<ExitStatus>,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A running instance. Dropping it kills it.
pub struct Yima {
    options: Options,
    child: Child,
    /// Of the read service, the writer, and the admin port.
    ports: [u16; 3],
    http: Http,
}

impl Yima {
    /// Starts yima and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; says why.
    pub fn start(options: Options) -> Self {
        match Self::try_start(options) {
            Ok(started) => started,
            Err(NotStarted { exit, stderr }) => panic!("yima did not become ready ({exit:?}):\n{stderr}"),
        }
    }

    /// The same for tests of an instance that must refuse.
    ///
    /// # Errors
    /// It ended, or was not ready in time.
    ///
    /// # Panics
    /// When the process cannot be started at all.
    pub fn try_start(options: Options) -> Result<Self, NotStarted> {
        let ports = free_ports();
        let mut command = options.command();
        for (variable, port) in ["YIMA_READ_API__BIND", "YIMA_WRITER__BIND", "YIMA_ADMIN__LISTEN"].iter().zip(ports) {
            command.env(variable, format!("127.0.0.1:{port}"));
        }
        let log = File::create(options.log()).expect("the temporary directory can be written");
        command.args(["--population", &options.population.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(log).spawn().expect("yima can be run");
        let mut started = Self { options, child, ports, http: Http::default() };
        started.wait_until_ready().map(|()| started)
    }

    fn wait_until_ready(&mut self) -> Result<(), NotStarted> {
        let (url, begun) = (format!("{}/health/ready", self.admin_url()), Instant::now());
        loop {
            let exit = self.child.try_wait().expect("a child can be asked");
            // Until it listens it refuses connections: that is what is waited for.
            if exit.is_none() && self.http.send("GET", &url, &[], None).is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            if exit.is_some() || begun.elapsed() > START_DEADLINE {
                return Err(NotStarted { exit, stderr: self.stderr() });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once, as a crash would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill9(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Asks it to stop, without waiting (SIGTERM).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a child can be signalled");
    }

    /// Waits for its end after [`Self::terminate`].
    ///
    /// # Panics
    /// When it goes on beyond the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(exit) = self.child.try_wait().expect("a child can be asked") {
                return exit;
            }
            assert!(begun.elapsed() < STOP_DEADLINE, "yima did not stop in time:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop and waits.
    ///
    /// # Panics
    /// See [`Self::wait`].
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// Starts it again on the same data, on other ports. Kills it first if it runs.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn restart(&mut self) {
        // A child that has ended already is no fault.
        let _ = self.child.kill();
        self.child.wait().expect("a killed child ends");
        *self = Self::start(self.options.clone());
    }

    /// What it wrote to standard error since its start.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.options.log()).unwrap_or_else(|fault| format!("(no log: {fault})"))
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Where it keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir()
    }

    /// The client.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The read service.
    pub fn read_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The writer.
    pub fn writer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    /// Health and metrics.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[2])
    }

    /// What `yima token` prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn token(&self, whose: &[&str]) -> String {
        self.options.print(&[&["token"], whose].concat()).remove(0)
    }
}

impl Drop for Yima {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- standard error of yima ---\n{}", self.stderr());
        }
    }
}

/// Three ports that are free now. Someone else could take one before yima does; nobody here asks for ports in that moment (the client
/// keeps its connections), and if it happens yima says which address it could not have and the test fails: it does not go wrong silently.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}

/// The program: `YIMA_BIN`, else what cargo built beside this test.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("YIMA_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // Tests are in `deps` below the directory of programs.
    let found = test.ancestors().skip(1).take(2).map(|directory| directory.join("yima")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no yima beside {}: run `cargo build -p yima`, or set YIMA_BIN", test.display()))
}
