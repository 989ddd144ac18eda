//! A blocking client that treats every status as an answer, follows nothing and tries nothing again.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde_json::Value;
use ureq::Agent;

use crate::Events;

/// The client; a clone shares its connections.
#[derive(Clone)]
pub struct Http {
    kept: Agent,
    once: Agent,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Default for Http {
    fn default() -> Self {
        let agent = |idle| {
            let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
            let config = config.max_idle_connections(idle).max_idle_connections_per_host(idle);
            config.timeout_global(Some(Duration::from_secs(60))).build().into()
        };
        Self { kept: agent(64), once: agent(0) }
    }
}

impl Http {
    /// Sends a request on a connection of its own; without a body for `None`.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, ureq::Error> {
        run(&self.once, method, url, headers, body)
    }

    /// `GET` with a token.
    ///
    /// # Panics
    /// Without a whole answer.
    pub fn get(&self, url: &str, token: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        run(&self.kept, "GET", url, &[("authorization", &bearer)], None).expect("a whole answer to GET")
    }

    /// `GET` on a connection that is kept.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn ask(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply, ureq::Error> {
        run(&self.kept, "GET", url, headers, None)
    }

    /// Asks for a stream of events, on a connection of its own.
    ///
    /// # Errors
    /// The status of what was answered instead.
    ///
    /// # Panics
    /// Without an answer.
    pub fn events(&self, url: &str, token: &str) -> Result<Events, u16> {
        let request = self.once.get(url).header("authorization", format!("Bearer {token}"));
        let answer = request.call().expect("an answer to GET");
        if answer.status() == 200 { Ok(Events::new(answer.into_body())) } else { Err(answer.status().as_u16()) }
    }

    /// `POST` with a token, on a connection of its own: who refuses before reading the body closes the connection.
    ///
    /// # Panics
    /// Without a whole answer.
    pub fn post(&self, url: &str, token: &str, content_type: &str, body: &[u8]) -> Reply {
        run(&self.once, "POST", url, &headers(&format!("Bearer {token}"), content_type), Some(body))
            .expect("a whole answer to POST")
    }

    /// The same on a connection that is kept for the next: for many bodies that are read before they are answered.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn push(&self, url: &str, token: &str, content_type: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        run(&self.kept, "POST", url, &headers(&format!("Bearer {token}"), content_type), Some(body))
    }
}

fn headers<'a>(bearer: &'a str, content_type: &'a str) -> [(&'static str, &'a str); 2] {
    [("authorization", bearer), ("content-type", content_type)]
}

fn run(
    agent: &Agent,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Reply, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        Some(body) => agent.run(request.body(body)?)?,
        None => agent.run(request.body(())?)?,
    };
    let (head, mut body) = answer.into_parts();
    let body = body.with_config().limit(1 << 30).read_to_vec()?;
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
}

impl Reply {
    /// A header field as text, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("header fields are visible ASCII"))
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON, of an answer with this status.
    ///
    /// # Panics
    /// With another status, or when the body is not JSON.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    /// The rows of a 200 in NDJSON.
    ///
    /// # Panics
    /// With another status, or when a line is not JSON.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line in JSON")).collect()
    }
}
