//! The mix file: who asks for what, how often, over how many connections.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use crate::LoadError;
use crate::class::Class;
use crate::estimate::Assumptions;
use crate::phase::{Phase, Rate};
use crate::replay::Log;
use crate::section::Section;

/// Most requests a second that a phase may ask for.
const MAX_RATE: f64 = 1_000_000.0;
/// Most phases of a run.
const MAX_PHASES: usize = 50;
/// Longest run.
const MAX_RUN: Duration = Duration::from_secs(86_400);
/// Most sessions, tokens or checkpoints.
pub const MAX_PEOPLE: u32 = 2_000_000;

/// What a run does. Made from a file by [`Mix::read`].
#[derive(Clone, Debug)]
pub struct Mix {
    /// The public port of the read service.
    pub(crate) read: Target,
    /// The writer's; needed for uploads.
    pub(crate) writer: Option<Target>,
    /// The admin port, whose metrics say what the service used.
    pub(crate) admin: Option<Target>,
    /// Kept connections to the read service, of all threads together.
    pub(crate) connections: usize,
    /// The same to the writer.
    pub(crate) writer_connections: usize,
    /// A connection is replaced by a new one after this many requests.
    pub(crate) requests_per_connection: u32,
    /// After this time from the intended moment a client gives up.
    pub(crate) timeout: Duration,
    /// Most live displays that are open at once.
    pub(crate) live_displays: usize,
    /// How long each stays open.
    pub(crate) live_display_for: Duration,
    pub(crate) traffic: Traffic,
    /// Who asks.
    pub people: Who,
    pub(crate) assumptions: Assumptions,
}

/// When requests of which class are sent.
#[derive(Clone, Debug)]
pub(crate) enum Traffic {
    /// Phases, and the weight of each class in all of them.
    Phases { phases: Vec<Phase>, weights: [f64; Class::ALL.len()], even: bool },
    /// A log, this many times as fast.
    Log { log: Log, speed: f64 },
}

/// Where the people of a run come from.
#[derive(Clone, Debug)]
pub struct Who {
    /// Citizens' sessions.
    pub sessions: Source,
    /// Checkpoints' sessions.
    pub checkpoints: Source,
    /// Identity tokens of citizens, for sign-ins.
    pub identity_tokens: Source,
    /// Identity tokens of agencies, for uploads.
    pub agency_tokens: Source,
}

/// Sessions or tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// So many, made from the keys of the data directory.
    Made(u32),
    /// From a file, one a line.
    File(PathBuf),
}

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `Host`.
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
}

impl Mix {
    /// Reads a mix file. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// It cannot be read, or has faults: all of them, each with its key.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let text = fs::read_to_string(path).map_err(|error| LoadError::file(path, &error))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(LoadError::Mix)
    }

    /// Whether the run has requests of this class.
    pub fn has(&self, class: Class) -> bool {
        match &self.traffic {
            Traffic::Phases { weights, .. } => weights[class as usize] > 0.0,
            Traffic::Log { log, .. } => log.requests.iter().any(|request| request.class == class),
        }
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, Vec<String>> {
        let table = text.parse::<Table>().map_err(|error| vec![error.to_string()])?;
        let mut faults = Vec::new();
        let mut root = Section::new("", table, &mut faults);
        let [read, writer, admin] = targets(root.section("target"));
        let mut clients = root.section("clients");
        let connections = clients.whole("connections", 1..=60_000, 64) as usize;
        let writer_connections = clients.whole("writer_connections", 1..=10_000, 16) as usize;
        let requests_per_connection = clients.whole("requests_per_connection", 1..=u32::MAX, u32::MAX);
        let timeout = Duration::from_millis(clients.whole("timeout_ms", 1..=600_000, 10_000).into());
        let live_displays = clients.whole("live_displays", 1..=60_000, 1_000) as usize;
        let live_display_for = Duration::from_secs(clients.whole("live_display_s", 1..=86_400, 60).into());
        let even = match clients.text("arrivals").as_deref() {
            None | Some("random") => false,
            Some("even") => true,
            Some(_) => {
                clients.fault("arrivals", "expected random or even");
                false
            }
        };
        clients.end(
            "arrivals, connections, writer_connections, requests_per_connection, timeout_ms, live_displays and \
             live_display_s",
        );
        let people = who(root.section("people"), directory);
        let assumptions = Assumptions::read(root.section("estimate"));
        let traffic = if root.has("replay") {
            for key in ["mix", "phases"] {
                if root.take(key).is_some() {
                    root.fault(key, "expected either this or [replay]");
                }
            }
            replayed(root.section("replay"), directory)
        } else {
            phased(&mut root, even)
        };
        root.end("target, clients, people, mix, phases, replay and estimate");
        let (Some(read), Some(traffic), true) = (read, traffic, faults.is_empty()) else { return Err(faults) };
        let mix = Self {
            read,
            writer,
            admin,
            connections,
            writer_connections,
            requests_per_connection,
            timeout,
            live_displays,
            live_display_for,
            traffic,
            people,
            assumptions,
        };
        if mix.has(Class::Upload) && mix.writer.is_none() {
            return Err(vec!["target.writer: expected the writer's URL, since there are uploads".into()]);
        }
        if mix.has(Class::Scan) && !mix.has(Class::Code) {
            return Err(vec!["mix.code: expected codes too, since scans are of codes that the run was given".into()]);
        }
        Ok(mix)
    }
}

