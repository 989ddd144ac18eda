//! The calls that most tests make, each as its kind of caller makes it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yima_schema::time::Time;

use crate::{Events, Person, Reply, Yima};

/// By then a node shows what was acknowledged, on a busy machine.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(60);

impl Yima {
    /// Exchanges an identity token for a session.
    ///
    /// # Panics
    /// When that is refused.
    pub fn session(&self, identity_token: &str) -> String {
        let reply =
            self.http().post(&format!("{}/v1/sessions", self.read_url()), identity_token, "application/json", b"");
        reply.json(200)["session"].as_str().expect("a session is a text").to_owned()
    }

    /// A citizen's session, by document number (of another type than `cn_resident_id` after its name and a colon).
    ///
    /// # Panics
    /// When that is refused.
    pub fn citizen_session(&self, document: &str) -> String {
        self.session(&self.token(&["citizen", document]))
    }

    /// The session of a checkpoint without a policy.
    ///
    /// # Panics
    /// When that is refused.
    pub fn guard_session(&self) -> String {
        self.session(&self.token(&["checkpoint"]))
    }

    /// An agency's token.
    ///
    /// # Panics
    /// When the name is none.
    pub fn agency_token(&self, name: &str) -> String {
        self.token(&["agency", name])
    }

    /// `GET /v1/display`, asked again until the answer is true of a moment after the last acknowledgement of [`Self::push`]: until then it
    /// need not show what was acknowledged, and says so itself. Anything but a display is returned at once.
    pub fn display(&self, session: &str) -> Reply {
        let (acknowledged_at, begun) = (self.acknowledged_at(), Instant::now());
        loop {
            let reply = self.display_now(session);
            let as_of: Option<Time> = reply.header("yima-as-of").parse().ok();
            if as_of.is_none_or(|as_of| as_of > acknowledged_at) {
                return reply;
            }
            assert!(begun.elapsed() < FOLLOWED_WITHIN, "the node does not follow what was acknowledged");
        }
    }

    /// `GET /v1/display`, once.
    pub fn display_now(&self, session: &str) -> Reply {
        self.http().get(&format!("{}/v1/display", self.read_url()), session)
    }

    /// `GET /v1/display/events`.
    ///
    /// # Errors
    /// The status of a refusal.
    pub fn events(&self, session: &str) -> Result<Events, u16> {
        self.http().events(&format!("{}/v1/display/events", self.read_url()), session)
    }

    /// A fresh code of that citizen.
    ///
    /// # Panics
    /// When there is none.
    pub fn code(&self, session: &str) -> String {
        let reply = self.http().get(&format!("{}/v1/code", self.read_url()), session);
        reply.json(200)["code"].as_str().expect("a code is a text").to_owned()
    }

    /// `POST /v1/scan`, asked again as [`Self::display`] is.
    ///
    /// # Panics
    /// When there is no verdict.
    pub fn scan(&self, guard: &str, code: &str) -> Value {
        let (url, body) = (format!("{}/v1/scan", self.read_url()), json!({ "code": code }).to_string());
        let (acknowledged_at, begun) = (self.acknowledged_at(), Instant::now());
        loop {
            let verdict = self.http().post(&url, guard, "application/json", body.as_bytes()).json(200);
            let as_of: Option<Time> = verdict["as_of"].as_str().and_then(|as_of| as_of.parse().ok());
            if as_of.is_none_or(|as_of| as_of > acknowledged_at) {
                return verdict;
            }
            assert!(begun.elapsed() < FOLLOWED_WITHIN, "the node does not follow what was acknowledged");
        }
    }

    /// `POST /v1/events` with a body of that content type.
    ///
    /// # Panics
    /// Without a whole answer.
    pub fn push(&self, agency: &str, content_type: &str, body: &[u8]) -> Reply {
        let url = format!("{}/v1/events", self.writer_url());
        let reply = self.http().push(&url, agency, content_type, body).expect("a whole answer to POST");
        self.acknowledge();
        reply
    }

    /// Sends one event and returns its status: `accepted`, `duplicate` or `ignored`.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn event(&self, agency: &str, event: &Value) -> String {
        let answer = self.push(agency, "application/json", event.to_string().as_bytes()).json(200);
        assert_eq!(answer["id"], event["id"]);
        answer["status"].as_str().expect("a status is a text").to_owned()
    }

    /// Sends rows and returns the answers, one a row.
    ///
    /// # Panics
    /// When they are refused as a whole.
    #[track_caller]
    pub fn rows(&self, agency: &str, rows: &[Value]) -> Vec<Value> {
        let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.push(agency, "application/x-ndjson", body.as_bytes()).rows()
    }

    /// Colour and reason that a person's phone shows.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn shown(&self, session: &str) -> (String, String) {
        let body = self.display(session).json(200);
        let text = |field: &str| body["colour"][field].as_str().unwrap_or_default().to_owned();
        (text("code"), text("reason"))
    }

    /// The session of someone whom [`crate::new_person`] made.
    ///
    /// # Panics
    /// When that is refused.
    pub fn session_of(&self, person: &Person) -> String {
        self.citizen_session(&person.document)
    }
}
