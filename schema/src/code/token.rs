//! A token: COSE_Sign1 (RFC 9052) around a CWT (RFC 8392), signed with ES256, untagged.

use super::cbor::{Reader, Writer};
use super::handle::Handle;
use super::keys::{IssuerKey, IssuerKeys, SignError};
use super::paper::Paper;
use super::phone::PhoneKey;
use super::sign1::{self, Sign1};
use super::snapshot::Snapshot;
use super::token_keys::{DenialTag, TokenKeys, TokenSecret};
use super::validity::Validity;
use super::{CodeError, MAC_BYTES, text_of};
use crate::digest::sha256;
use crate::seal::{OVERHEAD_BYTES, SealKeys};
use crate::time::Time;

/// CWT claims (RFC 8392 section 4, RFC 8747 section 3.1). Private use is below -65536 (RFC 8392 section 9.1).
const ISS: i64 = 1;
const EXP: i64 = 4;
const NBF: i64 = 5;
const IAT: i64 = 6;
const CNF: i64 = 8;
const HANDLE: i64 = -65537;
const SNAPSHOT_1: i64 = -65538;
const SNAPSHOT: i64 = -65539;
const DENIAL_TAG: i64 = -65540;
const PAPER: i64 = -65541;
const GUARDIAN: i64 = -65542;

/// What a token claims, its handle aside.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The region that issued the token.
    pub issuer: String,
    /// When it is valid.
    pub validity: Validity,
    /// The phone that shows it; `None`: a code without a phone's key.
    pub phone: Option<PhoneClaims>,
    /// What a scanner without a network judges by; `None` on paper, and in a token of an earlier program, which no such
    /// scanner reads.
    pub snapshot: Option<Snapshot>,
    /// The holder of a printed code; in its place there is no snapshot.
    pub paper: Option<Paper>,
    /// Whether a guardian shows it, for whom it is of.
    pub guardian: bool,
}

/// What a token claims of its phone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PhoneClaims {
    /// The key of this one token.
    pub key: PhoneKey,
    /// The name of the token on denylists.
    pub denial_tag: DenialTag,
}

/// An issued token.
pub struct Issued {
    /// The COSE_Sign1.
    pub token: Vec<u8>,
    /// The secret that its phone gets beside it.
    pub secret: TokenSecret,
}

/// A token as it was read, nothing of it verified.
pub(super) struct Token<'a> {
    sign1: Sign1<'a>,
    /// The sealed handle.
    pub handle: &'a [u8],
    /// The payload before the handle.
    before_handle: &'a [u8],
    /// The payload after it.
    after_handle: &'a [u8],
    pub claims: Claims,
}

impl Claims {
    /// Those of a printed code.
    pub fn of_paper(issuer: String, validity: Validity, paper: Paper) -> Self {
        Self { issuer, validity, phone: None, snapshot: None, paper: Some(paper), guardian: false }
    }

    /// Signs the claims with a handle.
    ///
    /// # Errors
    /// The issuer's key cannot sign now.
    ///
    /// # Panics
    /// None of `handles` seals: see [`SealKeys::can_seal`].
    pub fn issue(
        &self,
        handle: &Handle,
        key: &IssuerKey,
        handles: &SealKeys,
        keys: &TokenKeys,
    ) -> Result<Issued, SignError> {
        let protected = sign1::protected(key);
        let plain = handle.encode();
        let before = self.before_handle(plain.len() + OVERHEAD_BYTES);
        let after = self.after_handle();
        let sealed = handles.seal_beside(&plain, &[&protected[..], &before, &after].concat());
        let payload = [&before[..], &sealed, &after].concat();
        let token = sign1::sign(key, &protected, &[], &payload)?;
        Ok(Issued { token, secret: keys.secret(&sealed) })
    }

    /// A digest of all that a token of these claims says, its handle with it, and of what is `beside` it. Tokens of equal
    /// digests differ in the random parts of seal and signature alone.
    pub fn digest(&self, handle: &Handle, beside: &[u8; 8]) -> [u8; 32] {
        let plain = handle.encode();
        let before = self.before_handle(plain.len() + OVERHEAD_BYTES);
        sha256(&[&beside[..], &before, &plain, &self.after_handle()].concat())
    }

    fn before_handle(&self, handle_bytes: usize) -> Vec<u8> {
        let Self { issuer, validity, phone, guardian, .. } = self;
        let waits = validity.valid_from != validity.issued_at;
        let time = |writer: Writer, claim, time: Time| writer.int(claim).int(time.as_secs());
        let entries = 5 + usize::from(waits) + 2 * usize::from(phone.is_some()) + usize::from(*guardian);
        let mut writer = Writer::default().map(entries);
        writer = time(writer.int(ISS).text(issuer), EXP, validity.expires_at);
        if waits {
            writer = time(writer, NBF, validity.valid_from);
        }
        writer = time(writer, IAT, validity.issued_at);
        if let Some(PhoneClaims { key, .. }) = phone {
            writer = key.write(writer.int(CNF).map(1).int(1));
        }
        writer.int(HANDLE).bytes_head(handle_bytes).finish()
    }