fn targets(mut section: Section<'_>) -> [Option<Target>; 3] {
    if !section.has("read") {
        section.fault("read", "expected the read service's URL");
    }
    let urls = ["read", "writer", "admin"].map(|key| Some((key, section.text(key)?)));
    let targets = urls.map(|url| {
        let (key, url) = url?;
        let found = Target::parse(&url);
        if let Err(expected) = &found {
            section.fault(key, expected);
        }
        found.ok()
    });
    section.end("read, writer and admin");
    targets
}

impl Target {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let host = host.ok_or("expected http://HOST:PORT; TLS is left to what stands before the service")?;
        let with_port = if host.parse::<SocketAddr>().is_ok() || host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = with_port.to_socket_addrs().ok().and_then(|mut found| found.next());
        Ok(Self { host: host.to_owned(), address: address.ok_or("expected http://HOST:PORT of a host that is known")? })
    }
}

fn who(mut section: Section<'_>, directory: &Path) -> Who {
    let mut source = |key, default| match section.take(key) {
        None => Source::Made(default),
        Some(Value::String(file)) => Source::File(directory.join(file)),
        Some(value) => {
            let count = section.number_in(key, &value, 1.0..=f64::from(MAX_PEOPLE));
            Source::Made(count.map_or(default, |count| count as u32))
        }
    };
    let who = Who {
        sessions: source("sessions", 10_000),
        checkpoints: source("checkpoints", 100),
        identity_tokens: source("identity_tokens", 1_000),
        agency_tokens: source("agency_tokens", 1),
    };
    section.end("sessions, checkpoints, identity_tokens and agency_tokens: each a number or a file");
    who
}

fn replayed(mut section: Section<'_>, directory: &Path) -> Option<Traffic> {
    let speed = section.number("speed", 0.001..=1_000.0).unwrap_or(1.0);
    let file = section.text("file");
    if file.is_none() {
        section.fault("file", "expected an access log");
    }
    let log = match Log::read(&directory.join(file.unwrap_or_default())) {
        Ok(log) => Some(log),
        Err(error) => {
            section.fault("file", error);
            None
        }
    };
    section.end("file and speed");
    Some(Traffic::Log { log: log?, speed })
}

