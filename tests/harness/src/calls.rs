//! The requests that most tests make, each as a phone, a checkpoint or an agency makes it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use yima_schema::time::Time;

use crate::{Events, Person, Reply, Yima};

/// From an acknowledgement until a node's answers are later than it, on a busy machine.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(60);

impl Yima {
    /// Exchanges an identity token for a session.
    ///
    /// # Panics
    /// When the exchange is refused.
    pub fn session(&self, identity_token: &str) -> String {
        let reply =
            self.http().post(&format!("{}/v1/sessions", self.read_url()), identity_token, "application/json", b"");
        reply.json(200)["session"].as_str().expect("a session is a string").to_owned()
    }

    /// A citizen's session, by document number; a type other than `cn_resident_id` stands before it with a colon.
    ///
    /// # Panics
    /// When the exchange is refused.
    pub fn citizen_session(&self, document: &str) -> String {
        self.session(&self.token(&["citizen", document]))
    }

    /// The session of a checkpoint without a policy.
    ///
    /// # Panics
    /// When the exchange is refused.
    pub fn checkpoint_session(&self) -> String {
        self.session(&self.token(&["checkpoint"]))
    }

    /// An agency's token.
    ///
    /// # Panics
    /// When the name is not valid.
    pub fn agency_token(&self, name: &str) -> String {
        self.token(&["agency", name])
    }

    /// `GET /v1/display`, repeated until the answer's `as_of` is later than the last acknowledgement of [`Self::push`]:
    /// an earlier answer need not show that event. Any other answer than a display is returned at once.
    pub fn display(&self, session: &str) -> Reply {
        let (acknowledged_at, start) = (self.acknowledged_at(), Instant::now());
        loop {
            let reply = self.display_now(session);
            let as_of: Option<Time> = reply.header("yima-as-of").parse().ok();
            if as_of.is_none_or(|as_of| as_of > acknowledged_at) {
                return reply;
            }
            assert!(start.elapsed() < FOLLOWED_WITHIN, "the node does not follow the acknowledged events");
        }
    }

    /// `GET /v1/display`, once.
    pub fn display_now(&self, session: &str) -> Reply {
        self.http().get(&format!("{}/v1/display", self.read_url()), session)
    }

    /// `GET /v1/display/events`.
    ///
    /// # Errors
    /// The status, when it is not 200.
    pub fn events(&self, session: &str) -> Result<Events, u16> {
        self.http().events(&format!("{}/v1/display/events", self.read_url()), session)
    }

    /// A new code of the session's citizen.
    ///
    /// # Panics
    /// When the answer has no code.
    pub fn code(&self, session: &str) -> String {
        let reply = self.http().get(&format!("{}/v1/code", self.read_url()), session);
        reply.json(200)["code"].as_str().expect("a code is a string").to_owned()
    }

    /// `POST /v1/scan`, repeated as [`Self::display`] is.
    ///
    /// # Panics
    /// When the answer has no verdict.
    pub fn scan(&self, checkpoint: &str, code: &str) -> Value {
        let (url, body) = (format!("{}/v1/scan", self.read_url()), json!({ "code": code }).to_string());
        let (acknowledged_at, start) = (self.acknowledged_at(), Instant::now());
        loop {
            let verdict = self.http().post(&url, checkpoint, "application/json", body.as_bytes()).json(200);
            let as_of: Option<Time> = verdict["as_of"].as_str().and_then(|as_of| as_of.parse().ok());
            if as_of.is_none_or(|as_of| as_of > acknowledged_at) {
                return verdict;
            }
            assert!(start.elapsed() < FOLLOWED_WITHIN, "the node does not follow the acknowledged events");
        }
    }

    /// `POST /v1/events` with a body of this content type.
    ///
    /// # Panics
    /// When no whole answer arrives.
    pub fn push(&self, agency: &str, content_type: &str, body: &[u8]) -> Reply {
        let url = format!("{}/v1/events", self.writer_url());
        let reply = self.http().push(&url, agency, content_type, body).expect("a whole answer to POST");
        self.acknowledge();
        reply
    }

    /// Sends one event and returns its status: `accepted`, `duplicate` or `ignored`.
    ///
    /// # Panics
    /// When the request is refused.
    #[track_caller]
    pub fn event(&self, agency: &str, event: &Value) -> String {
        let answer = self.push(agency, "application/json", event.to_string().as_bytes()).json(200);
        assert_eq!(answer["id"], event["id"]);
        answer["status"].as_str().expect("a status is a string").to_owned()
    }

    /// Sends events as rows of NDJSON and returns an answer for each.
    ///
    /// # Panics
    /// When the whole request is refused.
    #[track_caller]
    pub fn rows(&self, agency: &str, rows: &[Value]) -> Vec<Value> {
        let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.push(agency, "application/x-ndjson", body.as_bytes()).rows()
    }

    /// Colour and reason of the session's display.
    ///
    /// # Panics
    /// When the answer is not a display.
    #[track_caller]
    pub fn shown(&self, session: &str) -> (String, String) {
        let body = self.display(session).json(200);
        let text = |field: &str| body["colour"][field].as_str().unwrap_or_default().to_owned();
        (text("code"), text("reason"))
    }

    /// The session of a person.
    ///
    /// # Panics
    /// When the exchange is refused.
    pub fn session_of(&self, person: &Person) -> String {
        self.citizen_session(&person.document)
    }
}
