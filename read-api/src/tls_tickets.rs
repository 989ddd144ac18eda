//! Tickets of TLS 1.3 that every read node opens: a phone that comes to another node, or to one that was restarted,
//! resumes its session there. They are sealed by the session keys, which all nodes have and rotate.

use std::fmt;
use std::sync::Arc;

use rustls::server::ProducesTickets;
use yima_schema::time::Time;
use yima_service::clock::now;

use crate::keyring::CurrentKeyring;

/// How long a ticket is good for, by the clock of the node that made it.
const LIFETIME_S: u32 = 12 * 3_600;

/// Makes and opens the tickets: when it was made (8 bytes, seconds), then what rustls keeps in it, sealed.
pub(crate) struct Tickets {
    keyring: Arc<CurrentKeyring>,
    now: fn() -> Time,
}

impl Tickets {
    pub(crate) fn new(keyring: Arc<CurrentKeyring>) -> Arc<Self> {
        Arc::new(Self { keyring, now })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keyring = self.keyring.load();
        let made_at = (self.now)().as_secs().to_be_bytes();
        keyring.tickets().can_seal().then(|| keyring.tickets().seal(&[&made_at, plain].concat()))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = ticket.to_vec();
        let keyring = self.keyring.load();
        let (made_at, plain) = keyring.tickets().open(&mut sealed).ok()?.split_first_chunk()?;
        let age = (self.now)().as_secs() - i64::from_be_bytes(*made_at);
        (age < i64::from(LIFETIME_S)).then(|| plain.to_vec())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use yima_schema::code::IssuerKeys;
    use yima_schema::seal::SealKeys;
    use yima_schema::time::HOUR;

    use super::*;
    use crate::keyring::Keyring;

    fn keyring(secrets: &[(u8, [u8; 32])], sealing: u8, revoked: &[u8]) -> Keyring {
        let of = |purpose| SealKeys::with_ids(secrets, Some(sealing), revoked.to_vec(), purpose);
        Keyring::new(None, IssuerKeys::new(Vec::new()), of("handle"), of("session"), of("tls ticket"))
    }

    fn node(secrets: &[(u8, [u8; 32])], sealing: u8, now: fn() -> Time) -> Tickets {
        Tickets { keyring: CurrentKeyring::new(keyring(secrets, sealing, &[])), now }
    }

    const AT_NOON: fn() -> Time = || Time::from_secs(43_200);

    #[test]
    fn a_ticket_opens_at_every_node_for_its_lifetime_and_until_its_key_is_revoked() {
        let (old, new) = ((0, [1; 32]), (1, [2; 32]));
        let ticket = node(&[old], 0, AT_NOON).encrypt(b"what rustls keeps").unwrap();
        let other = node(&[old, new], 1, AT_NOON);
        assert_eq!(other.decrypt(&ticket).unwrap(), b"what rustls keeps");
        let later = |now| node(&[old, new], 1, now).decrypt(&ticket);
        assert!(later(|| AT_NOON().plus(HOUR * 12).minus(HOUR / 3_600)).is_some());
        assert_eq!(later(|| AT_NOON().plus(HOUR * 12)), None);
        assert!(later(|| AT_NOON().minus(HOUR / 60)).is_some(), "a clock that is behind");
        other.keyring.replace(keyring(&[new], 1, &[0]));
        assert_eq!(other.decrypt(&ticket), None);
    }

    #[test]
    fn nothing_else_opens() {
        let node = node(&[(0, [1; 32])], 0, AT_NOON);
        let ticket = node.encrypt(b"plain").unwrap();
        for at in 0..ticket.len() {
            let mut altered = ticket.clone();
            altered[at] ^= 1;
            assert_eq!(node.decrypt(&altered), None);
            assert_eq!(node.decrypt(&ticket[..at]), None);
        }
        let session = node.keyring.load().sessions().seal(&[0; 40]);
        assert_eq!(node.decrypt(&session), None, "sealed for another purpose");
        assert_eq!(node.decrypt(&node.keyring.load().tickets().seal(b"short")), None);
    }
}
