//! End-to-end: yima as a process, tested through its ports only, except where a test opens its store.

mod agencies;
mod alerts;
mod auditor;
mod backup;
mod bad_settings;
mod browser;
mod cache_tuning;
mod clock_jumps;
mod command_line;
mod content_codings;
mod corrections;
mod cql;
mod cql_cluster;
mod crash;
mod dashboard;
mod deployment;
mod direct_answers;
mod disk_full;
mod display;
mod document_lookups;
mod edge;
mod event_to_display;
mod fhir;
mod fhir_bundles;
mod foreign_codes;
mod freshness_tokens;
mod guidance;
mod guides;
mod keys;
mod laboratory_codes;
mod levels;
mod live_displays;
mod load;
mod offline_bundle;
mod openapi;
mod package;
mod page_words;
mod papers;
mod phones;
mod read_after_write;
mod refusals;
mod scan_verdicts;
mod session_ends;
mod shared_cache;
mod stampede;
mod start_stop;
mod status;
mod timeline;
mod tls;
mod traces;
mod upgrade;
mod waiting_room;
mod wards;

use std::fs;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use yima_harness::{Options, Yima};
use yima_service::jwt::Issuer;

/// An instance for tests that do not affect each other: each has its own people, events and checkpoints. It ends with
/// its last user, since a `static` is never dropped.
fn shared() -> Arc<Yima> {
    static SHARED: Mutex<Weak<Yima>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().expect("the shared instance started for the test before");
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Yima::start(Options::default().unlimited()));
        *shared = Arc::downgrade(&started);
        started
    })
}

/// A city's identity provider.
fn identity_provider() -> Issuer {
    Issuer::from_pkcs8(&Issuer::generate().expect("randomness").0, "city").expect("a key just made")
}

/// Trusts that provider's keys in place of the demo's.
fn trusting(provider: &Issuer, options: Options) -> Options {
    let keys = options.directory().join("jwks.json");
    fs::write(&keys, serde_json::to_string(&provider.jwks()).expect("public keys")).expect("a file");
    let options = options.env("YIMA_IDENTITY_PROVIDER__KEYS_FILE", keys.display());
    options.env("YIMA_IDENTITY_PROVIDER__ISSUER", "city")
}

/// The harness' `until` for a condition that is a future.
async fn until_async(what: &str, within: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < within, "waited {within:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
