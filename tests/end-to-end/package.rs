//! The Debian package: it installs and removes, its program runs, and its units allow the program's
//! system calls and few others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use yima_harness::{Options, Yima, require_root};

const UNITS: [&str; 5] =
    ["yima.service", "yima-backup.service", "yima-read-api.service", "yima-writer.service", "yima-audit.service"];
/// The highest exposure that `systemd-analyze security` may report, in tenths. It reports 1.4, and 9.6
/// without the common settings.
const EXPOSURE: &str = "15";
const SOON: Duration = Duration::from_secs(60);

/// The output of a command, both streams.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ({}):\n{printed}", output.status);
    printed
}

fn deploy(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(file)
}

/// The package of the program under test, built once.
fn package() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, package) = BUILT.get_or_init(|| {
        let directory = TempDir::new().expect("a temporary directory");
        let program = Options::default().command().get_program().to_owned();
        let printed = output(Command::new(deploy("package")).arg(program).arg(directory.path()));
        let package = printed.lines().find(|line| line.ends_with(".deb")).expect("its path").into();
        (directory, package)
    });
    package
}

/// Runs dpkg on a root directory in place of this machine's.
fn dpkg(root: &Path, args: &[&str]) -> String {
    let mut command = Command::new("dpkg");
    // The package's scripts handle another root themselves, and its dependencies are on this machine.
    command.arg(format!("--root={}", root.display())).args(["--force-script-chrootless", "--force-depends"]);
    output(command.arg("--log=/dev/null").args(args))
}

#[test]
fn as_root_the_package_installs_runs_and_keeps_the_keys_when_purged() {
    require_root(); // only root can make users
    let directory = TempDir::new().expect("a temporary directory");
    let root = directory.path();
    for made in ["etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"] {
        fs::create_dir_all(root.join(made)).expect("a directory");
    }
    for made in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "var/lib/dpkg/status"] {
        fs::write(root.join(made), "").expect("a file");
    }
    fs::copy("/etc/login.defs", root.join("etc/login.defs")).expect("a file");
    dpkg(root, &["--install", package().to_str().expect("a path in UTF-8")]);
    let users = fs::read_to_string(root.join("etc/passwd")).expect("users");
    assert!(users.starts_with("yima:") && users.ends_with(":/var/lib/yima:/usr/sbin/nologin\n"), "{users}");

    // Runs the unit's command, but below the root and on free ports.
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/yima.service")).expect("a unit");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let below = |word: &str| if word.starts_with('/') { format!("{}{word}", root.display()) } else { word.to_owned() };
    let words: Vec<String> = line.split(' ').map(below).collect();
    fs::create_dir(root.join("var/lib/yima")).expect("a directory");
    let manager = UnixDatagram::bind(root.join("notify")).expect("a socket");
    manager.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut started = Started(
        Command::new(&words[0])
            .args(&words[1..])
            .env("NOTIFY_SOCKET", root.join("notify"))
            .envs(["YIMA_READ_API__BIND", "YIMA_WRITER__BIND", "YIMA_ADMIN__LISTEN"].map(|key| (key, "127.0.0.1:0")))
            .env("YIMA_LIFECYCLE__DRAIN_WAIT_MS", "0")
            .stdout(Stdio::null())
            .spawn()
            .expect("the packed program can be run"),
    );
    let notification = || {
        let mut message = [0; 100];
        let length = manager.recv(&mut message).expect("a notification to the service manager");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert_eq!(notification(), "READY=1\n");
    kill_process(Pid::from_child(&started.0), Signal::TERM).expect("a child can be signalled");
    assert_eq!(notification(), "STOPPING=1\n");
    assert_eq!(started.0.wait().expect("a child ends").code(), Some(0));

    let key = root.join("var/lib/yima/keys/pseudonym.key");
    assert!(key.exists());
    dpkg(root, &["--remove", "yima"]);
    assert!(!root.join("usr/bin/yima").exists() && root.join("etc/yima/yima.toml").exists());
    let printed = dpkg(root, &["--purge", "yima"]);
    assert!(printed.contains("/var/lib/yima is kept"), "{printed}");
    assert!(!root.join("etc/yima").exists() && key.exists());
}

/// A child that is killed on drop, so that a failing test leaves no process.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Fails if the child has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_package_has_its_files_and_root_owns_them() {
    let listed = output(Command::new("dpkg-deb").arg("--contents").arg(package()));
    let required = [
        "-rwxr-xr-x root/root ./usr/bin/yima",
        "-rw-r--r-- root/root ./etc/yima/yima.toml",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/yima.service",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/yima-backup.service",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/yima-backup.timer",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/yima-read-api.service",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/yima-writer.service",
        "-rw-r--r-- root/root ./usr/share/doc/yima/copyright",
        "-rw-r--r-- root/root ./usr/share/doc/yima/docs/operations.md",
        "-rw-r--r-- root/root ./usr/share/yima/alerts.yml",
        "-rw-r--r-- root/root ./usr/share/yima/dashboard.json",
        "-rw-r--r-- root/root ./usr/share/yima/haproxy.cfg",
        "-rwxr-xr-x root/root ./usr/share/yima/render",
    ];
    let lines: BTreeSet<String> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[1], "root/root", "{line}");
            assert!(words[0].starts_with('l') || &words[0][5..6] != "w" && &words[0][8..9] != "w", "{line}");
            format!("{} {} {}", words[0], words[1], words[5])
        })
        .collect();
    for line in required {
        assert!(lines.contains(line), "{line} is not in\n{listed}");
    }
    let fields = output(Command::new("dpkg-deb").arg("--field").arg(package()));
    assert!(fields.contains("Package: yima\n") && fields.contains("Depends: libc6 (>= 2."), "{fields}");
}

