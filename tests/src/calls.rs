//! The calls that most tests make, each as its kind of caller makes it.

use serde_json::{Value, json};

use crate::{Person, Reply, Yima};

impl Yima {
    /// Exchanges an identity token for a session.
    ///
    /// # Panics
    /// When that is refused.
    pub fn session(&self, identity_token: &str) -> String {
        let reply = self.http().post(&format!("{}/v1/sessions", self.read_url()), identity_token, "application/json", b"");
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

    /// `GET /v1/display`.
    pub fn display(&self, session: &str) -> Reply {
        self.http().get(&format!("{}/v1/display", self.read_url()), session)
    }

    /// A fresh code of that citizen.
    ///
    /// # Panics
    /// When there is none.
    pub fn code(&self, session: &str) -> String {
        let reply = self.http().get(&format!("{}/v1/code", self.read_url()), session);
        reply.json(200)["code"].as_str().expect("a code is a text").to_owned()
    }

    /// `POST /v1/scan`.
    ///
    /// # Panics
    /// When there is no verdict.
    pub fn scan(&self, guard: &str, code: &str) -> Value {
        let body = json!({ "code": code }).to_string();
        self.http().post(&format!("{}/v1/scan", self.read_url()), guard, "application/json", body.as_bytes()).json(200)
    }

    /// `POST /v1/events` with a body of that content type.
    pub fn push(&self, agency: &str, content_type: &str, body: &[u8]) -> Reply {
        self.http().post(&format!("{}/v1/events", self.writer_url()), agency, content_type, body)
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
