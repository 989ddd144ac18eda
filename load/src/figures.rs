//! What is counted during a run, by phase and class. Each thread has figures of its own; they are added at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::class::Class;

/// Why a request has no answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Failure {
    /// No connection was made.
    Connect,
    /// The connection ended before the answer.
    Closed,
    /// No whole answer came in time.
    TimedOut,
    /// No connection was free in time, or too many requests waited for one.
    Unsent,
    /// The answer is no HTTP, or bytes came that nothing asked for.
    Malformed,
    /// A scan without a fresh code to scan.
    NoCode,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Closed, Self::TimedOut, Self::Unsent, Self::Malformed, Self::NoCode];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "not connected",
            Self::Closed => "connection closed",
            Self::TimedOut => "timed out",
            Self::Unsent => "not sent",
            Self::Malformed => "malformed",
            Self::NoCode => "no code",
        }
    }
}

/// No run is longer, and so no time.
const LONGEST: Duration = Duration::from_secs(2 * 86_400);

/// Times in microseconds, to three digits.
#[derive(Clone)]
pub(crate) struct Times(pub(crate) Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are a precision"))
    }
}

impl Times {
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = time.min(LONGEST).as_micros() as u64;
        // `saturating_record` would not grow it, and so cut the slowest.
        self.0.record(micros.max(1)).expect("it grows as needed");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("it grows as needed");
    }

    /// The times that a client would have seen who asks every `interval`, whatever answers: of a closed loop, whose
    /// clients ask nothing while they wait (coordinated omission).
    pub(crate) fn corrected(&self, interval: Duration) -> Self {
        Self(self.0.clone_correct(u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1)))
    }
}

/// The figures of one class in one phase.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    /// Arrivals.
    pub(crate) wanted: u64,
    pub(crate) sent: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) failures: BTreeMap<Failure, u64>,
    /// From the intended moment to the whole answer, of what was admitted: 2xx and 304.
    pub(crate) admitted: Times,
    /// The same, of every other answer.
    pub(crate) refused: Times,
    /// From the intended moment to giving up.
    pub(crate) failed: Times,
    /// From sending to the whole answer: what a generator would report that waits for its turn.
    pub(crate) from_sending: Times,
    /// From the intended moment to sending.
    pub(crate) late: Times,
    pub(crate) bytes_received: u64,
}

impl Figures {
    /// An answer arrived.
    pub(crate) fn answered(&mut self, status: u16, since_intended: Duration, since_sent: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        let times = if is_admitted(status) { &mut self.admitted } else { &mut self.refused };
        times.record(since_intended);
        self.from_sending.record(since_sent);
    }

    pub(crate) fn failed(&mut self, failure: Failure, since_intended: Duration) {
        *self.failures.entry(failure).or_default() += 1;
        self.failed.record(since_intended);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.sent += other.sent;
        self.bytes_received += other.bytes_received;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
        for (ours, theirs) in [
            (&mut self.admitted, &other.admitted),
            (&mut self.refused, &other.refused),
            (&mut self.failed, &other.failed),
            (&mut self.from_sending, &other.from_sending),
            (&mut self.late, &other.late),
        ] {
            ours.add(theirs);
        }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// All requests: a request without an answer counts with the time after which the client gave up.
    pub(crate) fn all(&self) -> Times {
        let mut all = self.admitted.clone();
        all.add(&self.refused);
        all.add(&self.failed);
        all
    }
}

/// Whether an answer gave what was asked for.
pub(crate) fn is_admitted(status: u16) -> bool {
    (200..300).contains(&status) || status == 304
}

/// The figures of one thread, by phase and class; a class without a request has none.
#[derive(Default)]
pub(crate) struct Record(pub(crate) Vec<[Option<Box<Figures>>; Class::ALL.len()]>);

impl Record {
    pub(crate) fn of(&mut self, phase: usize, class: Class) -> &mut Figures {
        if self.0.len() <= phase {
            self.0.resize_with(phase + 1, Default::default);
        }
        self.0[phase][class as usize].get_or_insert_default()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (phase, classes) in other.0.iter().enumerate() {
            for (class, figures) in Class::ALL.into_iter().zip(classes) {
                if let Some(figures) = figures {
                    self.of(phase, class).add(figures);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stall_counts_for_everyone_who_would_have_asked_meanwhile() {
        // One request a millisecond; the server answers at once but for a stall of a second.
        let mut figures = Figures::default();
        for n in 0..9_000 {
            figures.answered(200, MS / 10, MS / 10);
            // During the stall requests are intended and wait; those sent after it take as long as ever.
            if n == 4_500 {
                (0..1_000).for_each(|waited| figures.answered(200, MS * (1_000 - waited), MS / 10));
            }
        }
        let p99 = |times: &Times| times.0.value_at_quantile(0.99);
        assert!((890_000..910_000).contains(&p99(&figures.admitted)), "{}", p99(&figures.admitted));
        assert_eq!(p99(&figures.from_sending), 100);
        // A closed loop has a single slow request; the correction makes of it what an open loop counts.
        let mut closed = Times::default();
        (0..9_000).for_each(|_| closed.record(MS / 10));
        closed.record(MS * 1_000);
        assert_eq!(p99(&closed), 100);
        let corrected = p99(&closed.corrected(MS));
        assert!((890_000..910_000).contains(&corrected), "{corrected}");
    }

    #[test]
    fn figures_of_threads_add_up_and_no_failure_is_left_out_of_the_times() {
        let (mut one, mut other) = (Record::default(), Record::default());
        one.of(0, Class::Display).answered(200, MS, MS);
        other.of(1, Class::Scan).answered(503, MS * 2, MS);
        other.of(0, Class::Display).failed(Failure::TimedOut, MS * 10_000);
        one.add(&other);
        let displays = one.of(0, Class::Display).clone();
        assert_eq!((displays.answers(), displays.failures[&Failure::TimedOut]), (1, 1));
        assert_eq!((displays.all().0.len(), displays.all().0.max() / 1_000), (2, 10_002));
        assert_eq!(one.of(1, Class::Scan).refused.0.len(), 1);
        assert!(one.0[1][Class::Display as usize].is_none());
    }
}
