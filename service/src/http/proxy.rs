//! Proxies in front of a port, and the clients that they name (PROXY protocol, version 2, by crate `ppp`).

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::HttpLimits;

/// Bytes of a header before its addresses.
const FIXED: usize = 16;
/// Longest rest of a header: a few hundred bytes with a client's certificate.
const MAX_REST: usize = 2_048;

/// Addresses with a common prefix: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// The text is no network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected an address, or a network such as 10.0.0.0/8")]
pub struct NetworkError;

impl Network {
    /// Whether an address is in the network; an IPv4 address is also in its IPv6 form.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| NetworkError)?;
        if prefix <= bits { Ok(Self { address, prefix }) } else { Err(NetworkError) }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The proxies of a port.
pub(super) struct Proxies {
    networks: Vec<Network>,
    /// Whether they name their clients.
    pub name_clients: bool,
}

impl Proxies {
    pub(super) fn of(limits: &HttpLimits) -> Self {
        Self { networks: limits.trusted_proxies.clone(), name_clients: limits.proxy_protocol }
    }

    pub(super) fn have(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// Reads the header that a proxy sends before its client's first byte, and nothing after it. `None`: the connection is
/// the proxy's own, such as a health check, or its client has no address.
///
/// # Errors
/// The connection begins otherwise, or ends.
pub(super) async fn client(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
    if !header.starts_with(PROTOCOL_PREFIX) || rest > MAX_REST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    let header = Header::try_from(&*header).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(client)) => Some(client.source_address.into()),
        (Command::Proxy, Addresses::IPv6(client)) => Some(client.source_address.into()),
        (Command::Proxy, Addresses::Unspecified | Addresses::Unix(_)) | (Command::Local, _) => None,
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use ppp::v2::{Builder, Protocol, Version};
    use proptest::prelude::*;

    use super::*;

    fn header(command: Command, client: &str) -> Vec<u8> {
        let addresses = (client.parse().unwrap(), client.parse().unwrap());
        let addresses: (std::net::SocketAddr, std::net::SocketAddr) = addresses;
        Builder::with_addresses(Version::Two | command, Protocol::Stream, addresses).build().unwrap()
    }

    fn read(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, Vec<u8>) {
        let mut rest = bytes;
        // A slice is always ready.
        let read = client(&mut rest).now_or_never().unwrap();
        (read, rest.to_vec())
    }

    #[test]
    fn a_header_names_the_client_and_nothing_after_it_is_read() {
        for (command, address, named) in [
            (Command::Proxy, "203.0.113.9:4000", Some("203.0.113.9")),
            (Command::Proxy, "[2001:db8::9]:4000", Some("2001:db8::9")),
            (Command::Local, "203.0.113.9:4000", None),
        ] {
            let sent = [header(command, address), b"GET /".to_vec()].concat();
            let (client, rest) = read(&sent);
            assert_eq!(client.unwrap().map(|address| address.to_string()).as_deref(), named);
            assert_eq!(rest, b"GET /");
        }
    }

    #[test]
    fn a_connection_that_begins_otherwise_is_refused() {
        let good = header(Command::Proxy, "203.0.113.9:4000");
        let mut long = good.clone();
        long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let mut short = good.clone();
        short[14..16].copy_from_slice(&4_u16.to_be_bytes());
        let text = b"PROXY TCP4 203.0.113.9 203.0.113.9 4000 80\r\n\r\n".to_vec();
        for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &text, &long, &short, &good[..20], b""] {
            assert!(read(bytes).0.is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..80), genuine in any::<bool>()) {
            if genuine && bytes.len() >= FIXED {
                bytes[..PROTOCOL_PREFIX.len()].copy_from_slice(PROTOCOL_PREFIX);
                bytes[14] = 0;
            }
            let _header_or_error = read(&bytes);
        }
    }

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        let has = |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.2"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("10.0.0.0/8", "::ffff:10.0.0.1") && !has("::/0", "10.0.0.1"));
        for wrong in ["10.0.0.0/33", "10.0.0/8", "x", "", "10.0.0.0/", "::/129", "10.0.0.0/-1"] {
            assert_eq!(wrong.parse::<Network>(), Err(NetworkError), "{wrong}");
        }
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    }
}
