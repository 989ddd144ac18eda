//! The middleware's own problems: refusals of an overloaded port, each of which takes about a microsecond, and answers
//! in place of those that did not come.

use yima_schema::problem::{Problem, ProblemType};

use super::ProblemResponse;
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
    const REASONS: [&str; 2] = ["level", "in_flight"];

    fn reason(self) -> &'static str {
        let [level, in_flight] = Self::REASONS;
        match self {
            Self::Level => level,
            Self::Full => in_flight,
        }
    }

    fn counter(service: &'static str, class: Class, reason: &'static str) -> metrics::Counter {
        let labels = [("service", service), ("class", class.name()), ("reason", reason)];
        metrics::counter!("http_requests_refused_total", &labels)
    }

    /// Exports each counter as 0, so that a rate shows the first refusal too.
    pub(super) fn register(service: &'static str) {
        for class in Class::ALL {
            Self::REASONS.iter().for_each(|reason| Self::counter(service, class, reason).increment(0));
        }
    }

    pub(super) fn count(self, service: &'static str, class: Class) {
        Self::counter(service, class, self.reason()).increment(1);
    }

    /// The answer, with a time at which to come again: those who were refused together do not return together.
    pub(super) fn problem(self, class: Class) -> ProblemResponse {
        let (detail, retry_after) = match self {
            Self::Level => {
                let after = class.return_after_s();
                ("The service is too busy for this now; try again later", after + rand::random_range(0..=after))
            }
            Self::Full => ("Too many requests are in flight; try again shortly", 1),
        };
        Problem::new(ProblemType::Unavailable, detail).retry_after(retry_after).into()
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
