//! Subjects: identity documents and the pseudonyms derived from them.

use std::fmt;

use aws_lc_rs::hmac;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::agency::is_agency_name;
use crate::digest::first_16;
use crate::mask::mask_number;
use crate::named::named_enum;
use crate::plain_text::is_format;
use crate::resident_id;
use crate::seal::SealKeys;

named_enum! {
    /// The type of an identity document. The number is hashed into the subject id: never change one. `ALL` is the order
    /// in which error messages list the types.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    #[repr(u8)]
    pub enum DocumentType {
        /// Resident identity card of the People's Republic of China (GB 11643).
        CnResidentId = 1 => "cn_resident_id",
        /// Passport: 5 to 20 letters and digits.
        Passport = 2 => "passport",
        /// Travel permit of residents of Hong Kong, Macao (H or M and 8 digits) and Taiwan (8 digits).
        HkMoTwPermit = 3 => "hk_mo_tw_permit",
        /// An agency's own number: `agency/number`.
        Local = 4 => "local",
    }
}

/// A document number does not fit its type. The message says what was expected and never repeats the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// See [`resident_id::ResidentIdError`].
    #[error("not a resident identity number (GB 11643): {0}")]
    ResidentId(#[from] resident_id::ResidentIdError),
    /// Not a passport number.
    #[error("expected a passport number: 5 to 20 letters and digits")]
    Passport,
    /// Not a permit number.
    #[error("expected a permit number: H or M and 8 digits, or 8 digits")]
    Permit,
    /// Not a local number.
    #[error(
        "expected an agency's name, a slash and its own number of 1 to 64 letters, digits, dots, dashes or underscores"
    )]
    Local,
}

/// A checked identity document with its raw number: made at the edge, turned into a [`SubjectId`] and dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    kind: DocumentType,
    number: String,
}

impl Document {
    /// Checks a number against its type and brings it into canonical form: without format characters, full-width
    /// forms as ASCII, without spaces, upper case. A `local` number is trimmed, and keeps its case.
    ///
    /// # Errors
    /// The number does not fit its type.
    pub fn new(kind: DocumentType, number: &str) -> Result<Self, DocumentError> {
        let mut plain: String = number.chars().filter(|c| !is_format(*c)).map(half_width).collect();
        if kind != DocumentType::Local {
            plain.retain(|c| !c.is_whitespace());
        }
        let trimmed = plain.trim();
        let upper = trimmed.to_ascii_uppercase();
        let number = match kind {
            DocumentType::CnResidentId => resident_id::canonical(trimmed)?,
            DocumentType::Passport => {
                let fits = (5..=20).contains(&upper.len()) && upper.bytes().all(|b| b.is_ascii_alphanumeric());
                fits.then_some(upper).ok_or(DocumentError::Passport)?
            }
            DocumentType::HkMoTwPermit => {
                let digits = upper.strip_prefix(['H', 'M']).unwrap_or(&upper);
                let fits = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
                fits.then_some(upper).ok_or(DocumentError::Permit)?
            }
            DocumentType::Local => {
                let (agency, own) = trimmed.split_once('/').ok_or(DocumentError::Local)?;
                let own_fits = (1..=64).contains(&own.len())
                    && own.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
                let fits = is_agency_name(agency) && own_fits;
                fits.then(|| trimmed.to_owned()).ok_or(DocumentError::Local)?
            }
        };
        Ok(Self { kind, number })
    }

    /// The type.
    pub fn kind(&self) -> DocumentType {
        self.kind
    }

    /// The date of birth that a resident identity number contains; `None` for every other type.
    pub fn born(&self) -> Option<Date> {
        match self.kind {
            DocumentType::CnResidentId => resident_id::birth_date(&self.number),
            DocumentType::Passport | DocumentType::HkMoTwPermit | DocumentType::Local => None,
        }
    }

    /// The agency that issued a `local` number; `None` for every other type.
    pub fn local_agency(&self) -> Option<&str> {
        match self.kind {
            DocumentType::Local => self.number.split_once('/').map(|(agency, _)| agency),
            DocumentType::CnResidentId | DocumentType::Passport | DocumentType::HkMoTwPermit => None,
        }
    }

    /// The masked number, as pages and views show it.
    pub fn masked(&self) -> String {
        match self.kind {
            DocumentType::CnResidentId => mask_number(&self.number, 6, 4),
            DocumentType::Passport | DocumentType::HkMoTwPermit => mask_number(&self.number, 1, 2),
            DocumentType::Local => {
                let (agency, own) = self.number.split_once('/').unwrap_or(("", &self.number));
                format!("{agency}/{}", mask_number(own, 2, 2))
            }
        }
    }
}

/// The ASCII form of a full-width character, as Chinese input methods type it (Unicode block FF00).
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, redacted)", self.kind.as_str())
    }
}

/// A subject's pseudonym: the first 16 bytes of HMAC-SHA-256(pseudonym key, document type ‖ canonical number). The
/// partition key of all data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubjectId([u8; 16]);

impl SubjectId {
    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its first 8 bytes as a number: uniformly distributed, for sharding and fingerprints.
    pub fn fingerprint(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectId(redacted)")
    }
}

/// The key that turns documents into subject ids. Without it no document finds its data again: created once, backed up,
/// never changed; the store keeps its fingerprint.
#[derive(Clone)]
pub struct PseudonymKey(hmac::Key);

impl PseudonymKey {
    /// From 32 secret bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The pseudonym of the document's holder.
    pub fn subject(&self, document: &Document) -> SubjectId {
        let mut hmac = hmac::Context::with_key(&self.0);
        hmac.update(&[document.kind as u8]);
        hmac.update(document.number.as_bytes());
        SubjectId(first_16(hmac.sign().as_ref()))
    }

