//! Revoked certificates and cards: those that their issuers have withdrawn one by one. A JSON document of the
//! deployment, empty by default, of what the issuers publish.
//!
//! ```json
//! {"dcc": [{"country": "DE", "kid": "…", "hashType": "SIGNATURE", "entries": [{"hash": "…"}]}],
//!  "smart_health_cards": [{"kid": "…", "method": "rid", "ctr": 1, "rids": ["…", "….1636977600"]}]}
//! ```

use std::collections::BTreeMap;
use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ciborium::Value;
use serde::Deserialize;
use yima_schema::time::Time;

use crate::trust::Fault;

/// Most revoked certificates and cards. A part of an offline bundle has 8 bytes of each.
const MAX_REVOKED: usize = 1_000_000;
/// A batch of the EU's gateway names no key by this.
const UNKNOWN_KID: &str = "UNKNOWN_KID";
/// Bytes of a hash there: the first ones of a SHA-256.
const HASH_BYTES: usize = 16;
/// Longest revocation identifier of a card, in characters (SMART Health Cards Framework 1.4, "Revocation").
const MAX_RID: usize = 24;
/// Version of the part.
const VERSION: u64 = 1;

/// What a certificate or card is revoked by: the beginning of a SHA-256 over the kind of the identifier, the key and the
/// identifier.
type Name = [u8; 8];

/// The revoked certificates and cards.
#[derive(Default)]
pub struct Revocations {
    /// Each with the moment before which the card was issued: later ones of the same identifier are good.
    names: HashMap<Name, Time>,
}

/// The kind of an identifier. The numbers are those of the part.
#[derive(Clone, Copy, Deserialize)]
enum Kind {
    /// SHA-256 of the certificate's identifier.
    #[serde(rename = "UCI")]
    Uci = 1,
    /// SHA-256 of the signature: of its first half if it is of ECDSA.
    #[serde(rename = "SIGNATURE")]
    Signature = 2,
    /// SHA-256 of the issuing country and the certificate's identifier.
    #[serde(rename = "COUNTRYCODEUCI")]
    CountryCodeUci = 3,
    /// A card's `rid`.
    #[serde(skip)]
    Rid = 4,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    dcc: Vec<Batch>,
    #[serde(default)]
    smart_health_cards: Vec<CardRevocationList>,
}

/// A batch as the EU's gateway has it (`eu-digital-green-certificates/dgc-gateway`); further members are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    kid: String,
    hash_type: Kind,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    hash: String,
}

/// A list as `/.well-known/crl/<kid>.json` has it; further members are ignored.
#[derive(Deserialize)]
struct CardRevocationList {
    kid: String,
    method: String,
    rids: Vec<String>,
}

/// What an EU certificate can be revoked by.
pub(crate) struct EuIdentifiers<'a> {
    pub kid: &'a [u8],
    /// The part of the signature that is hashed.
    pub signature: &'a [u8],
    pub uci: &'a str,
    /// The countries that the certificate names as its issuer's.
    pub countries: [&'a str; 2],
}