fn phased(root: &mut Section<'_>, even: bool) -> Option<Traffic> {
    let mut mix = root.section("mix");
    let weights = Class::ALL.map(|class| mix.number(class.name(), 0.0..=MAX_RATE).unwrap_or(0.0));
    if weights.iter().sum::<f64>() <= 0.0 {
        mix.fault("", "expected the weight of at least one class");
    }
    mix.end(&Class::ALL.map(Class::name).join(", "));
    let tables = root.list("phases");
    if tables.is_empty() || tables.len() > MAX_PHASES {
        root.fault("phases", format!("expected 1 to {MAX_PHASES} of them"));
    }
    let mut phases = Vec::new();
    for (n, table) in tables.into_iter().enumerate() {
        phases.extend(phase(Section::new(format!("phases[{n}]"), table, root.faults())));
    }
    if phases.iter().map(|phase| phase.length).sum::<Duration>() > MAX_RUN {
        root.fault("phases", format!("expected at most {} s in all", MAX_RUN.as_secs()));
    }
    Some(Traffic::Phases { phases, weights, even })
}

fn phase(mut section: Section<'_>) -> Option<Phase> {
    let name = section.text("name");
    for key in ["duration_s", "rate"] {
        if !section.has(key) {
            section.fault(key, "expected a number");
        }
    }
    let length = section.number("duration_s", 0.1..=MAX_RUN.as_secs_f64()).map(Duration::from_secs_f64);
    let warm_up = section.take("warm_up").is_some_and(|value| {
        value.as_bool().unwrap_or_else(|| {
            section.fault("warm_up", "expected true or false");
            false
        })
    });
    let rate = section.take("rate").and_then(|value| match value.as_str() {
        Some("max") => {
            if section.take("to").is_some() {
                section.fault("to", "expected a rate in numbers beside it");
            }
            Some(Rate::Closed)
        }
        Some(_) => {
            section.fault("rate", "expected requests a second, or max");
            None
        }
        None => {
            let from = section.number_in("rate", &value, 0.0..=MAX_RATE);
            let to = section.number("to", 0.0..=MAX_RATE).or(from);
            from.zip(to).map(|(from, to)| Rate::Ramp { from, to })
        }
    });
    section.end("name, duration_s, rate, to and warm_up");
    let (length, rate) = (length?, rate?);
    let name = name.unwrap_or_else(|| rate.to_string());
    Some(Phase { name, length, rate, warm_up })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mix, Vec<String>> {
        Mix::parse(text, Path::new("/mixes"))
    }

    const LEAST: &str = "[target]\nread = \"http://127.0.0.1:8080\"\n[mix]\ndisplay = 1\n\
        [[phases]]\nduration_s = 10\nrate = 100\n";

    #[test]
    fn a_mix_needs_little_and_has_defaults_for_the_rest() {
        let mix = parse(LEAST).unwrap();
        assert_eq!((mix.connections, mix.timeout, &*mix.read.host), (64, Duration::from_secs(10), "127.0.0.1:8080"));
        assert!(mix.has(Class::Display) && !mix.has(Class::Code) && mix.writer.is_none());
        assert_eq!(mix.people.sessions, Source::Made(10_000));
        let Traffic::Phases { phases, even, .. } = mix.traffic else { panic!("no log was given") };
        assert_eq!((phases.len(), &*phases[0].name, even), (1, "100/s", false));
    }

    #[test]
    fn a_mix_with_everything_is_read() {
        let mix = parse(
            "[target]\nread = \"http://127.0.0.1:8080/\"\nwriter = \"http://127.0.0.1:8081\"\n\
            admin = \"http://127.0.0.1:9090\"\n\
            [clients]\narrivals = \"even\"\nconnections = 8000\nwriter_connections = 4\n\
            requests_per_connection = 1\ntimeout_ms = 2000\n\
            live_displays = 50\nlive_display_s = 5\n\
            [people]\nsessions = \"sessions.txt\"\ncheckpoints = 40\nidentity_tokens = 10\nagency_tokens = \"a\"\n\
            [mix]\ndisplay = 80\ncode = 10\nscan = 8.5\nsign_in = 1\nupload = 0.25\nlive_display = 0.25\n\
            [[phases]]\nname = \"first\"\nduration_s = 1.5\nrate = 0\nto = 5000\nwarm_up = true\n\
            [[phases]]\nduration_s = 10\nrate = \"max\"\n\
            [estimate]\npeople = 8000000\ncrowd = 12\n",
        )
        .unwrap();
        assert_eq!(mix.people.sessions, Source::File("/mixes/sessions.txt".into()));
        assert_eq!((mix.people.checkpoints, mix.assumptions.crowd), (Source::Made(40), 12.0));
        let Traffic::Phases { phases, weights, even } = mix.traffic else { panic!("no log was given") };
        assert_eq!(phases.iter().map(|phase| &*phase.name).collect::<Vec<_>>(), ["first", "max"]);
        assert_eq!(phases[0].rate, Rate::Ramp { from: 0.0, to: 5_000.0 });
        assert!(phases[0].warm_up && even && weights == [80.0, 10.0, 8.5, 1.0, 0.25, 0.25]);
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let faults = parse(
            "colour = 1\n\
            [target]\nread = \"https://127.0.0.1\"\nadmin = 7\n\
            [clients]\narrivals = \"never\"\nconnections = 0\nthreads = 2\ntimeout_ms = 1.5\n\
            [people]\nsessions = 0\ncheckpoints = true\n\
            [mix]\ndisplay = -1\nscans = 3\n\
            [[phases]]\nrate = 100\nto = 1e9\nfast = true\n\
            [[phases]]\nname = 5\nduration_s = 0\nrate = \"most\"\n\
            [[phases]]\nduration_s = 5\nrate = \"max\"\nto = 5\nwarm_up = 1\n\
            [estimate]\nutilization = 2\n",
        )
        .unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.split(": ").next().unwrap_or_default()).collect();
        let expected = [
            "target.read",
            "target.admin",
            "clients.connections",
            "clients.timeout_ms",
            "clients.threads",
            "people.sessions",
            "people.checkpoints",
            "estimate.utilization",
            "clients.arrivals",
            "mix.display",
            "mix",
            "mix.scans",
            "phases[0].duration_s",
            "phases[0].to",
            "phases[0].fast",
            "phases[1].name",
            "phases[1].duration_s",
            "phases[1].rate",
            "phases[2].warm_up",
            "phases[2].to",
            "colour",
        ];
        for key in expected {
            assert!(keys.contains(&key), "{key} is not in {faults:#?}");
        }
        assert_eq!(keys.len(), expected.len(), "{faults:#?}");
    }

    #[test]
    fn classes_need_what_they_use_and_a_log_takes_the_place_of_phases() {
        let faults = |text: String| parse(&text).unwrap_err().join("; ");
        assert!(faults(LEAST.replace("display", "upload")).starts_with("target.writer: "));
        assert!(faults(LEAST.replace("display", "scan")).starts_with("mix.code: "));
        assert!(faults("[target]\n".into()).contains("target.read: ") && faults("= 1".into()).contains("TOML"));
        let both = faults(LEAST.to_owned() + "[replay]\nspeed = 0\n");
        for key in ["mix: ", "phases: ", "replay.speed: ", "replay.file: "] {
            assert!(both.contains(key), "{key} is not in {both}");
        }
        let long = LEAST.replace("duration_s = 10", "duration_s = 86000") + "[[phases]]\nduration_s = 500\nrate = 1\n";
        assert!(faults(long).starts_with("phases: expected at most 86400 s"));
    }

    #[test]
    fn the_documented_mix_is_read_and_its_comments_are_the_defaults() {
        let page = include_str!("../../docs/capacity.md");
        let toml = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let mix = parse(toml).unwrap();
        assert!(Class::ALL.into_iter().all(|class| mix.has(class)));
        // A commented key stands for its default, and so does a section that is left out.
        let lines: Vec<&str> = toml.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
        let uncommented = parse(&lines.join("\n")).unwrap();
        let least = parse(LEAST).unwrap();
        for other in [&uncommented, &least] {
            assert_eq!(mix.assumptions, other.assumptions);
            assert_eq!((mix.timeout, mix.live_display_for), (other.timeout, other.live_display_for));
            assert_eq!((mix.connections, mix.writer_connections), (other.connections, other.writer_connections));
            assert_eq!((mix.live_displays, &mix.people.sessions), (other.live_displays, &other.people.sessions));
        }
    }
}
