//! An access log as the plan of a run: when, and which class. It has no persons, and none are looked for: the requests
//! of a replay are about the run's own people.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use yima_schema::time::Time;

use crate::LoadError;
use crate::class::Class;

/// Most requests of a log that are replayed.
const MAX_REQUESTS: usize = 5_000_000;
/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 16_384;

/// A log that was read.
#[derive(Clone, Default, Debug)]
pub(crate) struct Log {
    /// In the order of their times, which begin at 0.
    pub(crate) requests: Vec<Logged>,
    /// Requests of routes that have no class.
    pub(crate) left_out: u64,
    /// Lines that are no requests.
    pub(crate) other_lines: u64,
}

/// A request of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Logged {
    pub(crate) at: Duration,
    pub(crate) class: Class,
}

/// A line of yima's log in JSON. Other fields are not read.
#[derive(Deserialize)]
struct Line<'l> {
    timestamp: Time,
    #[serde(borrow)]
    method: Option<&'l str>,
    #[serde(borrow)]
    route: &'l str,
}

impl Log {
    /// Reads yima's own access log, as text or JSON, or lines `TIME METHOD ROUTE` made from another one.
    ///
    /// # Errors
    /// It cannot be read, has too many requests, or none with a class.
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let failed = |error: &dyn std::fmt::Display| LoadError::file(path, error);
        let mut log = Self::default();
        let mut times = Vec::new();
        let mut file = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut file).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| failed(&error))?;
            if read == 0 {
                break;
            }
            match std::str::from_utf8(&line).ok().and_then(request) {
                Some((at, method, route)) => match Class::of(method, route) {
                    Some(class) if times.len() < MAX_REQUESTS => times.push((at, class)),
                    Some(_) => return Err(failed(&format!("expected at most {MAX_REQUESTS} requests"))),
                    None => log.left_out += 1,
                },
                None => log.other_lines += 1,
            }
        }
        // Threads log out of order. Requests of one moment stay as they are.
        times.sort_by_key(|(at, _)| *at);
        let Some((first, _)) = times.first().copied() else {
            return Err(failed(&"expected requests of the classes of a mix: lines `answered` with a route"));
        };
        log.requests = times.into_iter().map(|(at, class)| Logged { at: at.since(first), class }).collect();
        Ok(log)
    }
}

/// Time, method and route of a line, if it is a request.
fn request(line: &str) -> Option<(Time, &str, &str)> {
    if line.starts_with('{') {
        let line: Line<'_> = serde_json::from_str(line).ok()?;
        return Some((line.timestamp, line.method.unwrap_or_else(|| usual_method(line.route)), line.route));
    }
    let mut words = line.split_whitespace();
    let time = words.next()?.parse().ok()?;
    if line.contains("answered") {
        let field = |name: &str| line.split_once(name)?.1.split('"').next();
        let route = field(" route=\"")?;
        return Some((time, field(" method=\"").unwrap_or_else(|| usual_method(route)), route));
    }
    Some((time, words.next()?, words.next()?)).filter(|_| words.next().is_none())
}

/// Logs of older programs have no method.
fn usual_method(route: &str) -> &'static str {
    let class = Class::ALL.into_iter().find(|class| class.route().1 == route);
    class.map_or("GET", |class| class.route().0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str) -> Result<Log, LoadError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Log::read(file.path())
    }

    #[test]
    fn each_form_of_a_log_is_read_and_nothing_but_time_method_and_route() {
        let log = read(concat!(
            "2026-11-22T07:30:00.500000Z DEBUG yima_service::http::edge: answered service=\"read-api\" method=\"GET\" ",
            "route=\"/v1/display\" status=200 elapsed_us=14 request_id=\"0f3c\"\n",
            "2026-11-22T07:30:00.250000Z DEBUG yima_service::http::edge: answered service=\"read-api\" ",
            "route=\"/v1/sessions\" status=200 elapsed_us=140 request_id=\"0f3d\"\n",
            "{\"timestamp\":\"2026-11-22T07:30:02.000000Z\",\"level\":\"DEBUG\",\"message\":\"answered\",\
             \"service\":\"read-api\",\"method\":\"POST\",\"route\":\"/v1/scan\",\"status\":200,\"elapsed_us\":40}\n",
            "2026-11-22T07:30:03Z GET /v1/display/events\n",
            "2026-11-22T07:30:03Z DELETE /v1/sessions\n",
            "2026-11-22T07:30:04.000000Z  INFO yima: ready\n",
            "\u{0}\n",
        ))
        .unwrap();
        let at = |ms| Duration::from_millis(ms);
        let expected = [(0, Class::SignIn), (250, Class::Display), (1_750, Class::Scan), (2_750, Class::LiveDisplay)];
        assert_eq!(log.requests, expected.map(|(ms, class)| Logged { at: at(ms), class }));
        assert_eq!((log.left_out, log.other_lines), (1, 2));
    }

    #[test]
    fn a_log_without_requests_is_refused() {
        for text in ["", "2026-11-22T07:30:04Z INFO ready\n", "2026-11-22T07:30:04Z GET /v1/keys\n"] {
            assert!(read(text).unwrap_err().to_string().contains("expected requests of the classes"), "{text}");
        }
    }
}
