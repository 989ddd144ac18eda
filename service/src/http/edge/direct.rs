//! What the middleware does, for answers that are given without hyper.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::http::{HeaderMap, Method, StatusCode};
use tracing::Span;

use super::layer::{Shared, describe, level_field};
use crate::http::direct::{Answer, Direct};
use crate::http::known::Known;
use crate::http::refusal::Refusal;
use crate::http::route::Route;

/// What the middleware does, for answers that are given without hyper.
pub(super) struct DirectEdge<F> {
    pub(super) shared: &'static Shared,
    pub(super) route: &'static Route,
    pub(super) handler: F,
}

/// What a handler has done with a request.
pub enum Handled {
    /// It has written the whole answer.
    Answered(StatusCode),
    /// Nothing yet: the answer has to be waited for.
    Waits,
    /// Nothing: the request is not of the usual kind.
    Left,
}

impl<F> Direct for DirectEdge<F>
where
    F: Fn(&Known<'_>, &mut Answer) -> Handled + Send + Sync,
{
    fn answer(&self, request: &Known<'_>, answer: &mut Answer) -> bool {
        if *request.path != *self.route.path {
            return false;
        }
        let started = Instant::now();
        let series = self.route.series(&Method::GET);
        let level = self.shared.level();
        answer.level = level_field(level);
        let (status, span) = if series.class.is_refused_at(level) {
            if request.may_want_page {
                return false;
            }
            (answer.refuse(self.shared.refusals.refuse_prepared(series.class, Refusal::Level)), None)
        } else {
            let span = self.shared.span(&HeaderMap::new(), self.route, series, answer.id());
            let entered = span.as_ref().map(Span::enter);
            // Unwind safe: a half-made answer is dropped. The other way logs the panic when it happens again.
            let handled = catch_unwind(AssertUnwindSafe(|| (self.handler)(request, answer)));
            drop(entered);
            match handled {
                Ok(Handled::Answered(status)) => (status, span),
                // The other way would refuse it too, after making hyper.
                Ok(Handled::Waits) if !request.may_want_page && !self.shared.in_flight.has_room_for(series.class) => {
                    (answer.refuse(self.shared.refusals.refuse_prepared(series.class, Refusal::Full)), span)
                }
                Ok(Handled::Waits | Handled::Left) | Err(_) => return false,
            }
        };
        let (status, elapsed) = (status.as_u16(), started.elapsed());
        series.record(status, elapsed);
        if let Some(span) = span {
            describe(&span, status, answer.cache_status.as_ref());
        }
        self.shared.log(self.route, series.method, status, elapsed, answer.id());
        true
    }
}
