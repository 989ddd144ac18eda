//! The level in force: automatic by what is measured, or set by an operator for a limited time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use yima_schema::limits::MAX_WHY_CHARS;
use yima_schema::time::Time;

use super::{Ladder, Level, Measured, Pace};
use crate::config;
use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;
use crate::utilization::Utilization;

/// Between two looks at what is measured.
const STEP_EVERY: Duration = Duration::from_millis(100);
/// Longest time for which a level is set by hand.
const MAX_LENGTH: Duration = Duration::from_secs(72 * 3_600);

/// [Levels of degradation](levels.md): what a busy node leaves out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct LevelsConfig {
    /// Whether the level follows utilization and queueing delay. Without, it is 0 unless it is [set by
    /// hand](levels.md#by-hand).
    pub automatic: bool,
    /// A level is entered when it was called for all this time.
    #[serde(rename = "rise_after_ms", with = "config::Ms")]
    pub rise_after: Duration,
    /// A level is left when the node was calm enough all this time; the next one after as long again.
    #[serde(rename = "fall_after_ms", with = "config::Ms")]
    pub fall_after: Duration,
}

impl Default for LevelsConfig {
    fn default() -> Self {
        Self { automatic: true, rise_after: Duration::from_secs(1), fall_after: Duration::from_secs(10) }
    }
}

/// A level that an operator has set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByHand {
    /// The level.
    pub level: Level,
    /// When it is automatic again. Whole seconds.
    pub until: Time,
    /// Why, for people.
    pub why: String,
    /// The same end by the clock that nobody sets.
    ends_at: Instant,
}

/// A level cannot be set like this; the text says what was expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ByHandError {
    /// The level.
    #[error("level: expected 0 to 8")]
    Level,
    /// For how long.
    #[error("for: expected 1 s to 72 h")]
    Length,
    /// Why.
    #[error("why: expected 1 to {MAX_WHY_CHARS} characters")]
    Why,
}

impl ByHand {
    /// One that begins now.
    ///
    /// # Errors
    /// The first value that is out of its limits.
    pub fn new(level: u8, length: Duration, why: &str, now: Time) -> Result<Self, ByHandError> {
        let level = Level::of(level).ok_or(ByHandError::Level)?;
        if length < Duration::from_secs(1) || length > MAX_LENGTH {
            return Err(ByHandError::Length);
        }
        let why = why.trim();
        if why.is_empty() || why.chars().count() > MAX_WHY_CHARS || why.chars().any(char::is_control) {
            return Err(ByHandError::Why);
        }
        let until = Time::from_secs(now.plus(length).as_secs());
        Ok(Self { level, until, why: why.to_owned(), ends_at: Instant::now() + length })
    }
}

/// The level of a process.
pub struct Levels {
    /// The level in force, which every request reads.
    in_force: AtomicU8,
    state: Mutex<State>,
}

struct State {
    /// `None`: the level is only set by hand.
    ladder: Option<Ladder>,
    by_hand: Option<ByHand>,
}

impl State {
    fn automatic(&self) -> Level {
        self.ladder.as_ref().map_or(Level::Normal, Ladder::level)
    }
}

impl Levels {
    /// At level 0.
    pub fn new(config: &LevelsConfig) -> Arc<Self> {
        let pace = Pace { rise_after: config.rise_after, fall_after: config.fall_after };
        let ladder = config.automatic.then(|| Ladder::new(pace));
        Arc::new(Self { in_force: AtomicU8::new(0), state: Mutex::new(State { ladder, by_hand: None }) })
    }

