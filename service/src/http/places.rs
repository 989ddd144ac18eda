//! The places of a port: which connections are open, whose they are, and which gives its place to a new one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::HttpLimits;
use super::activity::Activity;

/// One in so many places is freed at once when none is free, since finding the connections that wait longest takes time
/// in proportion to all.
const FREED: usize = 128;
/// Places run short when less than one in so many is free.
const SHORT: usize = 8;

/// A client as far as its address tells: an IPv4 address, or the /64 of an IPv6 address, which one client has whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The places of one port. While at least an eighth of them is free, anybody gets one. Then a peer with its share or
/// more gets one only by closing a connection of its own; and when none is free, a new connection closes another. Only
/// connections that wait for a request are closed, those that wait longest first.
pub(super) struct Places {
    most: usize,
    share: usize,
    stop: CancellationToken,
    epoch: Instant,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Connection>,
    by_peer: HashMap<Peer, usize>,
}

struct Connection {
    peer: Option<Peer>,
    activity: Arc<Activity>,
    stop: CancellationToken,
}

/// The place of one connection; dropping it frees the place.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    /// What the connection is doing.
    pub activity: Arc<Activity>,
    /// Cancelled when the connection has to end after the request that it answers, or at once if it answers none.
    pub stop: CancellationToken,
}

impl Places {
    /// `stop` ends all connections.
    pub(super) fn new(limits: &HttpLimits, stop: CancellationToken) -> Arc<Self> {
        let most = limits.max_connections.get();
        // At least one each: a share of none would lock everyone out.
        let share = limits.max_connections_per_peer.map_or(most.div_ceil(2), |share| share.get().min(most));
        Arc::new(Self { most, share, stop, epoch: Instant::now(), open: Mutex::default() })
    }

    /// A place for a connection of `peer`; `None` for a proxy, whose connections are many clients'.
    ///
    /// No place: all others answer requests, or all of the peer's own do.
    pub(super) fn enter(self: &Arc<Self>, peer: Option<Peer>) -> Option<Place> {
        let mut open = self.open.lock();
        if !self.admits(&mut open, peer) {
            return None;
        }
        let activity = Arc::new(Activity::new(self.epoch));
        // Children, since all connections polling one token would share its lock.
        let stop = self.stop.child_token();
        let number = open.next;
        open.next += 1;
        open.insert(number, Connection { peer, activity: Arc::clone(&activity), stop: stop.clone() });
        Some(Place { places: Arc::clone(self), number, activity, stop })
    }

    /// Whether there is a place for one more connection of `peer`; closes others where that makes one.
    fn admits(&self, open: &mut Open, peer: Option<Peer>) -> bool {
        let is_short = open.connections.len() >= self.most - self.most / SHORT;
        let has_share = peer.is_some_and(|peer| open.by_peer.get(&peer).is_some_and(|&used| used >= self.share));
        if is_short && has_share {
            return open.close_waiting(self.most, |other| other == peer);
        }
        open.connections.len() < self.most || open.close_waiting(self.most, |_| true)
    }
}

impl Open {
    fn insert(&mut self, number: u64, connection: Connection) {
        if let Some(peer) = connection.peer {
            *self.by_peer.entry(peer).or_default() += 1;
        }
        self.connections.insert(number, connection);
    }

    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if let Some(peer) = connection.peer
            && let Some(used) = self.by_peer.get_mut(&peer)
        {
            *used -= 1;
            if *used == 0 {
                self.by_peer.remove(&peer);
            }
        }
        Some(connection)
    }

    /// Closes the connections that wait longest for a request, one in [`FREED`] of `most`, among those of the peers
    /// that `of` names. Returns whether there was one.
    fn close_waiting(&mut self, most: usize, of: impl Fn(Option<Peer>) -> bool) -> bool {
        let candidates = self.connections.iter().filter(|(_, connection)| of(connection.peer));
        let waiting =
            candidates.filter_map(|(&number, connection)| Some((connection.activity.waiting_since()?, number)));
        let mut waiting: Vec<_> = waiting.collect();
        let freed = most.div_ceil(FREED).min(waiting.len());
        if freed == 0 {
            return false;
        }
        waiting.select_nth_unstable(freed - 1);
        for (_, number) in &waiting[..freed] {
            if let Some(connection) = self.remove(*number) {
                connection.stop.cancel();
            }
        }
        metrics::counter!("http_connections_displaced_total").increment(freed as u64);
        true
    }
}

impl Place {
    /// Counts the connection as one of `peer` from now on: its proxy has said whose it is. `false`: the peer has its
    /// share, and places run short.
    pub(super) fn belongs_to(&self, peer: Peer) -> bool {
        let mut open = self.places.open.lock();
        // Another connection may have been given the place.
        let Some(mut connection) = open.remove(self.number) else { return false };
        let fits = self.places.admits(&mut open, Some(peer));
        if fits {
            connection.peer = Some(peer);
            open.insert(self.number, connection);
        }
        fits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn places(most: usize, share: usize) -> Arc<Places> {
        let limits = HttpLimits {
            max_connections: NonZeroUsize::new(most).unwrap(),
            max_connections_per_peer: NonZeroUsize::new(share),
            ..HttpLimits::default()
        };
        Places::new(&limits, CancellationToken::new())
    }

    fn peer(n: u8) -> Option<Peer> {
        Some(Peer::from(IpAddr::from([10, 0, 0, n])))
    }

    #[test]
    fn the_connection_that_waits_longest_gives_its_place() {
        let places = places(3, 3);
        let mut held: Vec<_> = (0..3).map(|n| places.enter(peer(n)).unwrap()).collect();
        held[0].activity.set_waiting_since(30);
        held[1].activity.set_waiting_since(10);
        held[2].activity.set_waiting_since(20);
        held.push(places.enter(peer(9)).unwrap());
        assert_eq!(held.iter().map(|place| place.stop.is_cancelled()).collect::<Vec<_>>(), [false, true, false, false]);
        // Those that answer a request keep their places.
        held.iter().for_each(|place| place.activity.set_waiting_since(0));
        assert!(places.enter(peer(9)).is_none());
        held.remove(0);
        assert!(places.enter(peer(9)).is_some());
    }

    #[test]
    fn a_peer_with_its_share_gets_a_place_only_while_there_are_many() {
        let places = places(16, 2);
        let greedy: Vec<_> = (0..14).map(|_| places.enter(peer(1)).unwrap()).collect();
        greedy.iter().for_each(|place| place.activity.set_waiting_since(0));
        assert!(places.enter(peer(1)).is_none(), "its connections answer requests");
        let _others = [places.enter(peer(2)).unwrap(), places.enter(None).unwrap()];
        greedy[5].activity.set_waiting_since(7);
        assert!(places.enter(peer(1)).is_some() && greedy[5].stop.is_cancelled(), "it closes one of its own");
    }

    #[test]
    fn a_connection_of_a_proxy_is_counted_for_the_client_that_the_proxy_names() {
        let places = places(16, 1);
        let held = [(); 15].map(|()| places.enter(None).unwrap());
        held.iter().for_each(|place| place.activity.set_waiting_since(0));
        assert!(held[0].belongs_to(peer(1).unwrap()));
        assert!(!held[1].belongs_to(peer(1).unwrap()) && held[2].belongs_to(peer(2).unwrap()));
        drop(held);
        let open = places.open.lock();
        assert!(open.connections.is_empty() && open.by_peer.is_empty());
    }

    #[test]
    fn a_peer_is_an_address_or_a_network_of_one_client() {
        let of = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:3::"), of("2001:db8:1:2::"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }
}
