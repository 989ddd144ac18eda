//! A blocking HTTP client that returns every status as an answer, follows no redirect and retries nothing.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde_json::Value;
use ureq::Agent;

use crate::Events;

/// The client; a clone shares its connections.
#[derive(Clone)]
pub struct Http {
    /// Keeps connections open.
    kept: Agent,
    /// Opens a connection for each request.
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
    /// Sends a request on a connection of its own.
    ///
    /// # Errors
    /// No whole answer arrived.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, ureq::Error> {
        run(&self.once, method, url, headers, body)
    }

    /// `GET` with a token, on a kept connection.
    ///
    /// # Panics
    /// When no whole answer arrives.
    pub fn get(&self, url: &str, token: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        run(&self.kept, "GET", url, &[("authorization", &bearer)], None).expect("a whole answer to GET")
    }

    /// `GET` with header fields, on a kept connection.
    ///
    /// # Errors
    /// No whole answer arrived.
    pub fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply, ureq::Error> {
        run(&self.kept, "GET", url, headers, None)
    }

    /// Opens a live display, on a connection of its own.
    ///
    /// # Errors
    /// The status, when it is not 200.
    ///
    /// # Panics
    /// When no answer arrives.
    pub fn events(&self, url: &str, token: &str) -> Result<Events, u16> {
        let request = self.once.get(url).header("authorization", format!("Bearer {token}"));
        let answer = request.call().expect("an answer to GET");
        if answer.status() == 200 { Ok(Events::new(answer.into_body())) } else { Err(answer.status().as_u16()) }
    }

    /// `POST` with a token, on a connection of its own: a server that refuses before reading the body closes it.
    ///
    /// # Panics
    /// When no whole answer arrives.
    pub fn post(&self, url: &str, token: &str, content_type: &str, body: &[u8]) -> Reply {
        run(&self.once, "POST", url, &headers(&format!("Bearer {token}"), content_type), Some(body))
            .expect("a whole answer to POST")
    }

    /// `POST` with a token, on a kept connection: for servers that read every body before they answer.
    ///
    /// # Errors
    /// No whole answer arrived.
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
    /// A header field as text; empty if the answer has none of this name.
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
    /// When the status is another, or the body is not JSON.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    /// The rows of a 200 in NDJSON.
    ///
    /// # Panics
    /// When the status is another, or a line is not JSON.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line in JSON")).collect()
    }
}
