//! The content of an EU certificate, schema 1.0 to 1.3 (`ehn-dcc-development/ehn-dcc-schema`): one person and one
//! statement. Codes of value sets are not compared with those sets: the acceptance rules list the ones that count.

use ciborium::Value;
use serde::Deserialize;

use crate::Refusal;
use crate::certificate::{self, Dose, Product, Proof, Recovery, TestResult, Vaccination};

/// The person.
pub(super) struct Holder {
    pub name: String,
    pub born: Option<String>,
}

#[derive(Deserialize)]
struct Content {
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
}

#[derive(Deserialize)]
struct TestEntry {
    tg: String,
    tt: String,
    sc: String,
    tr: String,
}

#[derive(Deserialize)]
struct RecoveryEntry {
    tg: String,
    fr: String,
    df: String,
    du: String,
}

/// Reads the content.
///
/// # Errors
/// [`Refusal::Unsupported`] for another major version of the schema, and for several statements in one certificate.
pub(super) fn read(hcert: &Value) -> Result<(Holder, Proof), Refusal> {
    let Content { ver, nam, dob, v, t, r } = hcert.deserialized().map_err(|_| Refusal::Malformed)?;
    if !ver.starts_with("1.") {
        return Err(Refusal::Unsupported);
    }
    let vaccinations = v.unwrap_or_default().into_iter().map(VaccinationEntry::proof);
    let tests = t.unwrap_or_default().into_iter().map(TestEntry::proof);
    let recoveries = r.unwrap_or_default().into_iter().map(RecoveryEntry::proof);
    let mut proofs = vaccinations.chain(tests).chain(recoveries);
    let proof = proofs.next().ok_or(Refusal::Malformed)??;
    if proofs.next().is_some() {
        return Err(Refusal::Unsupported);
    }
    Ok((Holder { name: nam.text()?, born: certificate::born(&dob)? }, proof))
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
    fn proof(self) -> Result<Proof, Refusal> {
        if self.dn == 0 || self.sd == 0 {
            return Err(Refusal::Malformed);
        }
        let dose = Dose { product: Product::Eu(certificate::text(&self.mp)?), given_on: certificate::date(&self.dt)? };
        Ok(Proof::Vaccination(Vaccination {
            disease: Some(certificate::text(&self.tg)?),
            doses: vec![dose],
            number: Some(self.dn),
            series: Some(self.sd),
        }))
    }
}

impl TestEntry {
    fn proof(self) -> Result<Proof, Refusal> {
        Ok(Proof::Test(TestResult {
            disease: Some(certificate::text(&self.tg)?),
            test: certificate::text(&self.tt)?,
            result: certificate::text(&self.tr)?,
            sampled_at: certificate::time(&self.sc)?,
        }))
    }
}

impl RecoveryEntry {
    fn proof(self) -> Result<Proof, Refusal> {
        Ok(Proof::Recovery(Recovery {
            disease: Some(certificate::text(&self.tg)?),
            first_positive_on: certificate::date(&self.fr)?,
            valid_from: certificate::date(&self.df)?,
            valid_until: certificate::date(&self.du)?,
        }))
    }
}
