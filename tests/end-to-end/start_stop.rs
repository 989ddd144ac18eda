//! Starting on what is there, refusing to start on what is wrong, and stopping without dropping anything.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use yima_harness::{Options, StartError, Yima, new_person};
use yima_schema::time::HOUR;

/// That it ended by itself, as one that refuses to start, and said all of this.
#[track_caller]
pub fn refuses(options: &Options, says: &[&str]) {
    let Err(StartError { exit, stderr }) = Yima::try_start(options.clone()) else { panic!("it started") };
    let exit = exit.expect("it ends by itself");
    assert_eq!(exit.code(), Some(3), "{exit}:\n{stderr}");
    assert!(says.iter().all(|words| stderr.contains(words)), "expected {says:?} in:\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_second_start_keeps_what_is_there() {
    const LOADED: &str = "loaded the demo population";
    let mut yima = Yima::start(Options::default().population(10));
    assert!(yima.stderr().contains(LOADED));
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    let event = person.test("t-1", "positive", HOUR);
    assert_eq!(yima.event(&lab, &event), "accepted");
    let session = yima.session_of(&person);
    let before = yima.display(&session);
    assert_eq!(yima.stop().code(), Some(0));

    let yima = Yima::start(yima.options().clone().population(20));
    assert!(!yima.stderr().contains(LOADED), "{}", yima.stderr());
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
fn nothing_in_the_data_directory_is_anybody_else_s() {
    fn walk(path: &Path, seen: &mut usize) {
        let found = fs::symlink_metadata(path).expect("it is there");
        assert_eq!(found.permissions().mode() & 0o077, 0, "{}", path.display());
        *seen += 1;
        if found.is_dir() {
            fs::read_dir(path).expect("a directory").for_each(|entry| walk(&entry.expect("an entry").path(), seen));
        }
    }
    let yima = Yima::start(Options::default());
    yima.event(&yima.agency_token("lab-7"), &new_person().test("t-1", "negative", HOUR));
    let mut seen = 0;
    walk(&yima.data_dir(), &mut seen);
    assert!(seen > 10, "{seen}");
}

#[test]
fn without_the_right_pseudonym_key_it_refuses() {
    let mut yima = Yima::start(Options::default());
    let (person, lab) = (new_person(), yima.agency_token("lab-7"));
    yima.event(&lab, &person.test("t-1", "positive", HOUR));
    let session = yima.session_of(&person);
    yima.stop();
    let (options, key) = (yima.options().clone(), yima.data_dir().join("keys/pseudonym.key"));
    let right = fs::read(&key).expect("the key");

    fs::write(&key, [7; 32]).expect("the data directory can be written");
    refuses(&options, &["pseudonym key"]);
    fs::write(&key, &right[..31]).expect("the data directory can be written");
    refuses(&options, &["pseudonym.key", "32 bytes"]);
    fs::remove_file(&key).expect("the data directory can be written");
    refuses(&options, &["pseudonym.key", "missing"]);
    assert!(!key.exists(), "a key is never made for people who are there already");

    fs::write(&key, right).expect("the data directory can be written");
    yima.restart();
    assert_eq!(yima.shown(&session).0, "red");
}

#[test]
fn what_cannot_be_used_is_named() {
    let faulty =
        Options::default().env("YIMA_READ_API__CACHE__MAX_LAGG_MS", 1).env("YIMA_WRITER__BODY_TIMEOUT_MS", "hunter2");
    refuses(&faulty, &["2 faults", "read_api.cache.max_lagg_ms", "writer.body_timeout_ms"]);
    assert!(!faulty.data_dir().exists(), "faults are found before anything is opened");
    let Err(StartError { stderr, .. }) = Yima::try_start(faulty) else { panic!("it started") };
    assert!(!stderr.contains("hunter2"), "a value may be a secret: {stderr}");

    let yima = Yima::start(Options::default());
    refuses(yima.options(), &["another process"]);
    let person = new_person();
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "none", "the one that had it goes on");
}

#[test]
fn too_few_open_files_are_warned_of_and_a_low_soft_limit_is_raised() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound port");
    // It looks at its limits before it binds, and a taken port ends it.
    let said = |limits: &str| {
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
    let few = said("ulimit -n 1099");
    assert!(few.contains(warning) && few.contains("admin.listen: cannot listen"), "{few}");
    let raised = said("ulimit -Sn 500 && ulimit -Hn 1100");
    assert!(!raised.contains(warning), "{raised}");
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
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
    // The interim answer shows that the handler reads: the request is under way.
    write!(stream, "{head}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n").expect("the head is taken in");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(sent.as_bytes()).expect("the body is taken in");

    let begun = Instant::now();
    yima.terminate();
    while TcpStream::connect(&yima.writer_url()["http://".len()..]).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it goes on accepting");
    }
    stream.write_all(rest.as_bytes()).expect("the body is taken in");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and the end of the connection");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"accepted\""), "{answer}");
    assert_eq!(yima.wait().code(), Some(0), "{}", yima.stderr());
    assert!(begun.elapsed() < Duration::from_secs(15), "an idle connection held it up");
    drop(idle);

    yima.restart();
    assert_eq!(yima.event(&lab, &event), "duplicate");
    assert_eq!(yima.shown(&yima.session_of(&person)).0, "red");
}
