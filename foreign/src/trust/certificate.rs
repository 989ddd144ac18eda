//! Certificates of EU issuers ("document signer certificates"). Whoever makes the list has checked their chain to the
//! country's authority; here each stands for itself.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::oid_registry::asn1_rs::{Oid, oid};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use yima_schema::time::Time;

use super::VerifyingKey;
use crate::certificate::{Issuer, Proof};

const P256: Oid<'_> = oid!(1.2.840.10045.3.1.7);
const P384: Oid<'_> = oid!(1.3.132.0.34);
/// Sizes of RSA keys, in bits (eHealth Network, volume 1, section 3.3.2: from 2,048).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Extended key usages of a certificate: tests, vaccinations, recoveries (eHealth Network, "Public Key Certificate
/// Governance", section 5). Early certificates have the second form.
const USAGES: [[Oid<'_>; 2]; 3] = [
    [oid!(1.3.6.1.4.1.1847.2021.1.1), oid!(1.3.6.1.4.1.0.1847.2021.1.1)],
    [oid!(1.3.6.1.4.1.1847.2021.1.2), oid!(1.3.6.1.4.1.0.1847.2021.1.2)],
    [oid!(1.3.6.1.4.1.1847.2021.1.3), oid!(1.3.6.1.4.1.0.1847.2021.1.3)],
];
/// A signer of ICAO's visible digital seals (Doc 9303 part 13): another kind of document.
const ICAO_SEAL: Oid<'_> = oid!(2.23.136.1.1.14.2);

/// An issuer's certificate.
pub(crate) struct DccSigner {
    pub issuer: Issuer,
    pub key: VerifyingKey,
    pub usage: Usage,
    pub valid_from: Time,
    pub valid_until: Time,
}

/// What a key may sign.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    tests: bool,
    vaccinations: bool,
    recoveries: bool,
}

impl Usage {
    /// As bits: tests 1, vaccinations 2, recoveries 4.
    pub(super) fn bits(self) -> u64 {
        u64::from(self.tests) | u64::from(self.vaccinations) << 1 | u64::from(self.recoveries) << 2
    }

    pub(crate) fn allows(self, proof: &Proof) -> bool {
        match proof {
            Proof::Test(_) => self.tests,
            Proof::Vaccination(_) => self.vaccinations,
            Proof::Recovery(_) => self.recoveries,
        }
    }

    /// A certificate without any of the three usages may sign all, unless it is for another kind of document.
    fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let extension = certificate.extended_key_usage().ok()?;
        let usages = extension.map(|extension| extension.value.other.as_slice()).unwrap_or_default();
        let [tests, vaccinations, recoveries] = USAGES.map(|ids| ids.iter().any(|id| usages.contains(id)));
        let is_free = !tests && !vaccinations && !recoveries && !usages.contains(&ICAO_SEAL);
        let [tests, vaccinations, recoveries] = [tests, vaccinations, recoveries].map(|named| named || is_free);
        Some(Self { tests, vaccinations, recoveries })
    }
}

impl DccSigner {
    /// Reads an entry: a certificate (X.509, DER, Base64), and its country if the certificate names none. Returns the
    /// key id too.
    ///
    /// # Errors
    /// The member in error, and what it should be.
    pub(super) fn read(text: &str, country: Option<String>) -> Result<([u8; 8], Self), (&'static str, String)> {
        let invalid = |expected: &str| ("certificate", expected.to_owned());
        let der = STANDARD.decode(text).map_err(|_| invalid("expected Base64"))?;
        let parsed = X509Certificate::from_der(&der).ok().filter(|(rest, _)| rest.is_empty());
        let (_, certificate) = parsed.ok_or_else(|| invalid("expected an X.509 certificate (DER)"))?;
        let key = key(&certificate)
            .ok_or_else(|| invalid("expected a key on P-256 or P-384, or an RSA key of 2048 to 4096 bits"))?;
        let usage = Usage::of(&certificate).ok_or_else(|| invalid("expected readable extended key usages"))?;
        let named = certificate.subject().iter_country().next().and_then(|name| name.as_str().ok());
        let country = country.as_deref().or(named).unwrap_or_default();
        let issuer = Issuer { country: super::country(country)?, name: None };
        let validity = certificate.validity();
        let [valid_from, valid_until] =
            [validity.not_before, validity.not_after].map(|time| Time::from_secs(time.timestamp()));
        let mut id = [0; 8];
        id.copy_from_slice(&digest(&SHA256, &der).as_ref()[..8]);
        Ok((id, Self { issuer, key, usage, valid_from, valid_until }))
    }
}

fn key(certificate: &X509Certificate<'_>) -> Option<VerifyingKey> {
    let info = certificate.public_key();
    match info.parsed().ok()? {
        PublicKey::EC(point) => match info.algorithm.parameters.as_ref()?.as_oid().ok()? {
            curve if curve == P256 => VerifyingKey::p256(point.data()),
            curve if curve == P384 => VerifyingKey::p384(point.data()),
            _ => None,
        },
        PublicKey::RSA(key) if RSA_BITS.contains(&key.key_size()) => {
            VerifyingKey::rsa(&info.subject_public_key.data, info.raw)
        }
        PublicKey::RSA(_)
        | PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => None,
    }
}
