//! Codes of other systems at a checkpoint: EU Digital COVID Certificates (`HC1:`) and SMART Health Cards (`shc:/`).
//!
//! [`read`] checks a code against a [`TrustList`] and [`Revocations`] and returns what it proves; [`AcceptanceRules`]
//! say whether that lets its holder pass. All are data of the deployment. Everything is a function of its arguments: no
//! clock, no file, no network.

pub mod acceptance;
mod cbor;
pub mod certificate;
mod dcc;
mod inflate;
mod json;
pub mod revocation;
mod shc;
pub mod trust;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::time::Time;

pub use acceptance::{Acceptance, AcceptanceRules};
pub use certificate::Certificate;
pub use revocation::Revocations;
pub use trust::TrustList;

/// How far an issuer's clock may be ahead.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// A system of codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// EU Digital COVID Certificate.
    EuDcc,
    /// SMART Health Card.
    SmartHealthCard,
}

impl Scheme {
    /// The scheme of a code, by its prefix. A scanner may change the case of letters; the digits of a SMART Health Card
    /// have none, and those of an `HC1:` code are upper case.
    pub fn of(code: &str) -> Option<Self> {
        let begins = |prefix: &str| code.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        match code {
            _ if code.starts_with(dcc::PREFIX) => Some(Self::EuDcc),
            _ if begins(shc::PREFIX) => Some(Self::SmartHealthCard),
            _ => None,
        }
    }

    /// Its name in answers and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EuDcc => "eu_dcc",
            Self::SmartHealthCard => "smart_health_card",
        }
    }
}

/// Why a code proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// Not such a code, damaged in reading, or not as its standard says.
    #[error("not a code of this scheme")]
    Malformed,
    /// A version, an algorithm or a content that is not supported.
    #[error("of a kind that is not supported")]
    Unsupported,
    /// One of several QR codes of a SMART Health Card, a deprecated form.
    #[error("one of several parts")]
    InParts,
    /// No key of the trust list has signed it.
    #[error("signed by nobody in the trust list")]
    IssuerUnknown,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Forged,
    /// The issuer's key may not sign what the code states.
    #[error("signed by a key for another purpose")]
    KeyUsage,
    /// Its issuer has revoked it.
    #[error("revoked by its issuer")]
    Revoked,
    /// It, or its issuer's certificate, has expired.
    #[error("expired")]
    Expired,
    /// It, or its issuer's certificate, is from the future.
    #[error("not yet valid")]
    NotYetValid,
}

/// Reads a code and checks everything but whether it is accepted here.
///
/// # Errors
/// The first check that fails, in this order: form, issuer, signature, content, purpose of the key, revocation, times.
pub fn read(code: &str, trust: &TrustList, revoked: &Revocations, now: Time) -> Result<Certificate, Refusal> {
    let code = code.trim();
    match Scheme::of(code).ok_or(Refusal::Malformed)? {
        Scheme::EuDcc => dcc::read(code, trust, revoked, now),
        Scheme::SmartHealthCard => shc::read(code, trust, revoked, now),
    }
}

/// Compares the times of a code, or of a certificate, with the clock. The last moment counts.
fn check_times(from: Time, until: Option<Time>, now: Time) -> Result<(), Refusal> {
    if from > now.plus(CLOCK_SKEW) {
        return Err(Refusal::NotYetValid);
    }
    if until.is_some_and(|until| until < now) { Err(Refusal::Expired) } else { Ok(()) }
}
