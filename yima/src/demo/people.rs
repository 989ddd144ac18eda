//! What a data directory remembers of its demo population, so that `token` and `sessions` need not open the store.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use yima_schema::time::Time;

use crate::error::CommandError;

/// `demo.toml` in the data directory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// How many people were loaded.
    pub population: u64,
    /// When: their tests are that old.
    pub loaded_at: Time,
}

impl People {
    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("demo.toml")
    }

    /// What was loaded; `None` if nothing was.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, CommandError> {
        let path = Self::path(data_dir);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| CommandError::file(&path, &e))?,
        };
        toml::from_str(&text).map(Some).map_err(|e| CommandError::file(&path, &e))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, data_dir: &Path) -> Result<(), CommandError> {
        let path = Self::path(data_dir);
        let text = format!("population = {}\nloaded_at = \"{}\"\n", self.population, self.loaded_at);
        std::fs::write(&path, text).map_err(|e| CommandError::file(&path, &e))
    }
}
