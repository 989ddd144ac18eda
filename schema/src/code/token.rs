//! A token: COSE_Sign1 (RFC 9052) around a CWT (RFC 8392), signed with ES256, untagged.

use super::cbor::{Reader, Writer};
use super::handle::Handle;
use super::keys::{IssuerKey, IssuerKeys, SignError};
use super::phone::PhoneKey;
use super::snapshot::Snapshot;
use super::token_keys::{DenialTag, TokenKeys, TokenSecret};
use super::validity::Validity;
use super::{CodeError, MAC_BYTES, text_of};
use crate::seal::{OVERHEAD_BYTES, SealKeys};
use crate::time::Time;

pub(super) const SIGNATURE_BYTES: usize = 64;
/// COSE header parameters (RFC 9052 section 3.1) and the algorithm (RFC 9053 section 2.1).
const ALGORITHM: i64 = 1;
const KEY_ID: i64 = 4;
const ES256: i64 = -7;
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

/// What a token claims, its handle aside.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The region that issued the token.
    pub issuer: String,
    /// When it is valid.
    pub validity: Validity,
    /// The phone that shows it; `None`: a code without a phone's key.
    pub phone: Option<PhoneClaims>,
    /// What a scanner without a network shows; `None` in a token of an earlier program, which no such scanner reads.
    pub snapshot: Option<Snapshot>,
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
    protected: &'a [u8],
    key_id: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    /// The sealed handle.
    pub handle: &'a [u8],
    /// The payload before the handle.
    before_handle: &'a [u8],
    /// The payload after it.
    after_handle: &'a [u8],
    pub claims: Claims,
}

impl Claims {
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
        let protected = Writer::default().map(2).int(ALGORITHM).int(ES256).int(KEY_ID).bytes(key.id()).finish();
        let plain = handle.encode();
        let before = self.before_handle(plain.len() + OVERHEAD_BYTES);
        let after = self.after_handle();
        let sealed = handles.seal_beside(&plain, &[&protected[..], &before, &after].concat());
        let payload = [&before[..], &sealed, &after].concat();
        let signature = key.sign(&to_be_signed(&protected, &payload))?;
        let token = Writer::default().array(4).bytes(&protected).map(0).bytes(&payload).bytes(&signature).finish();
        Ok(Issued { token, secret: keys.secret(&sealed) })
    }

    fn before_handle(&self, handle_bytes: usize) -> Vec<u8> {
        let Self { issuer, validity, phone, .. } = self;
        let waits = validity.valid_from != validity.issued_at;
        let time = |writer: Writer, claim, time: Time| writer.int(claim).int(time.as_secs());
        let mut writer = Writer::default().map(5 + usize::from(waits) + 2 * usize::from(phone.is_some()));
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
        let writer = match &self.snapshot {
            Some(snapshot) => snapshot.write(Writer::default().int(SNAPSHOT)),
            None => Writer::default(),
        };
        match self.phone {
            Some(phone) => writer.int(DENIAL_TAG).bytes(&phone.denial_tag.0),
            None => writer,
        }
        .finish()
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
        let mut reader = Reader::new(bytes);
        (reader.array()? == 4).then_some(())?;
        let protected = reader.bytes()?;
        let key_id = read_header(protected)?;
        (reader.map()? == 0).then_some(())?;
        let payload = reader.bytes()?;
        let signature = reader.bytes().filter(|signature| signature.len() == SIGNATURE_BYTES)?;
        reader.end()?;

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
        let snapshot = if reader.is_next(SNAPSHOT) {
            Some(Snapshot::read(&mut reader)?)
        } else {
            (reader.is_next(SNAPSHOT_1) && key.is_none()).then(|| reader.skip())??;
            None
        };
        let phone = match key {
            Some(key) => {
                let tag = reader.is_next(DENIAL_TAG).then(|| reader.bytes())??;
                Some(PhoneClaims { key, denial_tag: DenialTag(tag.try_into().ok()?) })
            }
            None => None,
        };
        let known = 5 + u64::from(waits) + 2 * u64::from(phone.is_some());
        skip_further_claims(&mut reader, entries.checked_sub(known)?)?;
        reader.end()?;
        let claims = Claims { issuer, validity, phone, snapshot };
        validity.is_in_order().then_some(Self {
            protected,
            key_id,
            payload,
            signature,
            handle,
            before_handle,
            after_handle,
            claims,
        })
    }

    /// All of the token but its handle and its signature: what the handle is sealed beside.
    pub fn around_handle(&self) -> Vec<u8> {
        [self.protected, self.before_handle, self.after_handle].concat()
    }

    /// Whether the issuer's key was revoked.
    ///
    /// # Errors
    /// An unknown key.
    pub fn is_of_revoked_key(&self, keys: &IssuerKeys) -> Result<bool, CodeError> {
        keys.find(self.key_id).map(|(_, is_revoked)| is_revoked).ok_or(CodeError::UnknownIssuer)
    }

    /// Checks the issuer's signature.
    ///
    /// # Errors
    /// An unknown key, a wrong signature, or a revoked key, in that order.
    pub fn verify(&self, keys: &IssuerKeys) -> Result<(), CodeError> {
        let (key, is_revoked) = keys.find(self.key_id).ok_or(CodeError::UnknownIssuer)?;
        let signed = to_be_signed(self.protected, self.payload);
        key.verify(&signed, self.signature).map_err(|_| CodeError::Forged)?;
        if is_revoked { Err(CodeError::Revoked) } else { Ok(()) }
    }
}

/// The key id of a protected header that names ES256.
fn read_header(protected: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(protected);
    (reader.map()? == 2 && reader.is_next(ALGORITHM) && reader.is_next(ES256)).then_some(())?;
    let key_id = reader.is_next(KEY_ID).then(|| reader.bytes())??;
    reader.end()?;
    Some(key_id)
}

/// Claims of later programs: their numbers descend below those of today, as the order of encodings asks for.
fn skip_further_claims(reader: &mut Reader<'_>, count: u64) -> Option<()> {
    let mut before = DENIAL_TAG;
    for _ in 0..count {
        let claim = reader.int().filter(|claim| *claim < before)?;
        before = claim;
        reader.skip()?;
    }
    Some(())
}

/// `Sig_structure` (RFC 9052 section 4.4).
pub(super) fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    Writer::default().array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload).finish()
}
