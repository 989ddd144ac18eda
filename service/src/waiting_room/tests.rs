//! Lines in a simulated crowd: who is served when, and what a ticket is worth.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use yima_schema::subject::PseudonymKey;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn room(per_second: f64) -> WaitingRoom {
    WaitingRoom::new("sign_in", PseudonymKey::from_bytes(&[7; 32]).seal_keys("waiting room"), per_second)
}

fn at(ms: u64) -> Time {
    Time::from_secs(1_790_000_000).plus(Duration::from_millis(ms))
}

fn with(ticket: &str) -> HeaderMap {
    HeaderMap::from_iter([(YIMA_TICKET, HeaderValue::from_str(ticket).unwrap())])
}

/// What can be served at one node: so many a second, all of them at once after a rest.
struct Resource {
    per_second: f64,
    left: f64,
    at: Time,
}

impl Resource {
    fn new(per_second: f64) -> Self {
        Self { per_second, left: per_second, at: at(0) }
    }

    fn take(&mut self, now: Time) -> bool {
        let come = now.since(self.at).as_secs_f64() * self.per_second;
        (self.left, self.at) = ((self.left + come).min(self.per_second), now);
        let has_one = self.left >= 1.0;
        self.left -= f64::from(u8::from(has_one));
        has_one
    }
}

/// Nodes behind a balancer, and what became of those who came to them.
struct Region {
    nodes: Vec<(WaitingRoom, Resource)>,
    /// Who comes when, and with which ticket.
    coming: BTreeMap<(Time, usize), Option<String>>,
    /// When each came first, and was served.
    served: BTreeMap<usize, (Time, Time)>,
    came: Vec<Time>,
    full: usize,
    places: Vec<(u64, Time, Time)>,
}

impl Region {
    fn new(nodes: usize, per_second: f64) -> Self {
        let nodes = (0..nodes).map(|_| (room(per_second), Resource::new(per_second))).collect();
        let (coming, served) = (BTreeMap::new(), BTreeMap::new());
        Self { nodes, coming, served, came: Vec::new(), full: 0, places: Vec::new() }
    }

    fn come(&mut self, now: Time) -> usize {
        self.came.push(now);
        self.coming.insert((now, self.came.len() - 1), None);
        self.came.len() - 1
    }

    /// Lets whoever is due come, until then; each comes back at the told time, to any node.
    fn run_until(&mut self, end: Time) {
        while let Some(next) = self.coming.first_entry().filter(|next| next.key().0 <= end) {
            let ((now, who), ticket) = next.remove_entry();
            let holder = who.to_be_bytes();
            let nodes = self.nodes.len();
            let (room, resource) = &mut self.nodes[rand::random_range(0..nodes)];
            let headers = ticket.as_deref().map(with).unwrap_or_default();
            let refused = match room.enter(&headers, &holder, now) {
                Ok(_) if resource.take(now) => {
                    self.served.insert(who, (self.came[who], now));
                    continue;
                }
                Ok(admitted) => room.turn_away(admitted, &holder, now),
                Err(refused) => refused,
            };
            let after = Duration::from_secs(refused.retry_after_s.unwrap().into());
            let ticket = refused.waiting.map(|waiting| {
                self.places.push((waiting.place, now, waiting.expected_at));
                waiting.ticket
            });
            self.full += usize::from(ticket.is_none());
            self.coming.insert((now.plus(after), who), ticket);
        }
    }
}

#[test]
fn a_crowd_is_served_in_the_order_in_which_it_came_at_the_times_that_it_was_told() {
    // Four times what three nodes can serve, for ten seconds.
    let mut region = Region::new(3, 100.0);
    for ms in 0..10_000 {
        region.come(at(ms));
        if ms % 5 == 0 {
            region.come(at(ms));
        }
    }
    region.run_until(at(10_000));
    let late = region.come(at(10_001));
    region.run_until(at(120_000));
    assert_eq!((region.served.len(), region.full), (region.came.len(), 0), "everybody, and nobody was sent away");
    let mut in_order: Vec<_> = region.served.values().map(|(came, served)| (*served, *came)).collect();
    in_order.sort();
    // By chance one who is due finds no room, some times in a row.
    let mut newest = at(0);
    for (served, came) in in_order {
        newest = newest.max(came);
        assert!(newest.since(came) < SECOND * 15, "{served}: {came} was overtaken by {newest}");
    }
    let (came, served) = region.served[&late];
    assert!(served.since(came) > SECOND * 20, "a newcomer waits: {:?}", served.since(came));
    // 12,000 at 300 a second.
    let last = region.served.values().map(|(_, served)| *served).max().unwrap();
    assert!(last > at(38_000) && last < at(50_000), "{last}");
    let longest = region.places.iter().max_by_key(|(place, ..)| *place).unwrap();
    assert!(longest.0 > 2_000 && longest.2.since(longest.1) > SECOND * 20, "{longest:?}");
    // After it nobody waits.
    let who = region.come(last.plus(SECOND * 30));
    region.run_until(at(600_000));
    assert_eq!(region.served[&who].0, region.served[&who].1);
}

