//! JSON bodies of answers, rendered from a view at one moment. Field names are part of the public API and stay stable.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;
use yima_schema::event::{Colour, TestKind, TestOutcome};
use yima_schema::time::Time;
use yima_schema::view::{ColourAt, View};
use yima_service::levels::Level;

/// Which fields of a view an answer has. Identity and colour are in each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Detail {
    /// All.
    #[default]
    Full,
    /// All but the vaccination.
    NoVaccination,
    /// Neither vaccination nor tests, as in the first version.
    FirstVersion,
}

impl Detail {
    /// Every one, with the most fields first.
    pub const ALL: [Self; 3] = [Self::Full, Self::NoVaccination, Self::FirstVersion];

    /// Those that have more fields.
    pub fn fuller(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |detail| *detail < self)
    }
}

impl From<Level> for Detail {
    fn from(level: Level) -> Self {
        if level.leaves_out(Level::Tests) {
            Self::FirstVersion
        } else if level.leaves_out(Level::Vaccination) {
            Self::NoVaccination
        } else {
            Self::Full
        }
    }
}

/// `GET /v1/display`.
#[derive(Serialize, ToSchema)]
pub struct DisplayBody<'a> {
    version: u64,
    identity: IdentityBody<'a>,
    colour: ColourBody<'a>,
    /// Missing if the node is too busy for them: `GET /v1/results` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<Vec<TestBody<'a>>>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    vaccination: Option<VaccinationBody>,
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
    /// Newest first; `None` if they are left out.
    pub tests: Option<Vec<TestBody<'a>>>,
    /// Doses; `None` if they are left out.
    pub vaccination: Option<VaccinationBody>,
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
    pub fn new(view: &'a View, at: &ColourAt<'a>, detail: Detail) -> Self {
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
            tests: (detail < Detail::FirstVersion).then(|| tests(view)),
            vaccination: (detail < Detail::NoVaccination).then(|| vaccination(view)),
        }
    }
}

/// The tests of a view, newest first.
pub fn tests(view: &View) -> Vec<TestBody<'_>> {
    let tests = view.tests.iter();
    tests
        .map(|t| TestBody { test: t.test, result: t.result, sampled_at: Some(t.sampled_at), agency: Some(&t.agency) })
        .collect()
}

/// The doses of a view.
pub fn vaccination(view: &View) -> VaccinationBody {
    let vaccination = &view.vaccination;
    VaccinationBody { doses: vaccination.doses, complete: vaccination.complete, last_at: vaccination.last_at }
}

impl<'a> DisplayBody<'a> {
    /// The display of a view in this version; `at` is its timeline at one moment.
    pub fn new(version: u64, view: &'a View, at: &ColourAt<'a>, detail: Detail) -> Self {
        let Parts { identity, colour, tests, vaccination } = Parts::new(view, at, detail);
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
