//! The trust list: whose signatures count. A JSON document of the deployment, empty by default.
//!
//! ```json
//! {"dcc": [{"certificate": "MIIB…", "country": "AT"}],
//!  "smart_health_cards": [{"issuer": "https://…", "name": "…", "country": "US", "keys": [{"kty": "EC", …}]}]}
//! ```

mod certificate;
mod jwk;
mod key;
mod part;

use std::collections::HashMap;

use serde::Deserialize;

pub(crate) use certificate::DccSigner;
pub(crate) use jwk::SmartSigner;
pub(crate) use key::{Signature, VerifyingKey};

use jwk::Jwk;

/// Most certificates. The EU's gateway had about 3,000.
const MAX_CERTIFICATES: usize = 20_000;
/// Most keys of SMART Health Cards, all issuers together.
const MAX_KEYS: usize = 20_000;

/// The issuers whose codes are read.
#[derive(Default)]
pub struct TrustList {
    /// By key id: the first 8 bytes of the certificate's SHA-256.
    dcc: HashMap<[u8; 8], Vec<DccSigner>>,
    /// By the thumbprint of the key (RFC 7638); the same key for each of several issuers.
    smart: HashMap<String, Vec<SmartSigner>>,
}

/// An error of the document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Its place, as a JSON pointer or the key of a table; empty for the whole document.
    pub place: String,
    /// The form that was expected.
    pub expected: String,
}

impl Fault {
    pub(crate) fn new(place: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { place: place.into(), expected: expected.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    dcc: Vec<DccEntry>,
    #[serde(default)]
    smart_health_cards: Vec<SmartEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DccEntry {
    certificate: String,
    country: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmartEntry {
    issuer: String,
    name: String,
    country: String,
    keys: Vec<Jwk>,
}

impl TrustList {
    /// Reads a document.
    ///
    /// # Errors
    /// The first error of its form, or all entries that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            vec![Fault::new(place, "expected the JSON of a trust list")]
        })?;
        let (mut list, mut faults) = (Self::default(), Vec::new());
        let keys = document.smart_health_cards.iter().map(|entry| entry.keys.len()).sum::<usize>();
        for (place, length, most) in
            [("/dcc", document.dcc.len(), MAX_CERTIFICATES), ("/smart_health_cards", keys, MAX_KEYS)]
        {
            if length > most {
                return Err(vec![Fault::new(place, format!("expected at most {most} keys"))]);
            }
        }
        for (at, DccEntry { certificate, country }) in document.dcc.into_iter().enumerate() {
            match DccSigner::read(&certificate, country) {
                Ok((id, signer)) => list.dcc.entry(id).or_default().push(signer),
                Err((member, expected)) => faults.push(Fault::new(format!("/dcc/{at}/{member}"), expected)),
            }
        }
        for (at, entry) in document.smart_health_cards.into_iter().enumerate() {
            list.add_smart(&format!("/smart_health_cards/{at}"), entry, &mut faults);
        }
        if faults.is_empty() { Ok(list) } else { Err(faults) }
    }

    fn add_smart(&mut self, place: &str, entry: SmartEntry, faults: &mut Vec<Fault>) {
        let SmartEntry { issuer: url, name, country, keys } = entry;
        let issuer = match SmartSigner::issuer(&url, &name, &country) {
            Ok(issuer) => issuer,
            Err((member, expected)) => return faults.push(Fault::new(format!("{place}/{member}"), expected)),
        };
        for (at, jwk) in keys.iter().enumerate() {
            match jwk.key() {
                Ok(key) => {
                    let signer = SmartSigner { url: url.clone(), issuer: issuer.clone(), key };
                    self.smart.entry(jwk.kid.clone()).or_default().push(signer);
                }
                Err(expected) => faults.push(Fault::new(format!("{place}/keys/{at}"), expected)),
            }
        }
    }

    /// Whether no issuer is known.
    pub fn is_empty(&self) -> bool {
        self.dcc.is_empty() && self.smart.is_empty()
    }

    /// The certificates with that key id.
    pub(crate) fn dcc_signers(&self, key_id: &[u8]) -> &[DccSigner] {
        let id = <[u8; 8]>::try_from(key_id).ok();
        id.and_then(|id| self.dcc.get(&id)).map_or(&[], Vec::as_slice)
    }

    /// The issuers with the key of that thumbprint.
    pub(crate) fn smart_signers(&self, thumbprint: &str) -> &[SmartSigner] {
        self.smart.get(thumbprint).map_or(&[], Vec::as_slice)
    }
}

/// A country's code.
fn country(text: &str) -> Result<String, (&'static str, String)> {
    let is_code = text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase());
    if is_code { Ok(text.to_owned()) } else { Err(("country", "expected two capital letters (ISO 3166-1)".to_owned())) }
}
