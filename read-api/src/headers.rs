//! Header fields that describe an answer of the cache; values that change with time are made once, not per request.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use axum::http::header::{AGE, CACHE_CONTROL, CACHE_STATUS, VARY};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use yima_schema::time::Time;
use yima_service::http::Fields;
use yima_service::rate_limit::{RateLimiter, Remaining};

use crate::cache::{Answer, Outcome, ViewCache};

/// The `as_of` of an answer, RFC 3339.
const YIMA_AS_OF: HeaderName = HeaderName::from_static("yima-as-of");
/// The other regions, each with the moment before which everything acknowledged there is in the answer.
const YIMA_REGIONS_AS_OF: HeaderName = HeaderName::from_static("yima-regions-as-of");
/// The regions of them that have not been heard for longer than `max_region_lag_s`, if there is any: their newest
/// events may be missing. A list of tokens (RFC 9651 section 3.1).
const YIMA_SILENT_REGIONS: HeaderName = HeaderName::from_static("yima-silent-regions");
/// Seconds after which a page should poll again.
pub const YIMA_REFRESH_AFTER: HeaderName = HeaderName::from_static("yima-refresh-after");

/// For one client only, which has to revalidate it each time (RFC 9111 sections 5.2.2.7 and 5.2.2.4).
pub const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The last value of `Yima-As-Of`: nearly all answers between two polls share it.
pub struct AsOfHeader(ArcSwap<(Time, HeaderValue)>);

impl Default for AsOfHeader {
    fn default() -> Self {
        Self(ArcSwap::from_pointee((Time::MIN, as_of_value(Time::MIN))))
    }
}

impl AsOfHeader {
    fn value(&self, as_of: Time) -> HeaderValue {
        let last = self.0.load();
        if last.0 == as_of {
            return last.1.clone();
        }
        let value = as_of_value(as_of);
        if as_of > last.0 {
            self.0.store(Arc::new((as_of, value.clone())));
        }
        value
    }

    /// Adds the fields that describe an answer to its response.
    pub fn describe(&self, views: &ViewCache, answer: &Answer, now: Time, fields: &mut impl Fields) {
        self.describe_age(views, answer, now, fields);
        fields.insert(CACHE_STATUS, cache_status(answer));
    }

    /// The same without `Cache-Status`.
    pub fn describe_age(&self, views: &ViewCache, answer: &Answer, now: Time, fields: &mut impl Fields) {
        fields.insert(CACHE_CONTROL, PRIVATE);
        fields.insert(VARY, HeaderValue::from_static("authorization, yima-for"));
        fields.insert(AGE, age(now.since(answer.as_of).as_secs()));
        fields.insert(YIMA_AS_OF, self.value(answer.as_of));
        if let Some(regions) = &views.regions().header {
            fields.insert(YIMA_REGIONS_AS_OF, regions.clone());
            let silent = views.silent_regions(now);
            if !silent.is_empty() {
                let silent = HeaderValue::try_from(silent.join(", ")).expect("names of regions are visible ASCII");
                fields.insert(YIMA_SILENT_REGIONS, silent);
            }
        }
    }
}

fn as_of_value(as_of: Time) -> HeaderValue {
    HeaderValue::try_from(as_of.to_string()).expect("RFC 3339 is visible ASCII")
}

fn age(seconds: u64) -> HeaderValue {
    match seconds {
        0 => HeaderValue::from_static("0"),
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        more => more.into(),
    }
}

pub fn cache_status(answer: &Answer) -> HeaderValue {
    HeaderValue::from_static(match answer.outcome {
        Outcome::HitMemory => "yima; hit; detail=hit_memory",
        Outcome::HitDisk => "yima; hit; detail=hit_disk",
        Outcome::Negative => "yima; hit; detail=negative",
        Outcome::Stale => "yima; hit; ttl=-1; detail=stale",
        Outcome::Miss => "yima; fwd=miss; stored; detail=miss",
        Outcome::Coalesced => "yima; fwd=miss; collapsed; detail=coalesced",
        Outcome::Bypass => "yima; fwd=request; stored; detail=bypass",
        Outcome::Revalidated => "yima; fwd=stale; detail=revalidated",
        Outcome::Throttled => "yima; fwd=miss; detail=throttled",
        Outcome::Error => "yima; fwd=miss; detail=error",
    })
}

/// The same for a 304, without the detail of a hit.
pub fn brief_cache_status(answer: &Answer) -> HeaderValue {
    match answer.outcome {
        Outcome::HitMemory | Outcome::HitDisk | Outcome::Negative => HeaderValue::from_static("yima; hit"),
        Outcome::Stale => HeaderValue::from_static("yima; hit; ttl=-1"),
        Outcome::Miss
        | Outcome::Coalesced
        | Outcome::Bypass
        | Outcome::Revalidated
        | Outcome::Throttled
        | Outcome::Error => cache_status(answer),
    }
}

/// A number of seconds as a header value. Each display has one: those of a few minutes are made once.
pub fn whole_seconds(n: u32) -> HeaderValue {
    static MADE: LazyLock<Vec<HeaderValue>> =
        LazyLock::new(|| (0..300).map(|n: u32| HeaderValue::from_static(n.to_string().leak())).collect());
    MADE.get(n as usize).cloned().unwrap_or_else(|| n.into())
}

/// The answer of a route that only its sender may see: no cache keeps it, and it says what is left of a quota.
pub(crate) fn private(limit: &RateLimiter, remaining: Remaining, mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    limit.describe(remaining, response.headers_mut());
    response
}
