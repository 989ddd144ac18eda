//! The middleware's own problems: refusals of an overloaded port, each of which takes about a microsecond, and answers
//! in place of those that did not come.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use metrics::Counter;
use yima_schema::problem::{Problem, ProblemType};

use super::ProblemResponse;
use super::direct::Prepared;
use crate::levels::Class;

/// Why a request is refused whatever it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The level in force leaves its class out.
    Level,
    /// As many requests wait for their answer as may.
    Full,
}

impl Refusal {
    const ALL: [Self; 2] = [Self::Level, Self::Full];

    fn reason(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Full => "in_flight",
        }
    }

    /// The seconds after which the client may come again, one of which is chosen at random: those who were refused
    /// together do not return together.
    fn return_after_s(self, class: Class) -> RangeInclusive<u32> {
        match self {
            Self::Level => class.return_after_s()..=2 * class.return_after_s(),
            Self::Full => 1..=1,
        }
    }

    fn problem(self, retry_after_s: u32) -> ProblemResponse {
        let detail = match self {
            Self::Level => "The service is too busy for this now; try again later",
            Self::Full => "Too many requests are in flight; try again shortly",
        };
        Problem::new(ProblemType::Unavailable, detail).retry_after(retry_after_s).into()
    }
}

/// The refusals of one port. Making the counter and the document anew would take half of a refusal's time.
pub(super) struct Refusals {
    service: &'static str,
    made: [[OnceLock<Made>; Refusal::ALL.len()]; Class::ALL.len()],
}

/// What all refusals of one class for one reason share.
struct Made {
    counter: Counter,
    /// One for each time of return.
    answers: OnceLock<Box<[Prepared]>>,
}

impl Refusals {
    pub(super) fn new(service: &'static str) -> Self {
        Self { service, made: Default::default() }
    }

    /// Exports each counter as 0, so that a rate shows the first refusal too.
    pub(super) fn register(&self) {
        for class in Class::ALL {
            Refusal::ALL.into_iter().for_each(|refusal| _ = self.made(class, refusal));
        }
    }

    /// Counts a refusal; returns its answer.
    pub(super) fn refuse(&self, class: Class, refusal: Refusal) -> ProblemResponse {
        self.made(class, refusal).counter.increment(1);
        refusal.problem(rand::random_range(refusal.return_after_s(class)))
    }

    /// The same with an answer made before.
    pub(super) fn refuse_prepared(&self, class: Class, refusal: Refusal) -> &Prepared {
        let made = self.made(class, refusal);
        made.counter.increment(1);
        let prepared = || refusal.return_after_s(class).map(|after| refusal.problem(after).into()).collect();
        let answers = made.answers.get_or_init(prepared);
        &answers[rand::random_range(0..answers.len())]
    }

    fn made(&self, class: Class, refusal: Refusal) -> &Made {
        self.made[class as usize][refusal as usize].get_or_init(|| {
            let labels = [("service", self.service), ("class", class.name()), ("reason", refusal.reason())];
            Made { counter: metrics::counter!("http_requests_refused_total", &labels), answers: OnceLock::new() }
        })
    }
}

/// The answer to a request whose own was not ready in time.
pub(super) fn late() -> ProblemResponse {
    let detail = "The answer was not ready in time; try again shortly";
    Problem::new(ProblemType::Unavailable, detail).retry_after(1).into()
}

/// The answer to a request whose handler panicked.
pub(super) fn failed() -> ProblemResponse {
    let detail = "The request failed; the cause is logged. It may be sent again";
    Problem::new(ProblemType::Internal, detail).into()
}
