//! End-to-end: yima as a process, seen through its ports only, except where the store is opened after it has stopped.

mod alerts;
mod backup;
mod browser;
mod cache_tuning;
mod clocks;
mod cluster;
mod codes;
mod commands;
mod cql;
mod crash;
mod dashboard;
mod disk;
mod display;
mod fhir;
mod fhir_bundles;
mod guides;
mod journey;
mod live_displays;
mod load;
mod openapi;
mod package;
mod refusals;
mod shared_cache;
mod start_stop;
mod step;
mod timeline;
mod tls;
mod traces;
mod upgrade;

use std::sync::{Arc, Mutex, Weak};

use yima_harness::{Options, Yima};

/// An instance for tests that leave each other alone: each has its own people, agencies' events and checkpoints. It is ended with its
/// last user, since nothing would end what a `static` owns.
fn shared() -> Arc<Yima> {
    static SHARED: Mutex<Weak<Yima>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().expect("the shared instance started for the test before");
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Yima::start(Options::default().unlimited()));
        *shared = Arc::downgrade(&started);
        started
    })
}
