//! Turns at the processor.

use parking_lot::{Mutex, MutexGuard};

/// A turn at the processor, until it is dropped. The tests of one run start clusters, migrate schemas and send traffic
/// without pauses one after another: each of these occupies all cores, and two at once would exceed the timeouts of
/// the services under test.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock()
}
