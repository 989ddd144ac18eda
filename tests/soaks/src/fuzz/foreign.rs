//! Readers of other systems' codes: whatever is accepted states what a genuine code states.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::Value;
use yima_foreign::certificate::{Certificate, Product, Proof};
use yima_foreign::{AcceptanceRules, Revocations, TrustList};
use yima_schema::time::Time;

use super::readers::Outcome;

/// The issuers of `tests/vectors/foreign.json`, and the statements that they have signed there.
pub(super) struct Issuers {
    now: Time,
    trust: TrustList,
    rules: AcceptanceRules,
    genuine: BTreeSet<String>,
}

impl Issuers {
    pub(super) fn new() -> Arc<Self> {
        let vectors: Value = serde_json::from_str(include_str!("../../../vectors/foreign.json")).expect("JSON");
        let now: Time = vectors["now"].as_str().and_then(|now| now.parse().ok()).expect("a time");
        let trust = TrustList::parse(&vectors["trust_list"].to_string()).expect("a trust list");
        let codes = vectors["vectors"].as_array().into_iter().flatten().filter_map(|vector| vector["code"].as_str());
        let read = codes.filter_map(|code| yima_foreign::read(code, &trust, &Revocations::default(), now).ok());
        let genuine = read.map(|certificate| stated(&certificate)).collect();
        Arc::new(Self { now, trust, rules: AcceptanceRules::built_in(), genuine })
    }

    /// Reads a text.
    pub(super) fn read(&self, text: &str) -> Result<Outcome, String> {
        let Ok(certificate) = yima_foreign::read(text, &self.trust, &Revocations::default(), self.now) else {
            return Ok(Outcome::Refused);
        };
        self.rules.judge(&certificate, self.now);
        if self.genuine.contains(&stated(&certificate)) {
            Ok(Outcome::Accepted)
        } else {
            Err("a statement that was not signed is accepted".into())
        }
    }

    /// Reads the bytes of a COSE_Sign1, in the text that an issuer would make of them.
    pub(super) fn read_cose(&self, bytes: &[u8]) -> Result<Outcome, String> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        let compressed = encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|error| error.to_string())?;
        self.read(&format!("HC1:{}", base45::encode(compressed)))
    }
}

/// All that a certificate states, as one text.
fn stated(certificate: &Certificate) -> String {
    let proofs = certificate.proofs.iter().map(|proof| match proof {
        Proof::Vaccination(vaccination) => {
            let doses = vaccination.doses.iter().map(|dose| match &dose.product {
                Product::Eu(code) => format!("EU {code} {}", dose.given_on),
                Product::Cvx(code) => format!("CVX {code} {}", dose.given_on),
            });
            let doses: Vec<_> = doses.collect();
            format!("{:?} {doses:?} {:?} {:?}", vaccination.disease, vaccination.number, vaccination.series)
        }
        Proof::Test(test) => format!("{:?} {} {} {}", test.disease, test.test, test.result, test.sampled_at),
        Proof::Recovery(infection) => {
            let (from, until) = (infection.valid_from, infection.valid_until);
            format!("{:?} {} {from} {until}", infection.disease, infection.first_positive_on)
        }
    });
    let proofs: Vec<_> = proofs.collect();
    format!("{} {:?} {} {proofs:?}", certificate.name, certificate.born, certificate.issuer.country)
}