/// The units in a directory of their own, with the program under test.
fn units() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    output(Command::new("cp").args(["-r", "--no-dereference"]).arg(deploy("systemd/.")).arg(directory.path()));
    let program = Options::default().command().get_program().to_str().expect("a path in UTF-8").to_owned();
    for unit in UNITS {
        let path = directory.path().join(unit);
        let text = fs::read_to_string(&path).expect("a unit");
        fs::write(&path, text.replace("/usr/bin/yima", &program)).expect("a unit");
    }
    directory
}

#[test]
fn the_units_are_valid_and_sandboxed() {
    let directory = units();
    let verify = |unit: &Path| {
        let warnings = output(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit));
        assert_eq!(warnings, "", "{}", unit.display());
    };
    verify(&directory.path().join("yima-backup.timer"));
    for unit in UNITS.map(|unit| directory.path().join(unit)) {
        verify(&unit);
        let threshold = format!("--threshold={EXPOSURE}");
        output(
            Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager", &threshold]).arg(unit),
        );
    }
}

#[test]
fn the_backup_unit_makes_a_backup_and_keeps_the_last_24() {
    let yima = Yima::start(Options::default());
    let backups = yima.options().directory().join("backups");
    fs::create_dir(&backups).expect("a directory");
    for hour in 0..30 {
        fs::write(backups.join(format!("yima-20260101T{hour:02}0000Z")), b"").expect("a file");
    }
    fs::write(backups.join("yima-20260101T000000Z.part"), b"").expect("a file");
    let credentials = yima.options().directory().join("credentials");
    fs::create_dir(&credentials).expect("a directory");
    fs::write(credentials.join("backup-passphrase"), "correct horse battery staple\n").expect("a file");
    let unit = fs::read_to_string(deploy("systemd/yima-backup.service")).expect("a unit");
    let program = yima.options().command().get_program().to_str().expect("a path in UTF-8").to_owned();
    let (data, to) = (yima.data_dir().display().to_string(), backups.display().to_string());
    let paths = [("/usr/bin/yima", program.as_str()), ("/var/lib/yima", &data), ("/var/backups/yima", &to)];
    let replacements = paths.into_iter().chain([(" --config /etc/yima/yima.toml", ""), ("$$", "$"), ("%%", "%")]);
    let unit = replacements.fold(unit, |unit, (text, replacement)| unit.replace(text, replacement));
    for command in unit.lines().filter_map(|line| line.strip_prefix("ExecStart")?.split_once('=')) {
        output(Command::new("sh").args(["-c", command.1]).env("CREDENTIALS_DIRECTORY", &credentials));
    }
    let mut kept: Vec<PathBuf> =
        fs::read_dir(&backups).expect("a directory").map(|entry| entry.expect("a file").path()).collect();
    kept.sort();
    assert_eq!(kept.len(), 24, "{kept:?}");
    assert!(kept[0].ends_with("yima-20260101T070000Z"), "{kept:?}");
    assert!(fs::read(&kept[23]).expect("a backup").starts_with(b"age-encryption.org/v1\n"), "{kept:?}");
}

/// The system calls of a set and of the sets in it.
fn calls(set: &str) -> BTreeSet<String> {
    let listed = output(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", set]));
    let words = listed.lines().map(str::trim).filter(|line| !line.starts_with('#') && *line != set);
    words.flat_map(|word| if word.starts_with('@') { calls(word) } else { BTreeSet::from([word.to_owned()]) }).collect()
}

#[test]
fn the_units_allow_every_system_call_of_the_program() {
    let common = fs::read_to_string(deploy("systemd/yima-.service.d/10-common.conf")).expect("a unit");
    let mut allowed = calls("@default");
    for filter in common.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        match filter.strip_prefix('~') {
            None => filter.split(' ').for_each(|set| allowed.extend(calls(set))),
            Some(sets) => allowed = &allowed - &sets.split(' ').flat_map(calls).collect(),
        }
    }
    assert!(allowed.contains("openat") && !allowed.contains("setrlimit") && !allowed.contains("mount"));

    let options = Options::default().env("YIMA_ADMIN__LISTEN", "127.0.0.1:0");
    let (plain, trace) = (options.command(), options.directory().join("trace"));
    let manager = UnixDatagram::bind(options.directory().join("notify")).expect("a socket");
    manager.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut traced = Started(
        Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .arg(plain.get_program())
            .args(plain.get_args())
            .args(["--population", "10"])
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .envs(["YIMA_READ_API__BIND", "YIMA_WRITER__BIND"].map(|key| (key, "127.0.0.1:0")))
            .env("NOTIFY_SOCKET", options.directory().join("notify"))
            .stdout(Stdio::null())
            .spawn()
            .expect("strace can be run"),
    );
    manager.recv(&mut [0; 100]).expect("the program is ready");
    // strace ends with the traced program, and forwards no signal.
    let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", traced.0.id())).expect("strace's children");
    let child = child.trim().parse().ok().and_then(Pid::from_raw).expect("one child");
    kill_process(child, Signal::TERM).expect("a child can be signalled");
    traced.0.wait().expect("a child ends");

    let trace = fs::read_to_string(trace).expect("a trace");
    let named = trace.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once('(')).map(|(name, _)| name);
    let used: BTreeSet<String> = named.map(str::to_owned).collect();
    assert!(used.contains("listen") && used.contains("fsync"), "{used:?}");
    let forbidden: Vec<_> = used.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}
