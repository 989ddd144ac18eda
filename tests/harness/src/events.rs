//! The server-sent events of a live display, read one by one.

use std::io::{BufRead, BufReader, Lines};

use serde_json::Value;
use ureq::BodyReader;

/// An open live display; dropping it closes its connection.
pub struct Events(Lines<BufReader<BodyReader<'static>>>);

/// One server-sent event; a missing field is empty.
#[derive(Clone, Default, Debug)]
pub struct ServerSentEvent {
    /// `event`.
    pub name: String,
    /// `id`.
    pub id: String,
    /// `data`.
    pub data: String,
}

impl Events {
    pub(crate) fn new(body: ureq::Body) -> Self {
        Self(BufReader::new(body.into_reader()).lines())
    }
}

impl Iterator for Events {
    type Item = ServerSentEvent;

    /// `None` when the connection has ended or was cut off.
    fn next(&mut self) -> Option<ServerSentEvent> {
        let mut event = ServerSentEvent::default();
        loop {
            let line = self.0.next()?.ok()?;
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("data", data)) => data.clone_into(&mut event.data),
                // `retry`, which only a client that reconnects needs.
                Some(_) => {}
                // A blank line ends the event.
                None => return Some(event),
            }
        }
    }
}

impl ServerSentEvent {
    /// The data as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data in JSON")
    }
}
