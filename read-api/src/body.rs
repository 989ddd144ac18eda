//! JSON bodies of answers, rendered from a view at one moment. Field names are part of the public API and stay stable.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::event::{Colour, TestKind, TestOutcome};
use yima_schema::time::Time;
use yima_schema::view::{ColourAt, View};

/// `GET /v1/display`.
#[derive(Serialize, ToSchema)]
pub struct DisplayBody<'a> {
    version: u64,
    identity: IdentityBody<'a>,
    colour: ColourBody<'a>,
    tests: Vec<TestBody<'a>>,
    vaccination: VaccinationBody,
    next_transition_at: Option<Time>,
    /// An agency sent two contents under one id and revision, or one result for two persons; missing if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    conflict: bool,
}

/// Masked name and document number; of another system's code the whole name, since that is all to compare with.
#[derive(Serialize, ToSchema)]
pub struct IdentityBody<'a> {
    name: Option<Cow<'a, str>>,
    document: Option<&'a str>,
}

/// The colour in force, and who decided it.
#[derive(Serialize, ToSchema)]
pub struct ColourBody<'a> {
    code: Colour,
    reason: &'a str,
    since: Option<Time>,
    until: Option<Time>,
    agency: Option<&'a str>,
}

/// One test.
#[derive(Serialize, ToSchema)]
pub struct TestBody<'a> {
    test: TestKind,
    result: TestOutcome,
    /// Null in the answer to a scan by a guard.
    sampled_at: Option<Time>,
    /// Likewise.
    agency: Option<&'a str>,
}

/// Summary of the doses.
#[derive(Serialize, ToSchema)]
pub struct VaccinationBody {
    doses: u8,
    complete: bool,
    last_at: Option<Time>,
}

/// The parts that a display and a scan share.
pub struct Parts<'a> {
    /// Masked name and document number.
    pub identity: IdentityBody<'a>,
    /// The colour in force.
    pub colour: ColourBody<'a>,
    /// Newest first.
    pub tests: Vec<TestBody<'a>>,
    /// Doses.
    pub vaccination: VaccinationBody,
}

impl IdentityBody<'static> {
    /// Of a code that names a person and no document.
    pub fn of_name(name: String) -> Self {
        Self { name: Some(Cow::Owned(name)), document: None }
    }
}

impl TestBody<'_> {
    /// Without its time, and without who tested.
    pub fn without_time(self) -> Self {
        Self { sampled_at: None, agency: None, ..self }
    }
}

impl<'a> Parts<'a> {
    /// The parts of a view; `at` is its timeline at one moment.
    pub fn new(view: &'a View, at: &ColourAt<'a>) -> Self {
        Self {
            identity: IdentityBody {
                name: view.name.as_deref().map(Cow::Borrowed),
                document: view.document.as_deref(),
            },
            colour: ColourBody {
                code: at.colour(),
                reason: at.reason(),
                since: at.segment.map(|s| s.from),
                until: at.until,
                agency: at.segment.and_then(|s| s.agency.as_deref()),
            },
            tests: view
                .tests
                .iter()
                .map(|t| TestBody {
                    test: t.test,
                    result: t.result,
                    sampled_at: Some(t.sampled_at),
                    agency: Some(&t.agency),
                })
                .collect(),
            vaccination: VaccinationBody {
                doses: view.vaccination.doses,
                complete: view.vaccination.complete,
                last_at: view.vaccination.last_at,
            },
        }
    }
}

impl<'a> DisplayBody<'a> {
    /// The display of a view in this version; `at` is its timeline at one moment.
    pub fn new(version: u64, view: &'a View, at: &ColourAt<'a>) -> Self {
        let Parts { identity, colour, tests, vaccination } = Parts::new(view, at);
        Self {
            version,
            identity,
            colour,
            tests,
            vaccination,
            next_transition_at: at.next_transition_at,
            conflict: view.conflict,
        }
    }
}
