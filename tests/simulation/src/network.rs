//! The network between a process and the store: delays, lost and late messages, cuts; and processes that are paused or
//! killed. A killed process hears no more of anything that it sent.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use yima_store::{Result, StoreError};

use crate::chance;
use crate::clock::{ms, wait};

/// Database nodes, each with one replica of everything.
pub const REPLICAS: usize = 3;
/// How long a process waits for the answer to a request.
pub const TIMEOUT_MS: u64 = 1_000;

/// What the network and the disks do at present.
#[derive(Clone, Copy)]
pub struct Weather {
    /// A message takes up to so many milliseconds.
    pub delay_ms: u64,
    /// One message in so many is lost; 0: none.
    pub lost: u64,
    /// One in so many is late by up to 1.5 s; 0: none.
    pub late: u64,
    /// One compare-and-set in so many is proposed and not committed; 0: none.
    pub stuck: u64,
}

impl Weather {
    /// Nothing is lost or late.
    pub const CALM: Self = Self { delay_ms: 2, lost: 0, late: 0, stuck: 0 };
}

thread_local! {
    static WEATHER: Cell<Weather> = const { Cell::new(Weather::CALM) };
    /// Until when each database node is down.
    static DOWN: [Cell<u64>; REPLICAS] = const { [const { Cell::new(0) }; REPLICAS] };
    /// By how many milliseconds the clock of each database node is ahead.
    static AHEAD: [Cell<i64>; REPLICAS] = const { [const { Cell::new(0) }; REPLICAS] };
}

/// Begins a run, or ends every fault.
pub fn calm() {
    set_weather(Weather::CALM);
    for replica in 0..REPLICAS {
        set_down(replica, 0);
        set_replica_ahead(replica, 0);
    }
}

/// Changes the weather.
pub fn set_weather(weather: Weather) {
    WEATHER.set(weather);
}

/// The weather.
pub fn weather() -> Weather {
    WEATHER.get()
}

/// Takes a database node down until a moment of the run.
pub fn set_down(replica: usize, until_ms: u64) {
    DOWN.with(|down| down[replica].set(until_ms));
}

/// How long a database node is still down.
pub fn down_for(replica: usize) -> u64 {
    DOWN.with(|down| down[replica].get()).saturating_sub(ms())
}

/// Sets the clock of a database node.
pub fn set_replica_ahead(replica: usize, ms: i64) {
    AHEAD.with(|ahead| ahead[replica].set(ms));
}

/// By how many milliseconds the clock of a database node is ahead.
pub fn replica_ahead(replica: usize) -> i64 {
    AHEAD.with(|ahead| ahead[replica].get())
}

/// A process of yima, as the network and the operating system treat it.
#[derive(Default)]
pub struct Process {
    dead: AtomicBool,
    paused_until: AtomicU64,
    cut_until: AtomicU64,
}

impl Process {
    /// Kills it.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Stops it until a moment of the run (SIGSTOP, a long pause of the machine).
    pub fn pause(&self, until_ms: u64) {
        self.paused_until.store(until_ms, Ordering::Relaxed);
    }

    /// Cuts it off from the store until a moment of the run.
    pub fn cut(&self, until_ms: u64) {
        self.cut_until.store(until_ms, Ordering::Relaxed);
    }

    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        !self.is_dead() && self.paused_until.load(Ordering::Relaxed) <= ms()
    }

    /// Whether it runs and reaches the store.
    pub fn is_well(&self) -> bool {
        self.is_running() && !self.is_cut()
    }

    fn is_cut(&self) -> bool {
        self.cut_until.load(Ordering::Relaxed) > ms()
    }

    /// Waits while it is paused; for ever once it is killed.
    pub async fn runs(&self) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let paused = self.paused_until.load(Ordering::Relaxed).saturating_sub(ms());
            if paused == 0 {
                return;
            }
            wait(paused).await;
        }
    }

    /// Sends a request to the store.
    ///
    /// # Errors
    /// It did not arrive.
    pub async fn send(&self) -> Result<()> {
        self.runs().await;
        self.message(true).await
    }

    /// Receives the answer.
    ///
    /// # Errors
    /// It did not arrive: what was asked for is done all the same.
    pub async fn receive(&self) -> Result<()> {
        let received = self.message(false).await;
        self.runs().await;
        received
    }

    async fn message(&self, is_request: bool) -> Result<()> {
        let Weather { delay_ms, lost, late, .. } = weather();
        wait(chance::below(delay_ms + 1)).await;
        if chance::one_in(late) {
            wait(chance::below(1_500)).await;
        }
        if !self.is_cut() && !chance::one_in(lost) {
            return Ok(());
        }
        // A refused connection is noticed at once.
        if is_request && chance::one_in(2) {
            return Err(StoreError::Unavailable("cut off".into()));
        }
        wait(TIMEOUT_MS).await;
        self.runs().await;
        Err(StoreError::TimedOut)
    }
}