    /// A digest of content about a subject, 16 bytes. Without the key the content cannot be guessed from it.
    pub fn content_digest(&self, subject: SubjectId, content: &[u8]) -> [u8; 16] {
        let mut hmac = hmac::Context::with_key(&self.0);
        hmac.update(b"yima content");
        hmac.update(subject.as_bytes());
        hmac.update(content);
        first_16(hmac.sign().as_ref())
    }

    /// Seal keys that every service of every region can derive, since all have the pseudonym key.
    ///
    /// # Panics
    /// Never: HMAC-SHA-256 has 32 bytes.
    pub fn seal_keys(&self, purpose: &'static str) -> SealKeys {
        // No subject's input begins with this text: the first byte there is a document type.
        let secret = hmac::sign(&self.0, b"yima seal keys of all regions");
        SealKeys::new(&[secret.as_ref().try_into().expect("32 bytes")], purpose)
    }

    /// A secret of 32 bytes for another use, which no seal key and no subject id shares.
    ///
    /// # Panics
    /// Never: HMAC-SHA-256 has 32 bytes.
    pub fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        let input = ["yima secret: ", purpose].concat();
        hmac::sign(&self.0, input.as_bytes()).as_ref().try_into().expect("32 bytes")
    }

    /// Identifies the key without revealing it: HMAC of a fixed text, 16 bytes.
    pub fn fingerprint(&self) -> [u8; 16] {
        first_16(hmac::sign(&self.0, b"yima pseudonym key fingerprint").as_ref())
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_number_is_one_subject() {
        let key = PseudonymKey::from_bytes(&[7; 32]);
        let a = Document::new(DocumentType::CnResidentId, "11010519491231002x").unwrap();
        let b = Document::new(DocumentType::CnResidentId, " 11010519491231002X ").unwrap();
        assert_eq!(key.subject(&a), key.subject(&b));
        assert_ne!(key.subject(&a), PseudonymKey::from_bytes(&[8; 32]).subject(&a));
    }

    #[test]
    fn a_number_is_read_as_it_is_typed_grouped_or_copied() {
        let key = PseudonymKey::from_bytes(&[7; 32]);
        for (kind, plain, spellings) in [
            (
                DocumentType::CnResidentId,
                "610113197503108869",
                [
                    "610113 19750310 8869",
                    "６１０１１３１９７５０３１０８８６９",
                    "610113\u{200b}19750310\u{feff}8869",
                    "\u{feff}610113\u{a0}19750310\u{3000}8869\u{200e}",
                ],
            ),
            (
                DocumentType::Passport,
                "E12345678",
                ["e 1234 5678", "Ｅ１２３４５６７８", "E\u{ad}12345678", "ｅ12345678"],
            ),
            (
                DocumentType::HkMoTwPermit,
                "H12345678",
                ["h 12345678", "Ｈ１２３４５６７８", "H1234\u{2009}5678", "\u{2060}H12345678"],
            ),
            (
                DocumentType::Local,
                "lab-7/a1",
                [" lab-7/a1 ", "ｌａｂ－７／ａ１", "lab-7/\u{200b}a1", "\u{feff} lab-7/a1"],
            ),
        ] {
            let expected = Document::new(kind, plain).unwrap();
            for spelling in spellings {
                let read = Document::new(kind, spelling);
                assert_eq!(read.map(|read| key.subject(&read)), Ok(key.subject(&expected)), "{spelling:?}");
            }
        }
        // In an agency's own number a space may tell two apart.
        assert_eq!(Document::new(DocumentType::Local, "lab-7/a 1"), Err(DocumentError::Local));
        assert_eq!(Document::new(DocumentType::Passport, "E-1234567"), Err(DocumentError::Passport));
    }

    #[test]
    fn one_number_of_two_types_is_two_subjects() {
        let key = PseudonymKey::from_bytes(&[7; 32]);
        let permit = Document::new(DocumentType::HkMoTwPermit, "H12345678").unwrap();
        let passport = Document::new(DocumentType::Passport, "H12345678").unwrap();
        assert_ne!(key.subject(&permit), key.subject(&passport));
    }

    #[test]
    fn masks_hide_the_middle() {
        let masked = |t, n| Document::new(t, n).unwrap().masked();
        assert_eq!(masked(DocumentType::CnResidentId, "610102199003070016"), "610102********0016");
        assert_eq!(masked(DocumentType::Passport, "E12345678"), "E******78");
        assert_eq!(masked(DocumentType::Local, "hospital-1/01332066-fca8"), "hospital-1/01*********a8");
        assert_eq!(masked(DocumentType::Local, "hospital-1/7"), "hospital-1/*");
    }

    #[test]
    fn debug_and_errors_repeat_no_number() {
        let document = Document::new(DocumentType::Passport, "E12345678").unwrap();
        let subject = PseudonymKey::from_bytes(&[7; 32]).subject(&document);
        assert!(!format!("{document:?}{subject:?}").contains("123"));
        let error = Document::new(DocumentType::CnResidentId, "610102199003070015").unwrap_err();
        assert!(!error.to_string().contains("6101"));
    }

    #[test]
    fn a_number_that_does_not_fit_its_type_is_refused() {
        assert_eq!(Document::new(DocumentType::Passport, "E1"), Err(DocumentError::Passport));
        assert_eq!(Document::new(DocumentType::HkMoTwPermit, "X12345678"), Err(DocumentError::Permit));
        assert_eq!(Document::new(DocumentType::Local, "no-slash"), Err(DocumentError::Local));
        assert_eq!(Document::new(DocumentType::Local, "Bad Agency/1"), Err(DocumentError::Local));
    }
}
