//! Start on existing data, refusal to start, and stop without dropping a request.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use yima_harness::{Options, StartError, Yima, is_paused, new_person, resume, until};
use yima_schema::time::HOUR;

/// yima refuses to start, with exit code 3 and all of these words.
#[track_caller]
pub fn assert_refuses_start(options: &Options, words: &[&str]) {
    let Err(StartError { exit, stderr }) = Yima::try_start(options.clone()) else { panic!("yima started") };
    let exit = exit.expect("yima ends by itself");
    assert_eq!(exit.code(), Some(3), "{exit}:\n{stderr}");
    assert!(words.iter().all(|words| stderr.contains(words)), "expected {words:?} in:\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_second_start_keeps_data_and_sessions_and_seeds_nothing() {
    const SEEDED: &str = "seeded the demo population";
    let mut yima = Yima::start(Options::default().population(10));
    assert!(yima.stderr().contains(SEEDED));
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let event = person.test("t-1", "positive", HOUR);
    assert_eq!(yima.event(&lab, &event), "accepted");
    let session = yima.session_of(&person);
    let before = yima.display(&session);
    assert_eq!(yima.stop().code(), Some(0));

    let yima = Yima::start(yima.options().clone().population(20));
    assert!(!yima.stderr().contains(SEEDED), "{}", yima.stderr());
    let after = yima.display(&session);
    assert_eq!((after.status, &after.body, after.header("etag")), (200, &before.body, before.header("etag")));
    assert_eq!(yima.event(&lab, &event), "duplicate");
    let sessions = yima.options().print(&["sessions", "--count", "10"]);
    assert_eq!(sessions.len(), 10);
    for session in &sessions {
        let body = yima.display(session).json(200);
        assert!(body["identity"]["name"].is_string() && body["colour"]["code"] != "none", "{body}");
    }
    let eleven = yima.options().command().args(["sessions", "--count", "11"]).output().expect("yima can be run");
    assert!(!eleven.status.success() && String::from_utf8_lossy(&eleven.stderr).contains("--count"));
}

#[test]
fn only_the_owner_may_access_the_data_directory() {
    fn assert_private(path: &Path, count: &mut usize) {
        let metadata = fs::symlink_metadata(path).expect("an existing path");
        assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
        *count += 1;
        if metadata.is_dir() {
            let entries = fs::read_dir(path).expect("a directory");
            entries.for_each(|entry| assert_private(&entry.expect("an entry").path(), count));
        }
    }
    let yima = Yima::start(Options::default());
    yima.event(&yima.agency_token("lab-7"), &new_person().test("t-1", "negative", HOUR));
    let mut count = 0;
    assert_private(&yima.data_dir(), &mut count);
    assert!(count > 10, "{count}");
}

#[test]
fn a_wrong_or_missing_pseudonym_key_refuses_the_start() {
    let mut yima = Yima::start(Options::default());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "positive", HOUR));
    let session = yima.session_of(&person);
    yima.stop();
    let (options, key) = (yima.options().clone(), yima.data_dir().join("keys/pseudonym.key"));
    let right = fs::read(&key).expect("the key");

    fs::write(&key, [7; 32]).expect("the data directory can be written");
    assert_refuses_start(&options, &["pseudonym key"]);
    fs::write(&key, &right[..31]).expect("the data directory can be written");
    assert_refuses_start(&options, &["pseudonym.key", "32 bytes"]);
    fs::remove_file(&key).expect("the data directory can be written");
    assert_refuses_start(&options, &["pseudonym.key", "missing"]);
    assert!(!key.exists(), "a key was made beside an existing store");

    fs::write(&key, right).expect("the data directory can be written");
    yima.restart();
    assert_eq!(yima.shown(&session).0, "red");
}

#[test]
fn two_migrations_at_once_in_a_new_data_directory_agree_on_every_key() {
    // Nothing listens there: keys come before the database.
    let options = Options::default().env("YIMA_STORE__CQL__CONTACT_POINTS", "[\"127.0.0.1:1\"]");
    let migrate = || {
        let mut command = options.command();
        command.arg("migrate").stderr(Stdio::piped());
        command
    };
    let keys = || -> Vec<_> {
        let entries = fs::read_dir(options.data_dir().join("keys")).expect("a directory");
        let mut keys: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        keys.sort();
        keys.into_iter().map(|path| (path.clone(), fs::read(path).expect("a key"))).collect()
    };
    let first = migrate().env("FAILPOINT", "key_written:stop").spawn().expect("yima can be run");
    until("a pause before the pseudonym key has its name", Duration::from_secs(60), || is_paused(&first));
    assert!(!options.data_dir().join("keys/pseudonym.key").exists());
    let assert_unreachable = |stderr: &[u8]| {
        let stderr = String::from_utf8_lossy(stderr);
        assert!(stderr.contains("127.0.0.1:1"), "{stderr}");
    };
    assert_unreachable(&migrate().output().expect("yima can be run").stderr);
    let mut created = keys();
    created.retain(|(path, _)| !path.to_string_lossy().ends_with(".part"));
    assert_eq!(created.len(), 5, "{:?}", created.iter().map(|(path, _)| path).collect::<Vec<_>>());
    resume(&first);
    assert_unreachable(&first.wait_with_output().expect("it ends").stderr);
    assert!(keys() == created, "the first migration replaced a key, or left a temporary file");
}