/// A room with a line of `seconds`, of which more than the usual number were let in just now.
fn busy(seconds: u64, now: Time) -> WaitingRoom {
    let room = room(10.0);
    for n in 0..10_u64 {
        let ticket = room.tickets.seal(now, &n.to_be_bytes());
        assert!(room.enter(&with(&ticket), &n.to_be_bytes(), now).is_ok());
    }
    for n in 0..seconds * 10 {
        room.wait(Came::New, &n.to_be_bytes(), now);
    }
    room
}

fn waiting(refused: Result<Admitted, Problem>) -> Waiting {
    *refused.err().unwrap().waiting.unwrap()
}

#[test]
fn a_ticket_keeps_its_place_until_its_time_and_for_a_while_after() {
    let room = busy(30, at(0));
    let first = waiting(room.enter(&HeaderMap::new(), b"me", at(0)));
    let due = first.expected_at;
    assert!(first.place >= 280 && first.place <= 310, "{}", first.place);
    assert!(due >= at(29_000) && due <= at(34_000), "{due}");
    let early = waiting(room.enter(&with(&first.ticket), b"me", at(200)));
    assert_eq!(early.expected_at, due, "however often it is asked for");
    assert!(early.place < first.place);
    // Another node of the same keys, or this one after a restart.
    for ticket in [&first.ticket, &early.ticket] {
        assert!(busy(60, due).enter(&with(ticket), b"me", due).is_ok());
        let late = due.plus(GRACE);
        assert!(busy(60, late).enter(&with(ticket), b"me", late).is_ok());
        let too_late = late.plus(SECOND);
        assert!(busy(60, too_late).enter(&with(ticket), b"me", too_late).is_err());
        // The clock of the node that gave it was far ahead.
        let too_early = due.minus(MAX_WAIT + GRACE + SECOND);
        let again = waiting(busy(60, too_early).enter(&with(ticket), b"me", too_early));
        assert!(again.expected_at < due);
    }
    // One who is due and finds the resource taken keeps the place and comes again soon.
    let busy = busy(60, due);
    let admitted = busy.enter(&with(&first.ticket), b"me", due).ok().unwrap();
    let again = busy.turn_away(admitted, b"me", due);
    assert!((1..=3).contains(&again.retry_after_s.unwrap()), "{again:?}");
    assert!(busy.enter(&with(&again.waiting.unwrap().ticket), b"me", due).is_ok());
}

#[test]
fn a_ticket_counts_for_its_holder_and_room_alone_and_none_can_be_made() {
    let room = room(10.0);
    let ticket = room.tickets.seal(at(0), b"me").into_bytes();
    assert_eq!(room.tickets.open(&ticket, b"me"), Some(at(0)));
    assert_eq!(room.tickets.open(&ticket, b"you"), None, "sold");
    for n in 0..ticket.len() {
        let mut altered = ticket.clone();
        altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
        assert_eq!(room.tickets.open(&altered, b"me"), None, "{n}");
    }
    for bytes in [vec![], vec![b'A'; 4], vec![b'A'; 50], vec![b'A'; 4_000], vec![255; 50]] {
        assert_eq!(room.tickets.open(&bytes, b"me"), None);
    }
    let uploads = WaitingRoom::new("upload", PseudonymKey::from_bytes(&[7; 32]).seal_keys("waiting room"), 10.0);
    assert_eq!(uploads.tickets.open(&ticket, b"me"), None, "of another room");
}

#[test]
fn a_line_is_full_after_ten_minutes_and_ends_with_them_whatever_the_clock_does() {
    let room = busy(700, at(0));
    let refused = room.enter(&HeaderMap::new(), b"me", at(0)).err().unwrap();
    assert!(refused.waiting.is_none() && (60..=120).contains(&refused.retry_after_s.unwrap()), "{refused:?}");
    assert_eq!(refused.kind, ProblemType::Waiting);
    // Set back by an hour, and on.
    let back = Time::from_secs(1_790_000_000).minus(SECOND * 3_600);
    let _ = room.enter(&HeaderMap::new(), b"me", back);
    assert!(room.wait_of(back) <= MAX_WAIT);
    assert!(room.enter(&HeaderMap::new(), b"me", at(0)).is_ok());
}

#[test]
fn places_of_those_who_do_not_come_are_used_by_others() {
    // A sender without an interest in a session takes places for five minutes, and comes to none.
    let room = busy(300, at(0));
    let mut resource = Resource::new(10.0);
    let mut served = 0;
    for ms in (10_000..70_000).step_by(20) {
        let holder = u64::to_be_bytes(ms);
        if room.enter(&HeaderMap::new(), &holder, at(ms)).is_ok() && resource.take(at(ms)) {
            served += 1;
        }
    }
    // Of 600 that could have been.
    assert!(served > 250, "{served}");
}

#[test]
fn the_rate_is_that_of_what_is_served_while_somebody_waits() {
    let room = busy(60, at(0));
    let before = room.wait_of(at(0));
    // Two a second in place of ten.
    for n in 0..60 {
        room.served(at(n * 500));
    }
    let after = *room.wait(Came::New, b"me", at(30_000)).waiting.unwrap();
    let places = after.place as f64 / after.expected_at.since(at(30_000)).as_secs_f64();
    assert!((1.8..3.0).contains(&places), "{places} a second");
    assert!(after.expected_at > at(0).plus(before));
}

impl WaitingRoom {
    fn wait_of(&self, now: Time) -> Duration {
        self.line.lock().wait(now)
    }
}
