//! Disk space of the data directory: low space is detected before a write fails, since after a failed write a store
//! takes no more.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Free space of a file system, and whether it is too low for more events.
pub struct DiskSpace {
    path: PathBuf,
    min_free: u64,
    is_low: AtomicBool,
}

impl DiskSpace {
    /// Measures the file system of `path`, which exists. Less than `min_free` free bytes are too low; 0 disables this.
    pub fn new(path: PathBuf, min_free: u64) -> Self {
        let space = Self { path, min_free, is_low: AtomicBool::new(false) };
        space.measure();
        space
    }

    /// Whether free space was too low when it was last measured.
    pub fn is_low(&self) -> bool {
        self.is_low.load(Ordering::Relaxed)
    }

    /// Notes that the file system does not answer: the gauge becomes NaN, [`Self::is_low`] stays as it is.
    pub fn mark_unknown(&self) {
        metrics::gauge!("data_dir_free_bytes").set(f64::NAN);
    }

    /// Measures free space, sets the gauges `data_dir_free_bytes`, `data_dir_total_bytes` and `data_dir_space_low`, and
    /// logs when it has become too low or enough again. To be called about once a second; may block for as long as the
    /// file system does.
    pub fn measure(&self) {
        let Ok(found) = rustix::fs::statvfs(&self.path) else { return self.mark_unknown() };
        // Without the blocks reserved for root.
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
                "disk space of the data directory is low; no events are accepted until more is free"
            );
        } else {
            tracing::info!(free, min_free, "disk space of the data directory is sufficient again; events are accepted");
        }
    }
}
