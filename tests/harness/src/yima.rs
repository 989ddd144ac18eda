//! yima as a process: started on free ports, awaited until ready, ended by its id.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use yima_schema::time::Time;

use crate::cluster::memory_bytes;
use crate::{Http, Options, now};

/// From starting the process to ready, with a small population, on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// From SIGTERM to the end; above the product's own deadline of 20 s.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Why an instance did not become ready.
#[derive(Debug)]
pub struct StartError {
    /// Its exit status; `None` if it was still running.
    pub exit: Option<ExitStatus>,
    /// Its standard error.
    pub stderr: String,
}

/// A running instance. Dropping it kills it.
pub struct Yima {
    options: Options,
    child: Child,
    log: PathBuf,
    /// The ports of the read service, the writer, and administration; a single service does not use the other's.
    ports: [u16; 3],
    http: Http,
    /// When the last answer to a push arrived, in milliseconds since the epoch.
    acknowledged_at: AtomicI64,
}

impl Yima {
    /// Starts yima and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready, with its standard error.
    pub fn start(options: Options) -> Self {
        match Self::try_start(options) {
            Ok(started) => started,
            Err(StartError { exit, stderr }) => panic!("yima did not become ready ({exit:?}):\n{stderr}"),
        }
    }

    /// The same on ports that its clients know before.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn start_on(ports: [u16; 3], options: Options) -> Self {
        let started = Self::try_start_on(ports, options);
        started.unwrap_or_else(|StartError { stderr, .. }| panic!("yima did not become ready:\n{stderr}"))
    }

    /// As [`Self::start`], for tests of an instance that must refuse to start.
    ///
    /// # Errors
    /// The process ended, or was not ready in time.
    ///
    /// # Panics
    /// When the process cannot be spawned.
    pub fn try_start(options: Options) -> Result<Self, StartError> {
        Self::try_start_on(free_ports(), options)
    }

    fn try_start_on(ports: [u16; 3], options: Options) -> Result<Self, StartError> {
        let mut command = options.command();
        for (variable, port) in ["YIMA_READ_API__BIND", "YIMA_WRITER__BIND", "YIMA_ADMIN__LISTEN"].iter().zip(ports) {
            command.env(variable, format!("{}:{port}", options.address()));
        }
        let log = options.directory.path().join(format!("stderr-{}.log", ports[0]));
        let stderr = File::create(&log).expect("the temporary directory can be written");
        command.args(["--population", &options.population.to_string()]).args(&options.command_line);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(stderr).spawn().expect("yima can be run");
        let mut started =
            Self { options, child, log, ports, http: Http::default(), acknowledged_at: AtomicI64::new(0) };
        started.wait_until_ready().map(|()| started)
    }

    fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let (url, start) = (format!("{}/health/ready", self.admin_url()), Instant::now());
        loop {
            let exit = self.child.try_wait().expect("a child's status can be read");
            // Connections are refused until it listens.
            if exit.is_none() && self.http.send("GET", &url, &[], None).is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            if exit.is_some() || start.elapsed() > START_DEADLINE {
                return Err(StartError { exit, stderr: self.stderr() });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, as a crash would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill9(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Waits until it is paused (SIGSTOP), by a failpoint of its own or by the test.
    ///
    /// # Panics
    /// When it is not paused in time.
    pub fn wait_until_paused(&self) {
        let start = Instant::now();
        while !is_paused(&self.child) {
            assert!(start.elapsed() < START_DEADLINE, "yima was not paused in time:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Pauses it (SIGSTOP): it keeps its connections and sends no answer.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("a child can be signalled");
    }

    /// Resumes it after a pause (SIGCONT).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn resume(&self) {
        resume(&self.child);
    }

    /// Sends SIGTERM, without waiting.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a child can be signalled");
    }

    /// Waits for its end after [`Self::terminate`].
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(exit) = self.child.try_wait().expect("a child's status can be read") {
                return exit;
            }
            assert!(start.elapsed() < STOP_DEADLINE, "yima did not stop in time:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Panics
    /// See [`Self::wait`].
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// Kills it if it is running, and starts it on the same data, on other ports.
    ///
    /// # Panics
    /// See [`Self::start`].
    pub fn restart(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().expect("a killed child ends");
        *self = Self::start(self.options.clone());
    }

    /// Starts a killed instance again, on the same data and ports: its clients find it where it was.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again(&mut self) {
        *self = Self::start_on(self.ports, self.options.clone());
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard error since its start.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// The options it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir()
    }

    /// Records that the writer has answered.
    pub(crate) fn acknowledge(&self) {
        self.acknowledged_at.fetch_max(now().as_millis(), Ordering::SeqCst);
    }

    /// When the last answer to a push arrived.
    pub fn acknowledged_at(&self) -> Time {
        Time::from_millis(self.acknowledged_at.load(Ordering::SeqCst))
    }

    /// The HTTP client of this instance.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The URL of the read service.
    pub fn read_url(&self) -> String {
        self.url(0)
    }

    /// The URL of the writer.
    pub fn writer_url(&self) -> String {
        self.url(1)
    }

    /// The URL of health and metrics.
    pub fn admin_url(&self) -> String {
        self.url(2)
    }

    /// The sum of a metric's samples that have all these labels, written `name="value"`; 0 without a sample.
    ///
    /// # Panics
    /// When a sample is not a number.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of_samples(self.http.get(&format!("{}/metrics", self.admin_url()), "").text(), name, labels)
    }

    fn url(&self, port: usize) -> String {
        format!("http://{}:{}", self.options.address(), self.ports[port])
    }

    /// The most memory that was resident since its start.
    ///
    /// # Panics
    /// When it is not running.
    pub fn peak_resident_bytes(&self) -> u64 {
        memory_bytes(self.child.id(), "VmHWM:").expect("it is running")
    }

    /// The lines that another command prints, which reaches this process by its data directory.
    ///
    /// # Panics
    /// When the command fails.
    pub fn command(&self, arguments: &[&str]) -> Vec<String> {
        self.options.print(arguments)
    }

    /// The token that `yima token` prints with these arguments.
    ///
    /// # Panics
    /// When the command fails.
    pub fn token(&self, arguments: &[&str]) -> String {
        self.options.print(&[&["token"], arguments].concat()).remove(0)
    }
}

impl Drop for Yima {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- standard error of yima ---\n{}", self.stderr());
        }
    }
}

/// The sum of a metric's samples that have all these labels, in a scrape.
pub(crate) fn sum_of_samples(scrape: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = scrape.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let of_metric = samples.filter(|(found, _)| found.is_empty() || found.starts_with('{'));
    let labelled = of_metric.filter(|(found, _)| labels.iter().all(|label| found.contains(label)));
    labelled.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
}

/// Whether a process is paused (SIGSTOP), by a failpoint of its own or by the test.
pub fn is_paused(child: &Child) -> bool {
    // The state is the third field, behind the name in parentheses.
    let paused = |stat: String| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
    fs::read_to_string(format!("/proc/{}/stat", child.id())).is_ok_and(paused)
}

/// Resumes a process after a pause (SIGCONT).
///
/// # Panics
/// When the system refuses.
pub fn resume(child: &Child) {
    kill_process(Pid::from_child(child), Signal::CONT).expect("a child can be signalled");
}

/// Three free ports: for the read service, the writer, and administration. Another process could bind one before yima
/// does; tests open no ports at that time (the client keeps its connections), and if it happens yima names the address
/// and the test fails: no error stays silent.
///
/// # Panics
/// When no port is free.
pub fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}
