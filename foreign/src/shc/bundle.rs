//! The FHIR R4 Bundle of a card, as HL7's profile for vaccinations and tests has it
//! (<https://build.fhir.org/ig/HL7/fhir-shc-vaccination-ig/>): one Patient with Immunizations and Observations. Other
//! resources are ignored.

use serde::Deserialize;
use serde_json::Value;

use crate::Refusal;
use crate::certificate::{self, Dose, Product, Proof, TestResult, Vaccination};

/// Most resources of a card.
const MAX_ENTRIES: usize = 64;
const CVX: &str = "http://hl7.org/fhir/sid/cvx";
const LOINC: &str = "http://loinc.org";
const SNOMED_CT: &str = "http://snomed.info/sct";

#[derive(Deserialize)]
pub(super) struct Bundle {
    #[serde(default)]
    entry: Vec<Entry>,
}

/// What a card states.
pub(super) struct Content {
    pub name: String,
    pub born: Option<String>,
    pub proofs: Vec<Proof>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "fullUrl")]
    full_url: Option<String>,
    resource: Value,
}

#[derive(Deserialize)]
struct Patient {
    name: Vec<HumanName>,
    #[serde(rename = "birthDate")]
    birth_date: Option<String>,
}

#[derive(Deserialize)]
struct HumanName {
    text: Option<String>,
    family: Option<String>,
    #[serde(default)]
    given: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Immunization {
    status: String,
    vaccine_code: CodeableConcept,
    patient: Reference,
    occurrence_date_time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    status: String,
    code: CodeableConcept,
    subject: Reference,
    effective_date_time: String,
    value_codeable_concept: Option<CodeableConcept>,
}

#[derive(Deserialize)]
struct CodeableConcept {
    #[serde(default)]
    coding: Vec<Coding>,
}

#[derive(Deserialize)]
struct Coding {
    system: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    reference: String,
}

impl Bundle {
    /// What the resources state about the Patient.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] without a dose or a test, and for several Patients.
    pub(super) fn read(self) -> Result<Content, Refusal> {
        if self.entry.len() > MAX_ENTRIES {
            return Err(Refusal::Unsupported);
        }
        let (mut patients, mut doses, mut tests) = (Vec::new(), Vec::new(), Vec::new());
        for Entry { full_url, resource } in self.entry {
            match resource.get("resourceType").and_then(Value::as_str) {
                Some("Patient") => patients.push((full_url.ok_or(Refusal::Malformed)?, of::<Patient>(resource)?)),
                Some("Immunization") => doses.push(of::<Immunization>(resource)?),
                Some("Observation") => tests.push(of::<Observation>(resource)?),
                Some(_) => (),
                None => return Err(Refusal::Malformed),
            }
        }
        let (url, patient) = patients.pop().ok_or(Refusal::Malformed)?;
        if !patients.is_empty() {
            return Err(Refusal::Unsupported);
        }
        let mut persons = doses.iter().map(|dose| &dose.patient).chain(tests.iter().map(|test| &test.subject));
        if !persons.all(|person| person.reference == url) {
            return Err(Refusal::Malformed);
        }
        let doses = doses.into_iter().filter_map(|dose| dose.dose().transpose()).collect::<Result<Vec<_>, _>>()?;
        let tests = tests.into_iter().filter_map(|test| test.test().transpose()).collect::<Result<Vec<_>, _>>()?;
        let vaccination = Vaccination { disease: None, doses, number: None, series: None };
        let mut proofs: Vec<_> = tests.into_iter().map(Proof::Test).collect();
        if !vaccination.doses.is_empty() {
            proofs.push(Proof::Vaccination(vaccination));
        }
        if proofs.is_empty() {
            return Err(Refusal::Unsupported);
        }
        let born = certificate::born(patient.birth_date.as_deref().unwrap_or_default())?;
        Ok(Content { name: patient.name()?, born, proofs })
    }
}

impl Patient {
    fn name(&self) -> Result<String, Refusal> {
        let HumanName { text, family, given } = self.name.first().ok_or(Refusal::Malformed)?;
        match text {
            Some(text) => certificate::name([text.as_str()]),
            None => certificate::name(given.iter().chain(family).map(String::as_str)),
        }
    }
}

impl Immunization {
    /// `None`: it was not given, or its vaccine has no CVX code.
    fn dose(self) -> Result<Option<Dose>, Refusal> {
        let Some(code) = self.vaccine_code.of(CVX).filter(|_| self.status == "completed") else { return Ok(None) };
        let product = Product::Cvx(certificate::text(&code)?);
        Ok(Some(Dose { product, given_on: certificate::date(&self.occurrence_date_time)? }))
    }
}

impl Observation {
    /// `None`: it is not final, or has no result in codes.
    fn test(self) -> Result<Option<TestResult>, Refusal> {
        let is_final = ["final", "amended", "corrected"].contains(&self.status.as_str());
        let result = self.value_codeable_concept.and_then(|value| value.of(SNOMED_CT));
        let (Some(test), Some(result)) = (self.code.of(LOINC).filter(|_| is_final), result) else { return Ok(None) };
        Ok(Some(TestResult {
            disease: None,
            test: certificate::text(&test)?,
            result: certificate::text(&result)?,
            sampled_at: certificate::time(&self.effective_date_time)?,
        }))
    }
}

impl CodeableConcept {
    /// The code of that system.
    fn of(&self, system: &str) -> Option<String> {
        let found = self.coding.iter().find(|coding| coding.system.as_deref() == Some(system));
        found.and_then(|coding| coding.code.clone())
    }
}

fn of<T: for<'de> Deserialize<'de>>(resource: Value) -> Result<T, Refusal> {
    serde_json::from_value(resource).map_err(|_| Refusal::Malformed)
}