impl Revocations {
    /// Reads a document.
    ///
    /// # Errors
    /// The first error of its form, or all entries that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            vec![Fault::new(place, "expected the JSON of a revocation list")]
        })?;
        let (mut revoked, mut faults) = (Self::default(), Vec::new());
        for (at, batch) in document.dcc.iter().enumerate() {
            revoked.add_batch(&format!("/dcc/{at}"), batch, &mut faults);
        }
        for (at, list) in document.smart_health_cards.iter().enumerate() {
            revoked.add_list(&format!("/smart_health_cards/{at}"), list, &mut faults);
        }
        if revoked.names.len() > MAX_REVOKED {
            faults.push(Fault::new("", format!("expected at most {MAX_REVOKED} certificates and cards")));
        }
        if faults.is_empty() { Ok(revoked) } else { Err(faults) }
    }

    fn add_batch(&mut self, place: &str, Batch { kid, hash_type, entries }: &Batch, faults: &mut Vec<Fault>) {
        let kid = if kid == UNKNOWN_KID { Some(Vec::new()) } else { STANDARD.decode(kid).ok() };
        let Some(kid) = kid.filter(|kid| kid.is_empty() || kid.len() == 8) else {
            let expected = format!("expected a key id, 8 bytes in Base64, or {UNKNOWN_KID}");
            return faults.push(Fault::new(format!("{place}/kid"), expected));
        };
        for (at, Entry { hash }) in entries.iter().enumerate() {
            match STANDARD.decode(hash).ok().filter(|hash| hash.len() == HASH_BYTES) {
                Some(hash) => drop(self.names.insert(name(*hash_type, &kid, &hash), Time::MAX)),
                None => {
                    let expected = "expected the first 16 bytes of a SHA-256, in Base64";
                    faults.push(Fault::new(format!("{place}/entries/{at}/hash"), expected));
                }
            }
        }
    }

    fn add_list(&mut self, place: &str, list: &CardRevocationList, faults: &mut Vec<Fault>) {
        if list.method != "rid" {
            return faults.push(Fault::new(format!("{place}/method"), "expected \"rid\""));
        }
        for (at, text) in list.rids.iter().enumerate() {
            match rid(text) {
                Some((rid, before)) => {
                    let known =
                        self.names.entry(name(Kind::Rid, list.kid.as_bytes(), rid.as_bytes())).or_insert(before);
                    *known = before.max(*known);
                }
                None => {
                    let expected = "expected a revocation identifier, perhaps with a dot and seconds since 1970";
                    faults.push(Fault::new(format!("{place}/rids/{at}"), expected));
                }
            }
        }
    }

    /// Whether no certificate and no card is revoked.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn has_eu(&self, EuIdentifiers { kid, signature, uci, countries }: &EuIdentifiers<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let of_country = |country: &str| (Kind::CountryCodeUci, hash(&[country, uci].concat().into_bytes()));
        let [first, second] = countries.map(of_country);
        let hashes = [(Kind::Uci, hash(uci.as_bytes())), (Kind::Signature, hash(signature)), first, second];
        let is_revoked =
            |kid: &[u8]| hashes.iter().any(|(kind, hash)| self.names.contains_key(&name(*kind, kid, hash)));
        is_revoked(kid) || is_revoked(&[])
    }

    pub(crate) fn has_card(&self, kid: &str, rid: &str, issued_at: Time) -> bool {
        let before = self.names.get(&name(Kind::Rid, kid.as_bytes(), rid.as_bytes()));
        before.is_some_and(|before| issued_at < *before)
    }

    /// The list as a part of an offline bundle (`docs/offline-bundle.md`). The same list has the same bytes.
    ///
    /// # Panics
    /// Never: memory takes all bytes.
    pub fn to_part(&self) -> Vec<u8> {
        let mut groups = BTreeMap::<Time, Vec<Name>>::new();
        for (name, before) in &self.names {
            groups.entry(*before).or_default().push(*name);
        }
        let groups = groups.into_iter().map(|(before, mut names)| {
            names.sort_unstable();
            let before = if before == Time::MAX { Value::Null } else { before.as_secs().into() };
            Value::Array(vec![before, Value::Bytes(names.concat())])
        });
        let list = Value::Array(vec![VERSION.into(), Value::Array(groups.collect())]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&list, &mut bytes).expect("memory takes all bytes");
        bytes
    }
}

fn hash(bytes: &[u8]) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..HASH_BYTES]);
    hash
}

fn name(kind: Kind, kid: &[u8], identifier: &[u8]) -> Name {
    let head = [kind as u8, u8::try_from(kid.len()).unwrap_or(u8::MAX)];
    let mut name = [0; 8];
    name.copy_from_slice(&digest(&SHA256, &[&head[..], kid, identifier].concat()).as_ref()[..8]);
    name
}

/// The identifier, and the moment before which its cards are revoked.
fn rid(text: &str) -> Option<(&str, Time)> {
    let (rid, before) = match text.split_once('.') {
        None => (text, Time::MAX),
        Some((rid, seconds)) => {
            let seconds = seconds.bytes().all(|digit| digit.is_ascii_digit()).then(|| seconds.parse().ok())??;
            (rid, Time::from_secs(seconds))
        }
    };
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    ((1..=MAX_RID).contains(&rid.len()) && rid.bytes().all(is_character)).then_some((rid, before))
}
