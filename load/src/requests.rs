//! The bytes of requests. Heads are made once, so that a request costs the generator little more than a copy.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use yima_schema::time::Time;

use crate::class::Class;
use crate::figures::Failure;
use crate::mix::Mix;

/// Codes that a thread keeps for scans, and how long: less than a code's lifetime.
const MAX_CODES: usize = 4_096;
const CODE_AGE: Duration = Duration::from_secs(45);

/// Whose requests these are. Sessions and tokens are shown by no `Debug`.
#[derive(Default)]
pub struct People {
    /// Citizens' sessions.
    pub sessions: Vec<String>,
    /// Checkpoints' sessions.
    pub checkpoints: Vec<String>,
    /// Identity tokens of citizens.
    pub identity_tokens: Vec<String>,
    /// Identity tokens of agencies.
    pub agency_tokens: Vec<String>,
    /// Document numbers (`cn_resident_id`) that uploads are about. Only of people who do not exist.
    pub documents: Vec<String>,
}

/// What a thread sends.
pub(crate) struct Requests {
    people: Arc<People>,
    /// The run and thread, for ids of events.
    name: String,
    /// Head of each class up to the token.
    heads: [Vec<u8>; Class::ALL.len()],
    /// Whose turn it is, by class.
    turn: [usize; Class::ALL.len()],
    codes: VecDeque<(Instant, String)>,
}

impl Requests {
    pub(crate) fn new(mix: &Mix, people: Arc<People>, seed: u64, thread: usize, threads: usize) -> Self {
        let heads = Class::ALL.map(|class| {
            let (method, route) = class.route();
            let host = match class {
                Class::Upload => mix.writer.as_ref().map_or("", |writer| &*writer.host),
                Class::Display | Class::Code | Class::Scan | Class::SignIn | Class::LiveDisplay => &*mix.read.host,
            };
            format!("{method} {route} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer ").into_bytes()
        });
        // Threads begin at different people, and so at different times with each of them.
        let turn = Class::ALL.map(|class| people.of(class).len() * thread / threads);
        Self { people, name: format!("load-{seed:x}-{thread}"), heads, turn, codes: VecDeque::new() }
    }

    /// Writes the next request of a class.
    ///
    /// # Errors
    /// There is no fresh code to scan.
    pub(crate) fn write(&mut self, class: Class, now: Instant, to: &mut Vec<u8>) -> Result<(), Failure> {
        let turn = self.turn[class as usize];
        self.turn[class as usize] = turn + 1;
        let body = match class {
            Class::Display | Class::Code | Class::SignIn | Class::LiveDisplay => None,
            Class::Scan => Some(format!(r#"{{"code":"{}"}}"#, self.code(turn, now)?)),
            Class::Upload => Some(self.event(turn)),
        };
        to.clear();
        to.extend_from_slice(&self.heads[class as usize]);
        let people = self.people.of(class);
        to.extend_from_slice(people[turn % people.len()].as_bytes());
        match (body, class) {
            (Some(body), _) => {
                let head = "\r\nContent-Type: application/json\r\nContent-Length: ";
                write!(to, "{head}{}\r\n\r\n{body}", body.len()).expect("memory can be written");
            }
            (None, Class::SignIn) => to.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n"),
            (None, _) => to.extend_from_slice(b"\r\n\r\n"),
        }
        Ok(())
    }

    /// Keeps a code for scans.
    pub(crate) fn keep_code(&mut self, code: &str, now: Instant) {
        if self.codes.len() == MAX_CODES {
            self.codes.pop_front();
        }
        self.codes.push_back((now, code.to_owned()));
    }

    fn code(&mut self, turn: usize, now: Instant) -> Result<&str, Failure> {
        while self.codes.front().is_some_and(|(at, _)| now.duration_since(*at) > CODE_AGE) {
            self.codes.pop_front();
        }
        let at = turn % self.codes.len().max(1);
        self.codes.get(at).map(|(_, code)| &**code).ok_or(Failure::NoCode)
    }

    /// A negative test, which makes nobody's colour worse.
    fn event(&self, turn: usize) -> String {
        let number = &self.people.documents[turn % self.people.documents.len()];
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let subject = format!(r#"{{"document_type":"cn_resident_id","document_number":"{number}"}}"#);
        let data = r#"{"test":"nucleic_acid","result":"negative"}"#;
        let (id, kind) = (format!("{}-{turn}", self.name), "test_result");
        format!(r#"{{"id":"{id}","kind":"{kind}","subject":{subject},"occurred_at":"{now}","data":{data}}}"#)
    }
}

impl People {
    /// Those who send requests of a class.
    pub(crate) fn of(&self, class: Class) -> &[String] {
        match class {
            Class::Display | Class::Code | Class::LiveDisplay => &self.sessions,
            Class::Scan => &self.checkpoints,
            Class::SignIn => &self.identity_tokens,
            Class::Upload => &self.agency_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(thread: usize) -> Requests {
        let text = "[target]\nread = \"http://127.0.0.1:8080\"\nwriter = \"http://127.0.0.1:8081\"\n\
            [mix]\ndisplay = 1\n[[phases]]\nduration_s = 1\nrate = 1\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let texts = |name: &str| (0..4).map(|n| format!("{name}{n}")).collect();
        let people = People {
            sessions: texts("s"),
            checkpoints: texts("c"),
            identity_tokens: texts("t"),
            agency_tokens: texts("a"),
            documents: texts("d"),
        };
        Requests::new(&Mix::read(file.path()).unwrap(), Arc::new(people), 10, thread, 2)
    }

    fn text(requests: &mut Requests, class: Class) -> String {
        let mut bytes = Vec::new();
        requests.write(class, Instant::now(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_request_is_another_persons_and_threads_begin_apart() {
        let head = "GET /v1/display HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer ";
        let mut second = requests(1);
        for turn in [2, 3, 0, 1, 2] {
            assert_eq!(text(&mut second, Class::Display), format!("{head}s{turn}\r\n\r\n"));
        }
        assert!(text(&mut requests(0), Class::Code).contains("Bearer s0\r\n"));
        assert!(text(&mut requests(0), Class::SignIn).ends_with("Bearer t0\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn scans_are_of_fresh_codes_only() {
        let (mut requests, now) = (requests(0), Instant::now());
        let scan = |requests: &mut Requests, at: Instant| {
            let mut bytes = Vec::new();
            requests.write(Class::Scan, at, &mut bytes).map(|()| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(scan(&mut requests, now), Err(Failure::NoCode));
        requests.keep_code("YM1:A", now);
        assert!(scan(&mut requests, now).unwrap().ends_with("Content-Length: 16\r\n\r\n{\"code\":\"YM1:A\"}"));
        assert_eq!(scan(&mut requests, now + CODE_AGE * 2), Err(Failure::NoCode));
    }

    #[test]
    fn uploads_are_events_with_an_id_of_their_own() {
        let (mut one, mut other) = (requests(0), requests(1));
        let mut ids = Vec::new();
        for requests in [&mut one, &mut other] {
            for _ in 0..2 {
                let text = text(requests, Class::Upload);
                assert!(text.starts_with("POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n"), "{text}");
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
                let event: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(event["data"]["result"], "negative");
                ids.push(event["id"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(ids, ["load-a-0-0", "load-a-0-1", "load-a-1-2", "load-a-1-3"]);
    }
}
