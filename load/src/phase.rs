//! A phase of a run, and the arithmetic of its arrivals.

use std::fmt;
use std::time::Duration;

/// A part of a run.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) length: Duration,
    pub(crate) rate: Rate,
    /// Not counted in estimates.
    pub(crate) warm_up: bool,
}

/// How fast requests arrive.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Rate {
    /// Requests a second, from the phase's beginning to its end.
    Ramp { from: f64, to: f64 },
    /// Closed loop: each connection asks again as soon as it has its answer.
    Closed,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ramp { from, to } if from == to => write!(f, "{from}/s"),
            Self::Ramp { from, to } => write!(f, "{from} to {to}/s"),
            Self::Closed => f.write_str("max"),
        }
    }
}

impl Phase {
    /// Arrivals in the whole phase; `None` in a closed loop.
    pub(crate) fn arrivals(&self) -> Option<f64> {
        match self.rate {
            Rate::Ramp { from, to } => Some((from + to) / 2.0 * self.length.as_secs_f64()),
            Rate::Closed => None,
        }
    }

    /// The moment, from the phase's beginning, at which `n` requests have arrived: the rate, integrated and solved for
    /// the time. `n` is below [`Self::arrivals`].
    pub(crate) fn moment(&self, n: f64) -> Duration {
        let Rate::Ramp { from, to } = self.rate else { return Duration::ZERO };
        let slope = (to - from) / self.length.as_secs_f64();
        // from·t + slope·t²/2 = n; this form of the solution has no difference of equals.
        let root = slope.mul_add(2.0 * n, from * from).max(0.0).sqrt();
        let seconds = if n > 0.0 { 2.0 * n / (from + root) } else { 0.0 };
        Duration::from_secs_f64(seconds.min(self.length.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(from: f64, to: f64, seconds: u64) -> Phase {
        let rate = Rate::Ramp { from, to };
        Phase { name: String::new(), length: Duration::from_secs(seconds), rate, warm_up: false }
    }

    #[test]
    fn a_steady_phase_has_even_arrivals() {
        let steady = phase(100.0, 100.0, 10);
        assert_eq!(steady.arrivals(), Some(1_000.0));
        assert_eq!(steady.moment(0.0), Duration::ZERO);
        assert_eq!(steady.moment(1.0), Duration::from_millis(10));
        assert_eq!(steady.moment(999.0), Duration::from_millis(9_990));
    }

    #[test]
    fn a_ramp_has_as_many_arrivals_by_each_moment_as_its_rate_integrates_to() {
        for (from, to) in [(0.0, 200.0), (200.0, 0.0), (50.0, 500.0), (100.0, 100.000_1)] {
            let ramp = phase(from, to, 10);
            let arrivals = ramp.arrivals().unwrap();
            for n in 0..arrivals as u32 {
                let n = f64::from(n);
                let t = ramp.moment(n).as_secs_f64();
                let integral = from * t + (to - from) / 10.0 * t * t / 2.0;
                assert!((integral - n).abs() < 1e-3, "{from} to {to}: {integral} arrivals at {t}, not {n}");
            }
        }
    }
}
