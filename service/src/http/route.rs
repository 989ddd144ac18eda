//! The metrics of a route: handles are made once and found again without allocation.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::Method;
use metrics::{Counter, Histogram};
use parking_lot::RwLock;

use crate::levels::Class;

/// Label of requests that matched no route.
pub(super) const UNMATCHED: &str = "unmatched";
/// The client left before its answer: not a status of HTTP, but the usual number in metrics.
pub(super) const CLIENT_GONE: u16 = 499;

/// The methods with a label of their own; any other counts as `other`, since a client can invent any number of them.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];
/// The statuses with a handle of their own, the most frequent first; the handle of any other is looked up each time.
const STATUSES: [u16; 22] = [
    200,
    304,
    429,
    503,
    401,
    202,
    400,
    403,
    404,
    405,
    408,
    409,
    413,
    415,
    CLIENT_GONE,
    500,
    201,
    204,
    207,
    301,
    302,
    502,
];

/// Statuses that alerts watch. They exist from a route's first request on, or the first of them would be no increase.
const WATCHED: [u16; 3] = [429, 500, 503];

/// A route of one service. Lives as long as the process, like the metrics behind it.
pub(super) struct Route {
    service: &'static str,
    class_of: ClassOf,
    pub(super) path: Box<str>,
    methods: [OnceLock<Series>; METHODS.len()],
}

/// The class of a method and a route's pattern.
pub type ClassOf = fn(&str, &str) -> Class;

/// The metrics of a route and method.
pub(super) struct Series {
    /// Who is refused first.
    pub(super) class: Class,
    service: &'static str,
    route: &'static str,
    pub(super) method: &'static str,
    seconds: Histogram,
    statuses: [OnceLock<Counter>; STATUSES.len()],
}

/// All routes with a request so far. There are no more than in the routers, so leaking them is bounded.
pub(super) struct Routes {
    service: &'static str,
    class_of: ClassOf,
    pub(super) unmatched: &'static Route,
    by_path: RwLock<HashMap<Box<str>, &'static Route>>,
}

impl Routes {
    pub(super) fn new(service: &'static str, class_of: ClassOf) -> Self {
        Self { service, class_of, unmatched: Route::leak(service, class_of, UNMATCHED), by_path: RwLock::default() }
    }

    /// `path` is a route's pattern, never a request's path.
    pub(super) fn get(&self, path: &str) -> &'static Route {
        if let Some(route) = self.by_path.read().get(path) {
            return route;
        }
        self.by_path.write().entry(path.into()).or_insert_with(|| Route::leak(self.service, self.class_of, path))
    }
}

impl Route {
    fn leak(service: &'static str, class_of: ClassOf, path: &str) -> &'static Self {
        Box::leak(Box::new(Self { service, class_of, path: path.into(), methods: Default::default() }))
    }

    pub(super) fn series(&'static self, method: &Method) -> &'static Series {
        let at = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        self.methods[at].get_or_init(|| {
            let (service, route, method) = (self.service, &*self.path, METHODS[at]);
            let labels = [("service", service), ("method", method), ("route", route)];
            let seconds = metrics::histogram!("http_request_duration_seconds", &labels);
            let class = (self.class_of)(method, route);
            let series = Series { class, service, route, method, seconds, statuses: Default::default() };
            WATCHED.iter().for_each(|status| series.count(*status, 0));
            series
        })
    }
}

impl Series {
    pub(super) fn record(&self, status: u16, elapsed: Duration) {
        self.seconds.record(elapsed);
        self.count(status, 1);
    }

    fn count(&self, status: u16, requests: u64) {
        match STATUSES.iter().position(|known| *known == status) {
            Some(at) => self.statuses[at].get_or_init(|| self.counter(status)).increment(requests),
            None => self.counter(status).increment(requests),
        }
    }

    fn counter(&self, status: u16) -> Counter {
        let labels = [
            ("service", self.service.to_owned()),
            ("method", self.method.to_owned()),
            ("route", self.route.to_owned()),
            ("status", status.to_string()),
        ];
        metrics::counter!("http_requests_total", &labels)
    }
}