    /// The level in force.
    pub fn in_force(&self) -> Level {
        // Only numbers of levels are stored.
        Level::of(self.in_force.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// The level that would be in force without the one that an operator has set, and that one.
    pub fn parts(&self) -> (Level, Option<ByHand>) {
        let state = self.state.lock();
        (state.automatic(), state.by_hand.clone())
    }

    /// Sets a level until its end, whatever is measured; `None`: it is automatic again.
    pub fn set(&self, by_hand: Option<ByHand>) {
        let mut state = self.state.lock();
        state.by_hand = by_hand;
        self.put_in_force(&state);
    }

    /// Takes a measurement. To be called every tenth of a second.
    pub fn step(&self, measured: Measured) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        if let Some(ladder) = &mut state.ladder {
            ladder.step(measured, now);
        }
        if state.by_hand.as_ref().is_some_and(|by_hand| by_hand.ends_at <= now) {
            state.by_hand = None;
        }
        self.put_in_force(&state);
    }

    fn put_in_force(&self, state: &State) {
        let level = state.by_hand.as_ref().map_or_else(|| state.automatic(), |by_hand| by_hand.level);
        let before = Level::of(self.in_force.swap(level.number(), Ordering::Relaxed)).unwrap_or_default();
        if level == before {
            return;
        }
        let direction = if level > before { "up" } else { "down" };
        metrics::counter!("level_changes_total", "direction" => direction).increment(1);
        let (from, to, by_hand) = (before.number(), level.number(), state.by_hand.is_some());
        tracing::warn!(from, to, means = level.name(), by_hand, "the level of degradation has changed");
    }

    /// Follows what is measured until the soft stop, and exports the level.
    pub fn follow(self: &Arc<Self>, utilization: Arc<Utilization>, lifecycle: &Lifecycle, metrics: &Metrics) {
        for direction in ["up", "down"] {
            metrics::counter!("level_changes_total", "direction" => direction).increment(0);
        }
        let exported = self.clone();
        metrics.before_scrape(move || {
            metrics::gauge!("level").set(exported.in_force().number());
            metrics::gauge!("level_by_hand").set(u8::from(exported.parts().1.is_some()));
        });
        let levels = self.clone();
        lifecycle.spawn_until_stop("levels", async move {
            let mut ticks = tokio::time::interval(STEP_EVERY);
            loop {
                ticks.tick().await;
                levels.step(utilization.measured());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const FULL: Measured = Measured { busy: 1.0, queue_delay: Duration::from_secs(1) };
    const IDLE: Measured = Measured { busy: 0.0, queue_delay: Duration::ZERO };

    /// Measures the same for some seconds.
    async fn measure(levels: &Levels, measured: Measured, seconds: u32) {
        for _ in 0..seconds * 10 {
            levels.step(measured);
            tokio::time::advance(STEP_EVERY).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_set_by_hand_counts_whatever_is_measured_until_its_end() {
        let levels = Levels::new(&LevelsConfig::default());
        measure(&levels, FULL, 2).await;
        assert_eq!(levels.in_force(), Level::Tests);
        levels.set(Some(ByHand::new(1, Duration::from_secs(60), "drill", Time::default()).unwrap()));
        assert_eq!(levels.in_force(), Level::LiveDisplays);
        measure(&levels, FULL, 50).await;
        assert_eq!(levels.in_force(), Level::LiveDisplays);
        measure(&levels, FULL, 11).await;
        assert_eq!((levels.in_force(), levels.parts().1), (Level::Tests, None));
        levels.set(Some(ByHand::new(8, HOUR, "drill", Time::default()).unwrap()));
        measure(&levels, IDLE, 100).await;
        assert_eq!((levels.in_force(), levels.parts().0), (Level::Displays, Level::Normal));
        levels.set(None);
        assert_eq!(levels.in_force(), Level::Normal);
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_that_is_not_automatic_stays_at_0() {
        let levels = Levels::new(&LevelsConfig { automatic: false, ..LevelsConfig::default() });
        measure(&levels, FULL, 10).await;
        assert_eq!(levels.in_force(), Level::Normal);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_set_within_limits() {
        let set = |level, length, why: &str| ByHand::new(level, length, why, Time::default());
        assert_eq!(set(9, HOUR, "w"), Err(ByHandError::Level));
        assert_eq!(set(8, Duration::from_millis(999), "w"), Err(ByHandError::Length));
        assert_eq!(set(8, HOUR * 72 + Duration::from_secs(1), "w"), Err(ByHandError::Length));
        for why in ["", " ", "a\nb", &"w".repeat(MAX_WHY_CHARS + 1)] {
            assert_eq!(set(8, HOUR, why), Err(ByHandError::Why));
        }
        let set = set(8, HOUR * 72, " w ").unwrap();
        assert_eq!((set.level, set.until, set.why.as_str()), (Level::Displays, Time::from_secs(259_200), "w"));
    }
}
