//! The content of an EU certificate, schema 1.0 to 1.3 (`ehn-dcc-development/ehn-dcc-schema`): one person and one
//! statement. Codes of value sets are not compared with those sets: the acceptance rules list the ones that count.

use ciborium::Value;
use serde::Deserialize;

use crate::Refusal;
use crate::certificate::{self, Dose, Product, Proof, Recovery, TestResult, Vaccination};

/// What a certificate states.
pub(super) struct Content {
    pub holder: Holder,
    pub proof: Proof,
    /// The certificate's identifier; empty if it has none.
    pub uci: String,
    /// The country that it names as its issuer's; empty likewise.
    pub country: String,
}

/// The person.
pub(super) struct Holder {
    pub name: String,
    pub born: Option<String>,
}

#[derive(Deserialize)]
struct Members {
    ver: String,
    nam: Name,
    dob: String,
    v: Option<Vec<VaccinationEntry>>,
    t: Option<Vec<TestEntry>>,
    r: Option<Vec<RecoveryEntry>>,
}

/// `fnt` and `gnt`: as a passport's machine-readable zone writes them (ICAO 9303). A guard compares them with it.
#[derive(Deserialize)]
struct Name {
    #[serde(rename = "fn")]
    family: Option<String>,
    #[serde(rename = "fnt")]
    standard_family: Option<String>,
    #[serde(rename = "gn")]
    given: Option<String>,
    #[serde(rename = "gnt")]
    standard_given: Option<String>,
}

#[derive(Deserialize)]
struct VaccinationEntry {
    tg: String,
    mp: String,
    dn: u8,
    sd: u8,
    dt: String,
    ci: Option<String>,
    co: Option<String>,
}

#[derive(Deserialize)]
struct TestEntry {
    tg: String,
    tt: String,
    sc: String,
    tr: String,
    ci: Option<String>,
    co: Option<String>,
}

#[derive(Deserialize)]
struct RecoveryEntry {
    tg: String,
    fr: String,
    df: String,
    du: String,
    ci: Option<String>,
    co: Option<String>,
}

/// Reads the content.
///
/// # Errors
/// [`Refusal::Unsupported`] for another major version of the schema, and for several statements in one certificate.
pub(super) fn read(hcert: &Value) -> Result<Content, Refusal> {
    let Members { ver, nam, dob, v, t, r } = hcert.deserialized().map_err(|_| Refusal::Malformed)?;
    if !ver.starts_with("1.") {
        return Err(Refusal::Unsupported);
    }
    let vaccinations = v.unwrap_or_default().into_iter().map(VaccinationEntry::proof);
    let tests = t.unwrap_or_default().into_iter().map(TestEntry::proof);
    let recoveries = r.unwrap_or_default().into_iter().map(RecoveryEntry::proof);
    let mut proofs = vaccinations.chain(tests).chain(recoveries);
    let (proof, uci, country) = proofs.next().ok_or(Refusal::Malformed)??;
    if proofs.next().is_some() {
        return Err(Refusal::Unsupported);
    }
    let holder = Holder { name: nam.text()?, born: certificate::born(&dob)? };
    Ok(Content { holder, proof, uci, country })
}

impl Name {
    fn text(&self) -> Result<String, Refusal> {
        let standard = [&self.standard_given, &self.standard_family].map(|part| part.as_deref().unwrap_or_default());
        if standard.iter().all(|part| part.is_empty()) {
            return certificate::name([&self.given, &self.family].map(|part| part.as_deref().unwrap_or_default()));
        }
        let spaced = standard.map(|part| part.replace('<', " "));
        certificate::name(spaced.iter().flat_map(|part| part.split_whitespace()))
    }
}

impl VaccinationEntry {
    /// With the certificate's identifier and its country.
    fn proof(self) -> Result<(Proof, String, String), Refusal> {
        if self.dn == 0 || self.sd == 0 {
            return Err(Refusal::Malformed);
        }
        let dose = Dose { product: Product::Eu(certificate::text(&self.mp)?), given_on: certificate::date(&self.dt)? };
        let proof = Proof::Vaccination(Vaccination {
            disease: Some(certificate::text(&self.tg)?),
            doses: vec![dose],
            number: Some(self.dn),
            series: Some(self.sd),
        });
        Ok((proof, self.ci.unwrap_or_default(), self.co.unwrap_or_default()))
    }
}

impl TestEntry {
    fn proof(self) -> Result<(Proof, String, String), Refusal> {
        let proof = Proof::Test(TestResult {
            disease: Some(certificate::text(&self.tg)?),
            test: certificate::text(&self.tt)?,
            result: certificate::text(&self.tr)?,
            sampled_at: certificate::time(&self.sc)?,
        });
        Ok((proof, self.ci.unwrap_or_default(), self.co.unwrap_or_default()))
    }
}

impl RecoveryEntry {
    fn proof(self) -> Result<(Proof, String, String), Refusal> {
        let proof = Proof::Recovery(Recovery {
            disease: Some(certificate::text(&self.tg)?),
            first_positive_on: certificate::date(&self.fr)?,
            valid_from: certificate::date(&self.df)?,
            valid_until: certificate::date(&self.du)?,
        });
        Ok((proof, self.ci.unwrap_or_default(), self.co.unwrap_or_default()))
    }
}