    fn after_handle(&self) -> Vec<u8> {
        let writer = match (&self.snapshot, &self.paper) {
            (Some(snapshot), _) => snapshot.write(Writer::default().int(SNAPSHOT)),
            (None, Some(paper)) => paper.write(Writer::default().int(PAPER)),
            (None, None) => Writer::default(),
        };
        let writer = match self.phone {
            Some(phone) => writer.int(DENIAL_TAG).bytes(&phone.denial_tag.0),
            None => writer,
        };
        if self.guardian { writer.int(GUARDIAN).bool(true) } else { writer }.finish()
    }
}

impl Issued {
    /// The code that shows a token without a phone's key.
    pub fn bare(&self) -> String {
        let before = Writer::default().array(2).bytes(&self.token).finish();
        let mac: [u8; MAC_BYTES] = self.secret.mac(&before);
        text_of(&Writer::default().raw(&before).bytes(&mac).finish())
    }
}

impl PhoneKey {
    /// A COSE_Key (RFC 9053 section 7.1.1): kty EC2, crv P-256, x, and y as its sign bit.
    fn write(&self, writer: Writer) -> Writer {
        writer.map(4).int(1).int(2).int(-1).int(1).int(-2).bytes(&self.x).int(-3).bool(self.y_is_odd)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (reader.map()? == 4).then_some(())?;
        (reader.is_next(1) && reader.is_next(2) && reader.is_next(-1) && reader.is_next(1)).then_some(())?;
        reader.is_next(-2).then_some(())?;
        let x = reader.bytes()?.try_into().ok()?;
        reader.is_next(-3).then_some(())?;
        Some(Self { x, y_is_odd: reader.bool()? })
    }
}

impl<'a> Token<'a> {
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let sign1 = Sign1::read(bytes)?;
        let payload = sign1.payload;
        let mut reader = Reader::new(payload);
        let entries = reader.map()?;
        let issuer = reader.is_next(ISS).then(|| reader.text())??.to_owned();
        let seconds = |reader: &mut Reader<'_>| reader.uint().and_then(|s| i64::try_from(s).ok()).map(Time::from_secs);
        let expires_at = reader.is_next(EXP).then(|| seconds(&mut reader))??;
        let waits = reader.is_next(NBF);
        let valid_from = if waits { Some(seconds(&mut reader)?) } else { None };
        let issued_at = reader.is_next(IAT).then(|| seconds(&mut reader))??;
        let validity = Validity { issued_at, valid_from: valid_from.unwrap_or(issued_at), expires_at };
        let key = if reader.is_next(CNF) {
            (reader.map()? == 1 && reader.is_next(1)).then_some(())?;
            Some(PhoneKey::read(&mut reader)?)
        } else {
            None
        };
        let handle = reader.is_next(HANDLE).then(|| reader.bytes())??;
        let after_handle = reader.rest();
        let before_handle = &payload[..payload.len() - after_handle.len() - handle.len()];
        let (mut snapshot, mut paper) = (None, None);
        if reader.is_next(SNAPSHOT) {
            snapshot = Some(Snapshot::read(&mut reader)?);
        } else if key.is_none() && reader.is_next(PAPER) {
            paper = Some(Paper::read(&mut reader)?);
        } else {
            (key.is_none() && reader.is_next(SNAPSHOT_1)).then(|| reader.skip())??;
        }
        let phone = match key {
            Some(key) => {
                let tag = reader.is_next(DENIAL_TAG).then(|| reader.bytes())??;
                Some(PhoneClaims { key, denial_tag: DenialTag(tag.try_into().ok()?) })
            }
            None => None,
        };
        let guardian = reader.is_next(GUARDIAN);
        if guardian {
            reader.bool().filter(|is_true| *is_true)?;
        }
        let known = 5 + u64::from(waits) + 2 * u64::from(phone.is_some()) + u64::from(guardian);
        skip_further_claims(&mut reader, entries.checked_sub(known)?)?;
        reader.end()?;
        let claims = Claims { issuer, validity, phone, snapshot, paper, guardian };
        validity.is_in_order().then_some(Self { sign1, handle, before_handle, after_handle, claims })
    }

    /// All of the token but its handle and its signature: what the handle is sealed beside.
    pub fn around_handle(&self) -> Vec<u8> {
        [self.sign1.protected, self.before_handle, self.after_handle].concat()
    }

    /// [`Sign1::is_of_revoked_key`].
    pub fn is_of_revoked_key(&self, keys: &IssuerKeys) -> Result<bool, CodeError> {
        self.sign1.is_of_revoked_key(keys)
    }

    /// [`Sign1::verify`].
    pub fn verify(&self, keys: &IssuerKeys) -> Result<(), CodeError> {
        self.sign1.verify(keys, &[])
    }
}

/// Claims of later programs: their numbers descend below those of today, as the order of encodings asks for.
fn skip_further_claims(reader: &mut Reader<'_>, count: u64) -> Option<()> {
    let mut before = GUARDIAN;
    for _ in 0..count {
        let claim = reader.int().filter(|claim| *claim < before)?;
        before = claim;
        reader.skip()?;
    }
    Some(())
}
