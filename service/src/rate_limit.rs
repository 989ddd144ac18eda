//! Rate limits: GCRA per key, and the header fields that report the remaining quota to the client.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, QuantaClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{InsufficientCapacity, Quota};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::problem::{Problem, ProblemType};

use crate::config;
use crate::http::{Fields, ProblemResponse};

/// `RateLimit` (draft-ietf-httpapi-ratelimit-headers, section 4).
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy` (the same, section 3).
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Most values of `RateLimit` that are prepared; a larger burst is reported in steps, rounded down.
const PREPARED_VALUES: u32 = 256;

/// Quota of one key of a limit. A key seen within about a minute takes about 40 bytes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>, extend("x-rate" = true))]
pub struct RateConfig {
    /// Requests, or rows, per window.
    pub requests: NonZeroU32,
    /// Length of the window; at least 1 is used.
    #[serde(rename = "window_s", with = "config::S")]
    pub window: Duration,
    /// Requests, or rows, that pass at once after a rest. Default: `requests`, unless the limit has one of its own.
    pub burst: Option<NonZeroU32>,
}

impl RateConfig {
    /// `requests` per `window`, all of them at once after a rest.
    ///
    /// # Panics
    /// With 0 requests: these are constants of the program.
    pub fn new(requests: u32, window: Duration) -> Self {
        let requests = NonZeroU32::new(requests).expect("a quota has at least one request");
        Self { requests, window, burst: None }
    }

    /// Requests, or rows, a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.requests.get()) / self.window.max(Duration::from_secs(1)).as_secs_f64()
    }
}

impl Default for RateConfig {
    fn default() -> Self {
        Self::new(10, Duration::from_secs(1))
    }
}

/// Requests of a key that would pass at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remaining(pub u32);

/// A key is over its limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimitError {
    /// After this time the same request passes, if the key is not used in between.
    pub retry_after: Duration,
}

impl RateLimitError {
    /// `Retry-After`.
    fn seconds(self) -> u32 {
        u32::try_from(self.retry_after.as_millis().div_ceil(1000).max(1)).unwrap_or(u32::MAX)
    }
}

impl From<RateLimitError> for Problem {
    fn from(error: RateLimitError) -> Self {
        Self::new(
            ProblemType::TooManyRequests,
            "The rate limit is reached; wait as long as Retry-After says before the next request",
        )
        .retry_after(error.seconds())
    }
}

/// One limit over many keys. A key that was seen since the last [`Self::sweep`] takes about 40 bytes, so a million
/// sessions about 40 MB.
pub struct RateLimiter {
    cells: governor::RateLimiter<u64, DashMapStateStore<u64>, QuantaClock, StateInformationMiddleware>,
    clock: QuantaClock,
    /// Time after which one more request passes.
    interval: Duration,
    burst: NonZeroU32,
    name: &'static str,
    policy: HeaderValue,
    /// `RateLimit` for 0, `step`, 2 × `step` … remaining.
    remaining: Box<[HeaderValue]>,
    step: u32,
    names: RandomState,
    /// Until when the quota of [`Self::take_shared`] is known to be spent, in nanoseconds since `epoch`.
    spent_until: AtomicU64,
    epoch: Instant,
}

impl RateLimiter {
    /// `name` is the policy's name in header fields: a short word without quotes.
    ///
    /// # Panics
    /// When `name` is no header value: it is a constant of the program.
    pub fn new(name: &'static str, config: &RateConfig) -> Self {
        let burst = config.burst.unwrap_or(config.requests);
        let window = config.window.max(Duration::from_secs(1));
        let interval = (window / config.requests.get()).max(Duration::from_nanos(1));
        // Never the default: `interval` is above zero.
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(config.requests)).allow_burst(burst);
        let clock = QuantaClock::default();
        let cells = governor::RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware();
        let value = |text: String| HeaderValue::try_from(text).expect("a policy's name is visible ASCII");
        let step = burst.get().div_ceil(PREPARED_VALUES);
        let remaining = (0..=burst.get() / step).map(|steps| {
            let remaining = steps * step;
            let until_full_s = (interval * (burst.get() - remaining)).as_secs_f64().ceil();
            value(format!("\"{name}\";r={remaining};t={until_full_s}"))
        });
        // What passes at once, and the time in which as much comes again: the rate of `requests` per `window`, in the
        // unit of `r`.
        let until_full_s = (interval * burst.get()).as_secs_f64().round().max(1.0);
        Self {
            remaining: remaining.collect(),
            name,
            policy: value(format!("\"{name}\";q={burst};w={until_full_s}")),
            cells,
            clock,
            interval,
            burst,
            step,
            names: RandomState::new(),
            spent_until: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    /// Takes `cost` from the quota of `key`. A cost of 0 counts as 1, and a cost above the burst as the whole burst, or
    /// it could never pass.
    ///
    /// # Errors
    /// The quota has less left; nothing was taken.
    pub fn check(&self, key: u64, cost: u32) -> Result<Remaining, RateLimitError> {
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN).min(self.burst);
        match self.cells.check_key_n(&key, cost) {
            Ok(Ok(state)) => Ok(Remaining(state.remaining_burst_capacity())),
            Ok(Err(until)) => Err(RateLimitError { retry_after: until.wait_time_from(self.clock.now()) }),
            // Impossible: the cost is at most the burst.
            Err(InsufficientCapacity(_)) => Err(RateLimitError { retry_after: Duration::from_secs(1) }),
        }
    }

    /// Takes the rest of a `cost` of which 1 was taken before, when `remaining` was left: both together take as much as
    /// [`Self::check`].
    ///
    /// # Errors
    /// The quota has less left; the 1 stays taken.
    pub fn check_rest(&self, key: u64, cost: u32, remaining: Remaining) -> Result<Remaining, RateLimitError> {
        match cost.min(self.burst.get()).saturating_sub(1) {
            0 => Ok(remaining),
            // The next attempt takes the 1 again.
            rest => {
                self.check(key, rest).map_err(|error| RateLimitError { retry_after: error.retry_after + self.interval })
            }
        }
    }

    /// [`Self::check`], with the refusal as a whole answer.
    ///
    /// # Errors
    /// 429.
    pub fn take(&self, key: u64, cost: u32) -> Result<Remaining, ProblemResponse> {
        self.check(key, cost).map_err(|error| self.refusal(error))
    }

    /// [`Self::take`] of 1 from one quota of all clients together.
    ///
    /// # Errors
    /// 429.
    pub fn take_shared(&self) -> Result<Remaining, ProblemResponse> {
        self.check(0, 1).map_err(|error| {
            self.spent_until.store(nanos(self.epoch.elapsed() + error.retry_after), Ordering::Relaxed);
            self.refusal(error)
        })
    }

    /// Whether the quota of all clients together was spent by the last [`Self::take_shared`], and has nothing again.
    pub fn is_spent(&self) -> bool {
        nanos(self.epoch.elapsed()) < self.spent_until.load(Ordering::Relaxed)
    }

    /// The answer to a client over its limit: `RateLimit` and `Retry-After` name the same moment.
    pub fn refusal(&self, error: RateLimitError) -> ProblemResponse {
        let mut fields = HeaderMap::new();
        // `t` is the moment of `Retry-After`, not of the whole quota as in `describe`.
        let limit = format!("\"{}\";r=0;t={}", self.name, error.seconds());
        fields.append(RATE_LIMIT, HeaderValue::try_from(limit).expect("a policy's name is visible ASCII"));
        fields.append(RATE_LIMIT_POLICY, self.policy.clone());
        ProblemResponse::new(error.into(), fields)
    }

    /// The key of a name (an agency, a checkpoint): a random hash per limiter, so that no client can search for two
    /// names that collide.
    pub fn key(&self, name: &str) -> u64 {
        self.names.hash_one(name)
    }

    /// Adds `RateLimit` and `RateLimit-Policy` to an answer, beside those of other limits. The values are prepared:
    /// nothing is formatted.
    pub fn describe(&self, remaining: Remaining, fields: &mut impl Fields) {
        let at = usize::try_from(remaining.0 / self.step).unwrap_or(usize::MAX).min(self.remaining.len() - 1);
        fields.append(RATE_LIMIT, self.remaining[at].clone());
        fields.append(RATE_LIMIT_POLICY, self.policy.clone());
    }

    /// Whether less than half of the quota is left: then the answer should report it.
    pub fn is_low(&self, remaining: Remaining) -> bool {
        remaining.0 < self.burst.get() / 2
    }

    /// Forgets the keys that have their whole quota again, which changes no answer. To be called about once a minute.
    pub fn sweep(&self) {
        self.cells.retain_recent();
        self.cells.shrink_to_fit();
    }

    /// Number of keys in memory.
    pub fn keys(&self) -> usize {
        self.cells.len()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_key_over_its_burst_is_refused_and_other_keys_are_not() {
        let limiter = RateLimiter::new("code", &RateConfig::new(6, Duration::from_secs(60)));
        let remaining: Vec<_> = (0..6).map(|_| limiter.check(1, 1).unwrap().0).collect();
        assert_eq!(remaining, [5, 4, 3, 2, 1, 0]);
        let error = limiter.check(1, 1).unwrap_err();
        assert!(error.retry_after > Duration::from_secs(8) && error.retry_after <= Duration::from_secs(10));
        assert_eq!(Problem::from(error).retry_after_s, Some(10));
        assert_eq!(limiter.check(2, 4), Ok(Remaining(2)));
        assert!(limiter.check(2, 3).is_err());
        assert_eq!(limiter.keys(), 2);
    }

    #[test]
    fn a_cost_above_the_burst_passes_with_the_whole_quota() {
        let limiter = RateLimiter::new("events", &RateConfig::new(100, Duration::from_secs(60)));
        assert_eq!(limiter.check(1, 5_000), Ok(Remaining(0)));
        assert!(limiter.check(1, 1).is_err());
    }

    #[test]
    fn a_cost_in_two_parts_takes_the_same_and_passes_after_the_stated_time() {
        let limiter = RateLimiter::new("events", &RateConfig::new(6, Duration::from_secs(60)));
        let remaining = limiter.check(1, 1).unwrap();
        assert_eq!(limiter.check_rest(1, 1, remaining), Ok(Remaining(5)));
        assert_eq!(limiter.check_rest(1, 3, remaining), Ok(Remaining(3)));
        let remaining = limiter.check(2, 1).unwrap();
        assert_eq!(limiter.check_rest(2, 5_000, remaining), Ok(Remaining(0)), "above the burst");
        limiter.check(3, 4).unwrap();
        let remaining = limiter.check(3, 1).unwrap();
        // One is left. The next comes in 10 s; one for the part that is taken first comes in 20 s.
        let error = limiter.check_rest(3, 3, remaining).unwrap_err();
        assert!(error.retry_after > Duration::from_secs(18) && error.retry_after <= Duration::from_secs(20));
    }

    #[test]
    fn header_fields_report_the_remaining_quota() {
        let fields = |limiter: &RateLimiter, remaining| {
            let mut headers = HeaderMap::new();
            limiter.describe(Remaining(remaining), &mut headers);
            [RATE_LIMIT, RATE_LIMIT_POLICY].map(|name| headers[name].to_str().unwrap().to_owned())
        };
        let display = RateLimiter::new("display", &RateConfig::default());
        assert_eq!(fields(&display, 9), ["\"display\";r=9;t=1", "\"display\";q=10;w=1"]);
        assert_eq!(fields(&display, 10)[0], "\"display\";r=10;t=0");
        let events = RateLimiter::new("events", &RateConfig::new(20_000, Duration::from_secs(1)));
        assert!(events.remaining.len() <= 300);
        assert_eq!(fields(&events, 20_000)[0], "\"events\";r=19987;t=1");
        assert_eq!(fields(&events, 78)[0], "\"events\";r=0;t=1");
    }

    #[test]
    fn a_refusal_names_one_moment() {
        for config in [RateConfig::new(6, Duration::from_secs(60)), RateConfig::new(50, Duration::from_secs(1))] {
            let limiter = RateLimiter::new("code", &config);
            limiter.check(1, 1_000).unwrap();
            let answer = limiter.take(1, 2).unwrap_err().into_response();
            let [retry_after, limit] =
                ["retry-after", "ratelimit"].map(|name| answer.headers()[name].to_str().unwrap());
            assert_eq!(limit, format!("\"code\";r=0;t={retry_after}"));
        }
    }

    #[test]
    fn the_rest_is_never_above_the_quota() {
        for (requests, window, burst, policy) in [
            (50, 1, 100, "q=100;w=2"),
            (50, 1, 10, "q=10;w=1"),
            (6, 60, 12, "q=12;w=120"),
            (7, 60, 7, "q=7;w=60"),
            (20_000, 1, 90_000, "q=90000;w=5"),
        ] {
            let burst = NonZeroU32::new(burst);
            let config = RateConfig { burst, ..RateConfig::new(requests, Duration::from_secs(window)) };
            let limiter = RateLimiter::new("scan", &config);
            assert_eq!(limiter.policy, format!("\"scan\";{policy}"));
            let remaining = limiter.check(1, 1).unwrap();
            assert!(remaining.0 < burst.unwrap().get());
        }
    }

    #[test]
    fn a_name_always_has_the_same_key() {
        let limiter = RateLimiter::new("scan", &RateConfig::default());
        assert_eq!(limiter.key("gate-1"), limiter.key("gate-1"));
        assert_ne!(limiter.key("gate-1"), limiter.key("gate-2"));
    }
}
