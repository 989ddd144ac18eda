//! Acceptance rules: which statements of other systems' codes let their holder pass. A TOML document of the deployment
//! with a version; `foreign/rules/acceptance.toml` explains each key.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use yima_schema::event::{TestKind, TestOutcome};
use yima_schema::time::{HOUR, Time};

use crate::certificate::{Certificate, Dose, Product, Proof, Recovery, TestResult, Vaccination};
use crate::trust::Fault;

/// An acceptance rules document.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceRules {
    /// Raised with every change.
    pub version: u32,
    /// Diseases (SNOMED CT) that count.
    diseases: Vec<String>,
    vaccination: VaccinationRules,
    tests: TestRules,
    recovery: Option<RecoveryRules>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VaccinationRules {
    from_d: u16,
    booster_from_d: u16,
    to_d: u16,
    vaccines: Vec<Vaccine>,
}

/// A vaccine that counts.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vaccine {
    /// As it is known.
    pub name: String,
    doses: u8,
    #[serde(default)]
    eu: Vec<String>,
    #[serde(default)]
    cvx: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestRules {
    negative: Vec<String>,
    positive: Vec<String>,
    nucleic_acid: TestKindRules,
    antigen: TestKindRules,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestKindRules {
    codes: Vec<String>,
    max_h: u16,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecoveryRules {
    from_d: u16,
    to_d: u16,
}

/// Whether a genuine code lets its holder pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// It does.
    Accepted,
    /// It states a positive test.
    Positive,
    /// Doses are missing.
    Incomplete,
    /// What it states is too recent.
    TooRecent,
    /// What it states was too long ago.
    TooOld,
    /// The rules do not list what it states.
    NotListed,
}

impl AcceptanceRules {
    /// The rules that come with yima.
    ///
    /// # Panics
    /// Never: a test reads the document that is compiled in.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../rules/acceptance.toml"))
            .unwrap_or_else(|_| panic!("the built-in rules are tested"))
    }

    /// Reads a document.
    ///
    /// # Errors
    /// The first error of its form, or all values that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let rules: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            vec![Fault::new(format!("line {line}"), error.message())]
        })?;
        let mut faults = Vec::new();
        let VaccinationRules { from_d, booster_from_d, to_d, vaccines } = &rules.vaccination;
        if from_d.max(booster_from_d) > to_d {
            faults.push(Fault::new("vaccination.to_d", "expected no less than from_d and booster_from_d"));
        }
        for (at, Vaccine { name, doses, .. }) in vaccines.iter().enumerate() {
            if *doses == 0 {
                faults.push(Fault::new(format!("vaccination.vaccines[{at}].doses"), "expected at least 1"));
            }
            if yima_schema::plain_text::plain_text(name, 60).is_none() {
                let expected = "expected 1 to 60 visible characters on one line";
                faults.push(Fault::new(format!("vaccination.vaccines[{at}].name"), expected));
            }
        }
        if rules.recovery.as_ref().is_some_and(|recovery| recovery.from_d > recovery.to_d) {
            faults.push(Fault::new("recovery.to_d", "expected no less than from_d"));
        }
        if faults.is_empty() { Ok(rules) } else { Err(faults) }
    }

    /// The document as a part of an offline bundle (`docs/offline-bundle.md`): the same members, as JSON.
    ///
    /// # Panics
    /// Never: texts and numbers by name always serialise.
    pub fn to_part(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers by name always serialise")
    }

    /// Judges a genuine code. A positive test counts before everything else; then one accepted statement is enough.
    pub fn judge(&self, certificate: &Certificate, now: Time) -> Acceptance {
        let proofs = &certificate.proofs;
        let tests = || proofs.iter().filter_map(|proof| if let Proof::Test(test) = proof { Some(test) } else { None });
        let is_positive = |test: &TestResult| self.outcome(&test.result) == Some(TestOutcome::Positive);
        if tests().any(|test| self.counts(&test.disease) && is_positive(test)) {
            return Acceptance::Positive;
        }
        let mut judged = proofs.iter().map(|proof| match proof {
            Proof::Vaccination(vaccination) => self.judge_vaccination(vaccination, now),
            Proof::Test(test) => self.judge_test(test, now),
            Proof::Recovery(recovery) => self.judge_recovery(recovery, now),
        });
        let first = judged.next().unwrap_or(Acceptance::NotListed);
        if first == Acceptance::Accepted {
            first
        } else {
            judged.find(|one| *one == Acceptance::Accepted).unwrap_or(first)
        }
    }

    /// The vaccine of that code.
    pub fn vaccine(&self, product: &Product) -> Option<&Vaccine> {
        self.vaccination.vaccines.iter().find(|vaccine| match product {
            Product::Eu(code) => vaccine.eu.contains(code),
            Product::Cvx(code) => vaccine.cvx.contains(code),
        })
    }

    /// The kind of a test of that code.
    pub fn test_kind(&self, code: &str) -> Option<TestKind> {
        let has = |kind: &TestKindRules| kind.codes.iter().any(|one| one == code);
        let TestRules { nucleic_acid, antigen, .. } = &self.tests;
        let antigen = || has(antigen).then_some(TestKind::Antigen);
        has(nucleic_acid).then_some(TestKind::NucleicAcid).or_else(antigen)
    }

    /// The result of that code.
    pub fn outcome(&self, code: &str) -> Option<TestOutcome> {
        let has = |codes: &[String]| codes.iter().any(|one| one == code);
        let negative = || has(&self.tests.negative).then_some(TestOutcome::Negative);
        has(&self.tests.positive).then_some(TestOutcome::Positive).or_else(negative)
    }

    /// The doses of vaccines that are listed.
    pub fn listed<'a>(&self, vaccination: &'a Vaccination) -> Vec<&'a Dose> {
        let doses = vaccination.doses.iter().filter(|dose| self.vaccine(&dose.product).is_some());
        if self.counts(&vaccination.disease) { doses.collect() } else { Vec::new() }
    }

    /// Whether the disease counts; without one, the vaccine or test names it.
    fn counts(&self, disease: &Option<String>) -> bool {
        disease.as_ref().is_none_or(|disease| self.diseases.contains(disease))
    }

    fn judge_vaccination(&self, vaccination: &Vaccination, now: Time) -> Acceptance {
        let doses = self.listed(vaccination);
        let Some(last) = doses.iter().max_by_key(|dose| dose.given_on) else { return Acceptance::NotListed };
        // Two doses of one day are one dose, stated twice.
        let mut days: Vec<_> = doses.iter().map(|dose| dose.given_on).collect();
        days.sort_unstable();
        days.dedup();
        let number = vaccination.number.map_or(days.len(), usize::from);
        // A course of several vaccines is complete when it is so by the one with the most doses.
        let needed = doses.iter().filter_map(|dose| self.vaccine(&dose.product)).map(|vaccine| vaccine.doses).max();
        let needed = usize::from(needed.unwrap_or(u8::MAX).max(vaccination.series.unwrap_or(0)));
        let VaccinationRules { from_d, booster_from_d, to_d, .. } = self.vaccination;
        if number < needed {
            Acceptance::Incomplete
        } else {
            judge_days(last.given_on, if number > needed { booster_from_d } else { from_d }, to_d, now)
        }
    }

    fn judge_test(&self, test: &TestResult, now: Time) -> Acceptance {
        let kind = self.test_kind(&test.test).filter(|_| self.counts(&test.disease));
        let (Some(kind), Some(TestOutcome::Negative)) = (kind, self.outcome(&test.result)) else {
            return Acceptance::NotListed;
        };
        let max = HOUR
            * u32::from(match kind {
                TestKind::NucleicAcid => self.tests.nucleic_acid.max_h,
                TestKind::Antigen => self.tests.antigen.max_h,
            });
        if test.sampled_at > now.plus(crate::CLOCK_SKEW) {
            Acceptance::TooRecent
        } else if now.since(test.sampled_at) > max {
            Acceptance::TooOld
        } else {
            Acceptance::Accepted
        }
    }

    fn judge_recovery(&self, recovery: &Recovery, now: Time) -> Acceptance {
        let Some(rules) = self.recovery.as_ref().filter(|_| self.counts(&recovery.disease)) else {
            return Acceptance::NotListed;
        };
        let today = now.date_at(0);
        if today < recovery.valid_from {
            Acceptance::TooRecent
        } else if today > recovery.valid_until {
            Acceptance::TooOld
        } else {
            judge_days(recovery.first_positive_on, rules.from_d, rules.to_d, now)
        }
    }

    /// Whether the code proves a negative nucleic-acid test no older than `within`, for a checkpoint that requires one.
    ///
    /// # Errors
    /// Whether it has such a test, which is too old.
    pub fn proves_test(&self, certificate: &Certificate, within: Duration, now: Time) -> Result<(), bool> {
        let negative = certificate.proofs.iter().filter_map(|proof| match proof {
            Proof::Test(test) => (self.counts(&test.disease)
                && self.test_kind(&test.test) == Some(TestKind::NucleicAcid)
                && self.outcome(&test.result) == Some(TestOutcome::Negative))
            .then_some(test.sampled_at),
            Proof::Vaccination(_) | Proof::Recovery(_) => None,
        });
        match negative.max() {
            Some(at) if now.since(at) <= within => Ok(()),
            newest => Err(newest.is_some()),
        }
    }
}

/// Compares the days since `date` with a range. Days are those of UTC: a difference of one to the place of the dose.
fn judge_days(date: Date, from_d: u16, to_d: u16, now: Time) -> Acceptance {
    let days = now.date_at(0).duration_since(date).as_hours() / 24;
    if days < i64::from(from_d) {
        Acceptance::TooRecent
    } else if days > i64::from(to_d) {
        Acceptance::TooOld
    } else {
        Acceptance::Accepted
    }
}
