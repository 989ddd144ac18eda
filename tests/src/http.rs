//! A blocking client that treats every status as an answer, follows nothing and tries nothing again.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde_json::Value;
use ureq::Agent;

/// The client; a clone shares its connections.
#[derive(Clone)]
pub struct Http(Agent);

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
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)))
            // Every thread of a load keeps its connection: new ones would use up the ports from which instances are given theirs.
            .max_idle_connections(64)
            .max_idle_connections_per_host(64);
        Self(config.build().into())
    }
}

impl Http {
    /// Sends a request; without a body for `None`.
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
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => self.0.run(request.body(body)?)?,
            None => self.0.run(request.body(())?)?,
        };
        let (head, mut body) = answer.into_parts();
        let body = body.with_config().limit(1 << 30).read_to_vec()?;
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// `GET` with a token.
    ///
    /// # Panics
    /// Without a whole answer.
    pub fn get(&self, url: &str, token: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        self.send("GET", url, &[("authorization", &bearer)], None).expect("a whole answer to GET")
    }

    /// `POST` with a token.
    ///
    /// # Panics
    /// Without a whole answer.
    pub fn post(&self, url: &str, token: &str, content_type: &str, body: &[u8]) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
        self.send("POST", url, &headers, Some(body)).expect("a whole answer to POST")
    }
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
