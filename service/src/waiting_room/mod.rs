//! Waiting rooms: who is refused for want of capacity gets a place in line, as a sealed ticket that says when to come
//! back, and is then let in before those who come later. Nothing is kept of anyone who waits.

mod line;
mod ticket;

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use yima_schema::problem::{Problem, ProblemType, Waiting};
use yima_schema::seal::SealKeys;
use yima_schema::time::Time;

use self::line::{Came, Line};
use self::ticket::Tickets;

/// The ticket of one who comes back.
pub const YIMA_TICKET: HeaderName = HeaderName::from_static("yima-ticket");

/// Longest wait of a place that is given. Longer lines are full: who comes then gets no ticket.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// For so long after its time a ticket counts.
const GRACE: Duration = Duration::from_secs(300);
/// After this, and up to twice as long, one who found the line full may come again.
const FULL_RETRY_S: u32 = 60;

/// The waiting room of one kind of requests at one node.
pub struct WaitingRoom {
    name: &'static str,
    tickets: Tickets,
    line: Mutex<Line>,
}

/// One who was let in to try; the resource may still be taken.
pub struct Admitted {
    came: Came,
}

impl WaitingRoom {
    /// A room whose tickets count at every node with these keys and this name, which is a label of metrics too. Places
    /// are given at `per_second`, until [`Self::served`] measures another rate.
    pub fn new(name: &'static str, keys: SealKeys, per_second: f64) -> Self {
        let room = Self { name, tickets: Tickets::new(name, keys), line: Mutex::new(Line::new(per_second)) };
        ["admitted", "given", "again", "full"].into_iter().for_each(|outcome| room.count(outcome, 0));
        room
    }

    /// Lets a request try: at once if nobody waits, or if it has a ticket whose time has come. `holder` names who sends
    /// it; a ticket counts for this holder alone. A ticket that does not count is as none.
    ///
    /// # Errors
    /// [`ProblemType::Waiting`] with a ticket and its time; without a ticket if the line is full.
    pub fn enter(&self, headers: &HeaderMap, holder: &[u8], now: Time) -> Result<Admitted, Problem> {
        let due = headers.get(YIMA_TICKET).and_then(|ticket| self.tickets.open(ticket.as_bytes(), holder));
        let came = match due {
            Some(due) if now <= due.plus(GRACE) && due <= now.plus(MAX_WAIT + GRACE) => Came::WithTicket { due },
            Some(_) | None => Came::New,
        };
        if self.line.lock().lets_in(came, now) {
            if matches!(came, Came::WithTicket { .. }) {
                self.count("admitted", 1);
            }
            return Ok(Admitted { came });
        }
        Err(self.wait(came, holder, now))
    }

    /// The answer to a request that was let in and found the resource taken.
    pub fn turn_away(&self, admitted: Admitted, holder: &[u8], now: Time) -> Problem {
        self.wait(admitted.came, holder, now)
    }

    /// Measures the rate: one more request has given its resource back.
    pub fn served(&self, now: Time) {
        self.line.lock().served(now);
    }

    /// Sets the gauge. To be called before each scrape.
    pub fn report(&self, now: Time) {
        metrics::gauge!("waiting_room_wait_seconds", "room" => self.name).set(self.line.lock().wait(now).as_secs_f64());
    }

    fn wait(&self, came: Came, holder: &[u8], now: Time) -> Problem {
        let place = self.line.lock().place(came, now);
        let Some(place) = place else {
            self.count("full", 1);
            let detail = "More are waiting than can be served in ten minutes; try again later";
            let after = FULL_RETRY_S + rand::random_range(0..=FULL_RETRY_S);
            return Problem::new(ProblemType::Waiting, detail).retry_after(after);
        };
        self.count(if matches!(came, Came::New) { "given" } else { "again" }, 1);
        let wait = u32::try_from(place.comes_at.since(now).as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        let ticket = self.tickets.seal(place.due, holder);
        let waiting = Waiting { ticket, place: place.number, expected_at: place.comes_at };
        let detail = "Many are waiting; send the request again with the ticket, after Retry-After";
        Problem::new(ProblemType::Waiting, detail).retry_after(wait).waiting(waiting)
    }

    fn count(&self, outcome: &'static str, by: u64) {
        metrics::counter!("waiting_room_total", "room" => self.name, "outcome" => outcome).increment(by);
    }
}

#[cfg(test)]
mod tests;
