//! The drill: a crowd of twelve times the rated load at a read node with cold memory, while the database is slow, then
//! dead; and the afternoon of Guangdong, 23,300 displays a second without a database. It goes on after a broken promise
//! and prints which hold.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use yima_harness::checker::options;
use yima_harness::samples::subject;
use yima_harness::{Cluster, ClusterOptions, Node, Options, Region, RegionStore, Yima, new_person, now, until};
use yima_schema::seal::SealKeys;
use yima_schema::session::{Holder, Session};
use yima_schema::time::DAY;

use crate::quota::Quota;
use crate::restarts::fill;

/// The rated load is a quarter of the display capacity; the crowd is twelve times as much.
const RATED_SHARE: f64 = 0.25;
const CROWD: f64 = 12.0;
/// Cores of the read node until the crowd has gone: the generator on the same machine needs all that three times the
/// capacity takes.
const CORES: f64 = 0.15;
/// Requests a second of Guangdong's system at its failure.
const GUANGDONG: f64 = 23_300.0;
/// How long the crowd comes, and how long each of it waits.
const CROWD_S: f64 = 20.0;
const GIVES_UP_AFTER_S: f64 = 2.0;
/// Seconds of full load before the restart.
const BEFORE_RESTART: usize = 6;
/// Connections of the crowd, each for one request, and of everything else. As many as can wait for so long: with fewer,
/// requests would wait in the generator.
const CROWD_CONNECTIONS: u32 = 9_000;
const CONNECTIONS: u32 = 64;
/// One in this many sessions belongs to a subject without a view, which no cache tier has at first.
const STRANGERS: u64 = 50;
/// The slow database stands still for most of the time.
const STANDS_STILL: Duration = Duration::from_millis(200);
const RUNS: Duration = Duration::from_millis(50);
/// Displays, and the classes that are refused before them.
const MIX: &str = "display = 92\ncode = 3\nsign_in = 3\nlive_display = 2";
const DISPLAYS: &str = "display = 1";

/// The read node, and how it is asked.
struct Drill {
    region: Region,
    reader: Yima,
    quota: Option<Quota>,
    broken: usize,
}

/// Runs the drill with so many people, and the last part for `length`.
pub(crate) fn run(length: Duration, people: u64) {
    let cluster = Arc::new(Cluster::start(ClusterOptions::default().benchmark()));
    let region = Region::new(&cluster, 1, "xian", "drill", options());
    let stored = RegionStore::open(&region);
    let reader = region.reader(&[
        ("YIMA_READ_API__LEVELS__AUTOMATIC", "true"),
        ("YIMA_READ_API__CACHE__POLL_MS", "200"),
        ("YIMA_READ_API__HTTP__MAX_CONNECTIONS_PER_PEER", "10000"),
    ]);
    fill(&cluster, &stored, "drill_xian", people);
    let is_filled = || reader.metric("cache_disk_entries", &[]) >= people as f64;
    until("every view in the disk tier", Duration::from_secs(600), is_filled);
    let mut drill = Drill { region, reader, quota: Some(Quota::new(CORES)), broken: 0 };
    drill.write_people(people);
    drill.restrict();

    drill.load("warm-up", DISPLAYS, CONNECTIONS, &phase("\"max\"", 10.0));
    let measured = drill.load("capacity", DISPLAYS, CONNECTIONS, &phase("\"max\"", 10.0));
    let capacity = rate(&measured["phases"][0]["all"]);
    let rated = (capacity * RATED_SHARE).round();
    report!("capacity {capacity:.0} displays/s, rated load {rated:.0}/s, crowd {:.0}/s", rated * CROWD);
    drill.load("rated load", MIX, CONNECTIONS, &phase(&rated.to_string(), 10.0));

    drill.crowd("warm memory", capacity);
    drill.recovery("after the crowd", rated);
    let database = cluster.node(1, 1);
    drill.restart();
    slowly(database, || drill.crowd("cold memory, slow database", capacity));
    drill.recovery("after the slow database", rated);

    database.kill9();
    drill.restart();
    drill.crowd("cold memory, dead database", capacity);
    drill.recovery("after the crowd, still without database", rated);

    drop(drill.quota.take()); // the whole machine, with the generator on it
    drill.guangdong(length);
    drill.restart_at_full_load();
    let started = Instant::now();
    database.start();
    let is_followed = || drill.reader.metric("cache_poll_lag_seconds", &[]) < 2.0;
    until("the feed to be followed again", Duration::from_secs(120), is_followed);
    report!("the database is back and followed after {:.1} s", started.elapsed().as_secs_f64());
    drill.recovery("with the database again", rated);
    report!("{} promises do not hold", drill.broken);
}

