//! yima as a process of its own: started on free ports, watched until ready, ended by its id.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use yima_schema::time::Time;

use crate::{Http, Options, now};

/// From starting the process to ready, with a small population, on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// From SIGTERM to the end; above the product's own deadline of 20 s.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

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
    log: PathBuf,
    /// Of the read service, the writer, and the admin port; a service apart leaves the other's unused.
    ports: [u16; 3],
    http: Http,
    /// When the writer last answered a push, in milliseconds since the epoch.
    acknowledged_at: AtomicI64,
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

    /// Waits until it has been paused (SIGSTOP), by itself or by others.
    ///
    /// # Panics
    /// When that does not happen.
    pub fn wait_until_paused(&self) {
        let (status, begun) = (format!("/proc/{}/stat", self.child.id()), Instant::now());
        // The third field, behind the name in parentheses.
        let paused = |stat: &str| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
        while !fs::read_to_string(&status).is_ok_and(|stat| paused(&stat)) {
            assert!(begun.elapsed() < START_DEADLINE, "it was not paused:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Pauses it (SIGSTOP): it keeps its connections and answers nobody.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("a child can be signalled");
    }

    /// Lets it go on after a pause (SIGCONT).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("a child can be signalled");
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
        fs::read_to_string(&self.log).unwrap_or_else(|fault| format!("(no log: {fault})"))
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Where it keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir()
    }

    /// Notes that the writer has answered.
    pub(crate) fn acknowledge(&self) {
        self.acknowledged_at.fetch_max(now().as_millis(), Ordering::SeqCst);
    }

    /// When the writer last answered a push.
    pub fn acknowledged_at(&self) -> Time {
        Time::from_millis(self.acknowledged_at.load(Ordering::SeqCst))
    }

    /// The client.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The read service.
    pub fn read_url(&self) -> String {
        self.url(0)
    }

    /// The writer.
    pub fn writer_url(&self) -> String {
        self.url(1)
    }

    /// Health and metrics.
    pub fn admin_url(&self) -> String {
        self.url(2)
    }

    /// The sum of a metric's samples that have all these labels, written `name="value"`; 0 if there is none.
    ///
    /// # Panics
    /// When a sample is no number.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let reply = self.http.get(&format!("{}/metrics", self.admin_url()), "");
        let samples = reply.text().lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        let theirs = samples.filter(|(of, _)| of.is_empty() || of.starts_with('{'));
        let labelled = theirs.filter(|(of, _)| labels.iter().all(|label| of.contains(label)));
        labelled.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
    }

    fn url(&self, port: usize) -> String {
        format!("http://{}:{}", self.options.address(), self.ports[port])
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

/// Three ports that are free now: of the read service, the writer, and the admin port. Someone else could take one before yima does; nobody
/// here asks for ports in that moment (the client keeps its connections), and if it happens yima says which address it could not have and the
/// test fails: it does not go wrong silently.
///
/// # Panics
/// When there are none.
pub fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}
