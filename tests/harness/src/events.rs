//! A stream of server-sent events, read one by one.

use std::io::{BufRead, BufReader, Lines};

use serde_json::Value;
use ureq::BodyReader;

/// An open stream; dropping it closes its connection.
pub struct Events(Lines<BufReader<BodyReader<'static>>>);

/// One event; fields that it has not are empty.
#[derive(Clone, Default, Debug)]
pub struct ServerSent {
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
    type Item = ServerSent;

    /// `None`: the stream is over, or was cut off.
    fn next(&mut self) -> Option<ServerSent> {
        let mut event = ServerSent::default();
        loop {
            let line = self.0.next()?.ok()?;
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("data", data)) => data.clone_into(&mut event.data),
                // `retry` is for those who come again; without a colon it is the end of an event.
                Some(_) => {}
                None => return Some(event),
            }
        }
    }
}

impl ServerSent {
    /// The data as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data in JSON")
    }
}