/// A phase of a mix file.
fn phase(rate: &str, seconds: f64) -> String {
    format!("[[phases]]\nrate = {rate}\nduration_s = {seconds:.1}\n")
}

/// Lets the database stand still again and again while something runs.
fn slowly(database: Node<'_>, during: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                database.pause();
                thread::sleep(STANDS_STILL);
                database.resume();
                thread::sleep(RUNS);
            }
        });
        during();
        stop.store(true, Ordering::SeqCst);
    });
}

impl Drill {
    /// Files of sessions and identity tokens for the mixes.
    fn write_people(&self, people: u64) {
        let options = self.region.options();
        let seal = SealKeys::new(&[options.key("seal.key")], "session");
        let session = |n: u64| {
            let of = if n.is_multiple_of(STRANGERS) { subject(u64::MAX / 2 + n) } else { subject(n) };
            let holder = Holder::Citizen { subject: of };
            Session { id: rand::random(), started_at: now(), expires_at: now().plus(DAY), holder }.seal(&seal)
        };
        let sessions: Vec<String> = (0..people).map(session).collect();
        let known = sessions.iter().zip(0u64..).filter(|(_, n)| !n.is_multiple_of(STRANGERS));
        let known: Vec<&str> = known.map(|(session, _)| &**session).collect();
        let tokens: Vec<String> =
            (0..50).map(|_| options.print(&["token", "citizen", &new_person().document]).remove(0)).collect();
        for (name, lines) in
            [("sessions", sessions.join("\n")), ("known", known.join("\n")), ("tokens", tokens.join("\n"))]
        {
            fs::write(options.directory().join(name), lines).expect("the temporary directory can be written");
        }
    }

    /// The read node again, with cold memory.
    fn restart(&mut self) {
        self.reader.restart();
        self.restrict();
    }

    fn restrict(&self) {
        self.quota.iter().for_each(|quota| quota.restrict(self.reader.pid()));
    }

    /// Runs a mix, prints its report and returns it.
    fn load(&self, name: &str, mix: &str, connections: u32, phases: &str) -> Value {
        report!("\n== {name}");
        self.prepare(mix, connections, phases).run()
    }

    fn prepare(&self, mix: &str, connections: u32, phases: &str) -> Load {
        let options = self.region.options();
        let (file, json) = (options.directory().join("mix.toml"), options.directory().join("report.json"));
        let sessions = if mix == DISPLAYS { "known" } else { "sessions" };
        let text = format!(
            "[target]\nread = \"{}\"\nadmin = \"{}\"\n\
             [clients]\nconnections = {connections}\ntimeout_ms = 2000\nlive_displays = 500\nlive_display_s = 5\n\
             [people]\nsessions = \"{sessions}\"\nidentity_tokens = \"tokens\"\n[mix]\n{mix}\n{phases}",
            self.reader.read_url(),
            self.reader.admin_url(),
        );
        let text = if connections == CROWD_CONNECTIONS {
            text.replace("[clients]\n", "[clients]\nrequests_per_connection = 1\n")
        } else {
            text
        };
        fs::write(&file, text).expect("the temporary directory can be written");
        Load { options: options.clone(), file, json }
    }

    fn promise(&mut self, what: &str, holds: bool, figures: &str) {
        self.broken += usize::from(!holds);
        report!("{}: {what}: {figures}", if holds { "holds" } else { "DOES NOT HOLD" });
    }

