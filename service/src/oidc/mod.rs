//! Sign-in at an identity provider's own page: OpenID Connect Core 1.0, authorization code with PKCE.
//!
//! - `metadata.rs`: what the provider says of itself (OpenID Connect Discovery 1.0).
//! - `provider.rs`: fetches that and the keys, keeps both on disk, and redeems codes.
//! - `transaction.rs`: a sign-in that was begun, sealed in a cookie; `cookies.rs` reads and writes cookies.
//! - `sign_in.rs`: the two redirects. What a session is, the services say.

mod cookies;
mod metadata;
mod provider;
mod sign_in;
#[cfg(test)]
mod tests;
mod transaction;
mod trouble;

use url::{Host, Url};

pub use metadata::{Metadata, MetadataError};
pub use provider::Provider;
pub use sign_in::{Finished, Page, SignIn, is_own_page, redirect};
pub use trouble::Trouble;

/// Whether an address may be given secrets and trusted: `https`, or a loopback address of this machine.
pub fn is_secure(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    is_bare && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}
