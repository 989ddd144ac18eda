//! Free space on the file system of a process' data: noticed before a write fails, since after a failed write a store takes no more.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is left, and whether that is enough to take more.
pub struct DiskSpace {
    path: PathBuf,
    min_free: u64,
    is_low: AtomicBool,
}

impl DiskSpace {
    /// On the file system of `path`, which exists; with less than `min_free` bytes free it is too little (0: never).
    pub fn new(path: PathBuf, min_free: u64) -> Self {
        let room = Self { path, min_free, is_low: AtomicBool::new(false) };
        room.look();
        room
    }

    /// Whether there was too little when it was last looked at.
    pub fn is_low(&self) -> bool {
        self.is_low.load(Ordering::Relaxed)
    }

    /// That the file system does not answer: what is known of it does not change.
    pub fn no_answer(&self) {
        metrics::gauge!("data_dir_free_bytes").set(f64::NAN);
    }

    /// Looks, sets the gauges `data_dir_free_bytes`, `data_dir_total_bytes` and `data_dir_space_low`, and logs when it has become too little or
    /// enough again. To be called about once a second; may block for as long as the file system does.
    pub fn look(&self) {
        let Ok(found) = rustix::fs::statvfs(&self.path) else { return self.no_answer() };
        // Not what is kept back for root.
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        metrics::gauge!("data_dir_free_bytes").set(free as f64);
        metrics::gauge!("data_dir_total_bytes").set(found.f_blocks.saturating_mul(found.f_frsize) as f64);
        let (is_low, min_free) = (free < self.min_free, self.min_free);
        metrics::gauge!("data_dir_space_low").set(u8::from(is_low));
        if self.is_low.swap(is_low, Ordering::Relaxed) == is_low {
            return;
        }
        if is_low {
            tracing::error!(
                free,
                min_free,
                "too little room on the data directory's disk: no events are taken until there is more"
            );
        } else {
            tracing::info!(free, min_free, "there is room on the data directory's disk again: events are taken");
        }
    }
}