    /// Twelve times the rated load.
    fn crowd(&mut self, name: &str, capacity: f64) {
        let offered = format!("{:.0}", capacity * RATED_SHARE * CROWD);
        let report = self.load(name, MIX, CROWD_CONNECTIONS, &phase(&offered, CROWD_S));
        let classes = report["phases"][0]["classes"].as_array().expect("classes");
        let all = &report["phases"][0]["all"];
        // Answers come until the last client has given up.
        let goodput = number(all, &["admitted", "count"]) / (CROWD_S + GIVES_UP_AFTER_S) / capacity;
        self.promise("goodput at least 0.9 of capacity", goodput >= 0.9, &format!("{goodput:.2}"));
        let failed: f64 = all["failures"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_f64()).sum();
        let share = failed * 100.0 / number(all, &["wanted"]);
        self.promise("every request has an answer", failed == 0.0, &format!("{share:.1} % have none"));
        let refused = number(all, &["refused", "p99"]);
        self.promise("refused within 5 ms", refused < 5.0, &format!("p99 {refused:.1} ms from the moment it was due"));
        let (admitted, sent) = (number(all, &["admitted", "p99"]), number(all, &["from_sending", "p99"]));
        let figures = format!("p99 {admitted:.1} ms; of all answers {sent:.1} ms from sending");
        self.promise("admitted within 50 ms", admitted < 50.0, &figures);
        let is_display = |class: &&Value| class["class"] == "display";
        let displays: f64 = classes.iter().filter(is_display).map(|class| number(class, &["refused", "count"])).sum();
        let lower = classes.iter().filter(|class| !is_display(class));
        let lower: f64 = lower.map(|class| number(class, &["admitted", "count"])).sum();
        let figures = format!("{displays} displays refused, {lower} requests of lower classes served");
        self.promise("no display refused while a lower class is served", displays == 0.0 || lower == 0.0, &figures);
    }

    /// The rated load again, second by second: when everything is answered as ever.
    fn recovery(&mut self, name: &str, rated: f64) {
        let phases = phase(&rated.to_string(), 1.0).repeat(15);
        let report = self.load(name, DISPLAYS, CONNECTIONS, &phases);
        let seconds = report["phases"].as_array().expect("phases");
        let is_well = |second: &Value| {
            let all = &second["all"];
            number(all, &["admitted", "count"]) >= number(all, &["wanted"]) && number(all, &["all", "p99"]) < 50.0
        };
        let bad = seconds.iter().rposition(|second| !is_well(second));
        let figures = bad.map_or("at once".to_owned(), |last| format!("after {} s", last + 1));
        self.promise("everything returns by itself", bad.is_none_or(|last| last + 1 < seconds.len()), &figures);
    }

    /// The read node is killed and started again at full load.
    fn restart_at_full_load(&mut self) {
        report!("\n== restart at full load");
        let load = self.prepare(DISPLAYS, CONNECTIONS, &phase("\"max\"", 1.0).repeat(20));
        let report = thread::scope(|scope| {
            let running = scope.spawn(|| load.run());
            thread::sleep(Duration::from_secs(BEFORE_RESTART as u64));
            self.reader.kill9();
            self.reader.start_again();
            running.join().expect("a report")
        });
        let rates: Vec<f64> = report["phases"].as_array().expect("phases").iter().map(|p| rate(&p["all"])).collect();
        let before = rates[1..BEFORE_RESTART - 1].iter().sum::<f64>() / (BEFORE_RESTART - 2) as f64;
        let again = rates[BEFORE_RESTART..].iter().position(|rate| *rate >= before / 2.0);
        let holds = again.is_some_and(|seconds| seconds <= 5);
        let figures = format!("{before:.0}/s before, then each second {rates:.0?}");
        self.promise("half the rate within 5 s of a restart", holds, &figures);
    }

    /// 23,300 displays a second without a database.
    fn guangdong(&mut self, length: Duration) {
        let phases = phase(&GUANGDONG.to_string(), length.as_secs_f64());
        let report = self.load("23,300/s, dead database", DISPLAYS, CONNECTIONS, &phases);
        let all = &report["phases"][0]["all"];
        let errors = number(all, &["wanted"]) - number(all, &["admitted", "count"]);
        self.promise("no error in 23,300/s without database", errors == 0.0, &format!("{errors}"));
        let p99 = number(all, &["all", "p99"]);
        self.promise("its p99 is below 10 ms", p99 < 10.0, &format!("{p99:.2} ms"));
    }
}

/// A mix that is ready to run.
struct Load {
    options: Options,
    file: PathBuf,
    json: PathBuf,
}

impl Load {
    fn run(&self) -> Value {
        let path = |path: &PathBuf| path.to_str().expect("a path in UTF-8").to_owned();
        for line in self.options.print(&["load", &path(&self.file), "--json", &path(&self.json)]) {
            report!("{line}");
        }
        serde_json::from_slice(&fs::read(&self.json).expect("a report")).expect("a report in JSON")
    }
}

/// Admitted requests a second.
fn rate(all: &Value) -> f64 {
    number(all, &["admitted_per_s"])
}

fn number(value: &Value, path: &[&str]) -> f64 {
    path.iter().fold(value, |value, key| &value[*key]).as_f64().unwrap_or_default()
}