#[test]
fn invalid_settings_and_a_locked_data_directory_are_named() {
    let invalid =
        Options::default().env("YIMA_READ_API__CACHE__MAX_LAGG_MS", 1).env("YIMA_WRITER__BODY_TIMEOUT_MS", "hunter2");
    assert_refuses_start(&invalid, &["2 errors", "read_api.cache.max_lagg_ms", "writer.body_timeout_ms"]);
    assert!(!invalid.data_dir().exists(), "a file was opened before all settings were checked");
    let Err(StartError { stderr, .. }) = Yima::try_start(invalid) else { panic!("yima started") };
    assert!(!stderr.contains("hunter2"), "a value may be a secret: {stderr}");

    let yima = Yima::start(Options::default());
    assert_refuses_start(yima.options(), &["another process"]);
    let person = new_person();
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "none", "the first process still serves");
}

#[test]
fn a_low_hard_limit_of_open_files_warns_and_a_low_soft_limit_is_raised() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound port");
    // yima checks its limits before it binds, and a port in use ends it.
    let stderr_with = |limits: &str| {
        let options = Options::default()
            .env("YIMA_ADMIN__LISTEN", address)
            .env("YIMA_READ_API__HTTP__MAX_CONNECTIONS", 80)
            .env("YIMA_WRITER__HTTP__MAX_CONNECTIONS", 20);
        let plain = options.command();
        let mut limited = Command::new("bash");
        limited.args(["-c", &format!("{limits} && exec \"$@\""), "-"]).arg(plain.get_program()).args(plain.get_args());
        let output = limited
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .output()
            .expect("bash can be run");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let warning = "fewer files may be open than connections are allowed";
    let few = stderr_with("ulimit -n 1099");
    assert!(few.contains(warning) && few.contains("admin.listen: cannot listen"), "{few}");
    let raised = stderr_with("ulimit -Sn 500 && ulimit -Hn 1100");
    assert!(!raised.contains(warning), "{raised}");
}

#[test]
fn a_stop_finishes_a_request_under_way() {
    let mut yima = Yima::start(Options::default());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let event = person.test("t-1", "positive", HOUR);
    let body = event.to_string();
    let connect = || TcpStream::connect(&yima.writer_url()["http://".len()..]).expect("a connection");
    let (mut stream, idle) = (connect(), connect());
    let (sent, rest) = body.split_at(20);
    let length = body.len();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {lab}\r\nContent-Type: application/json\r\n"
    );
    // The interim response shows that the handler reads the body: the request is under way.
    write!(stream, "{head}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n").expect("a sent head");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("an interim response");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(sent.as_bytes()).expect("a sent body");

    let terminated_at = Instant::now();
    yima.terminate();
    let refuses_connections = || TcpStream::connect(&yima.writer_url()["http://".len()..]).is_err();
    until("the end of accepting", Duration::from_secs(10), refuses_connections);
    stream.write_all(rest.as_bytes()).expect("a sent body");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and the end of the connection");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"accepted\""), "{answer}");
    assert_eq!(yima.wait().code(), Some(0), "{}", yima.stderr());
    assert!(terminated_at.elapsed() < Duration::from_secs(15), "an idle connection delayed the stop");
    drop(idle);

    yima.restart();
    assert_eq!(yima.event(&lab, &event), "duplicate");
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "red");
}

#[test]
fn half_a_request_does_not_delay_a_stop() {
    let mut yima = Yima::start(Options::default());
    let connect = |url: String| TcpStream::connect(&url["http://".len()..]).expect("a connection");
    let halves = ["G", "GET /v1/display HTTP/1.1\r\nHost: x\r\nAuth"].map(|half| {
        [yima.read_url(), yima.writer_url()].map(|url| {
            let mut stream = connect(url);
            stream.write_all(half.as_bytes()).expect("a sent half");
            stream
        })
    });
    // A connection that was accepted after the others: theirs are being served.
    assert_eq!(yima.shown(&yima.session_of(&new_person())).0, "none");
    let terminated_at = Instant::now();
    yima.terminate();
    assert_eq!(yima.wait().code(), Some(0), "{}", yima.stderr());
    // Well below a second where nothing else runs; `stop_deadline_ms` would be 20 s.
    assert!(terminated_at.elapsed() < Duration::from_secs(5), "{:?}", terminated_at.elapsed());
    drop(halves);
}
