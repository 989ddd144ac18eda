//! Readers of codes without a network: the checkpoint's page's beside the program's.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use yima_foreign::certificate::{Certificate, Dose, Product, Proof, Vaccination};
use yima_foreign::{Refusal, Revocations, TrustList};
use yima_schema::time::Time;

/// What the page's reader made of the codes that it was given.
#[derive(Debug, PartialEq, Eq)]
pub struct Compared {
    /// All codes that it read.
    pub read: u64,
    /// Those that it accepted.
    pub accepted: u64,
    /// Those of which it says something else than the program. They are on standard error.
    pub differ: u64,
}

/// Gives lines to one of the page's readers (`npm run SCRIPT` in `web/pages`), which says in its file what a line is.
///
/// # Panics
/// Without the pages' packages, and when the reader fails.
pub fn compare_with_page(script: &str, lines: impl Iterator<Item = Value>) -> Compared {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/pages");
    let mut page = Command::new("npm");
    let page = page.args(["run", "--silent", script]).current_dir(pages);
    let page = page.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut page = page.expect("npm is installed: the pages are built by it");
    let mut input = BufWriter::new(page.stdin.take().expect("piped"));
    for line in lines {
        writeln!(input, "{line}").expect("the page's reader takes every line");
    }
    drop(input);
    let output = page.wait_with_output().expect("the page's reader ends after the last line");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let [read, accepted, differ]: [u64; 3] =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: three numbers expected, not {said}"));
    Compared { read, accepted, differ }
}

/// What the program says of a code of another system: what it proves, or the reason for which a scan refuses it.
pub fn says_of_foreign(code: &str, trust: &TrustList, now: Time) -> Value {
    let certificate = match yima_foreign::read(code, trust, &Revocations::default(), now) {
        Ok(certificate) => certificate,
        Err(refusal) => {
            return json!(match refusal {
                Refusal::Malformed => "malformed",
                Refusal::Unsupported => "foreign_unsupported",
                Refusal::InParts => "foreign_in_parts",
                Refusal::IssuerUnknown => "foreign_issuer_unknown",
                Refusal::Forged => "forged",
                Refusal::KeyUsage => "foreign_key_usage",
                Refusal::Revoked => "foreign_revoked",
                Refusal::Expired => "foreign_expired",
                Refusal::NotYetValid => "foreign_not_yet_valid",
            });
        }
    };
    let dose = |dose: &Dose| match &dose.product {
        Product::Eu(code) | Product::Cvx(code) => json!([code, dose.given_on.to_string()]),
    };
    let proof = |proof: &Proof| match proof {
        Proof::Vaccination(Vaccination { disease, doses, number, series }) => {
            json!([disease, doses.iter().map(dose).collect::<Vec<_>>(), number, series])
        }
        Proof::Test(test) => json!([test.disease, test.test, test.result, test.sampled_at]),
        Proof::Recovery(past) => {
            let days = [past.first_positive_on, past.valid_from, past.valid_until].map(|day| day.to_string());
            json!([past.disease, days[0], days[1], days[2]])
        }
    };
    let Certificate { issuer, name, born, proofs, .. } = certificate;
    json!([issuer.country, issuer.name, name, born, proofs.iter().map(proof).collect::<Vec<_>>()])
}
