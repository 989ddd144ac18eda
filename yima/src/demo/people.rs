//! The record of the demo population in the data directory, so that `token` and `sessions` need not open the store.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use yima_schema::time::Time;

use crate::error::CommandError;

/// `demo.toml` in the data directory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// Number of seeded people.
    pub population: u64,
    /// When they were seeded: their events are dated before it.
    pub loaded_at: Time,
}

impl People {
    /// No population.
    pub fn none(now: Time) -> Self {
        Self { population: 0, loaded_at: now }
    }

    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("demo.toml")
    }

    /// Reads the record; `None` if no population was seeded.
    ///
    /// # Errors
    /// The file exists but cannot be read.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, CommandError> {
        let path = Self::path(data_dir);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| CommandError::file(&path, &e))?,
        };
        toml::from_str(&text).map(Some).map_err(|e| CommandError::file(&path, &e))
    }

    /// Writes the record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, data_dir: &Path) -> Result<(), CommandError> {
        let path = Self::path(data_dir);
        let text = format!("population = {}\nloaded_at = \"{}\"\n", self.population, self.loaded_at);
        std::fs::write(&path, text).map_err(|e| CommandError::file(&path, &e))
    }
}
