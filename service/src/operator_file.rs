//! A file that the operator may replace while the process runs. A file with an error changes nothing, as a whole.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics::Gauge;

use crate::config::ConfigErrors;
use crate::watched_file::{self, Fingerprint, WatchedFiles};

/// A file that cannot be used at the start: all its errors together, each with its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorFileError {
    setting: &'static str,
    errors: ConfigErrors,
}

impl fmt::Display for OperatorFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.errors.0.iter().map(|error| format!("{}: {error}", self.setting)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for OperatorFileError {}

/// The content of a file, as it was read last without an error; without a file the default.
pub struct OperatorFile<T> {
    /// The setting that names the file.
    setting: &'static str,
    /// 1 while its content is in force, 0 after one was refused.
    accepted: Gauge,
    watched: Option<([PathBuf; 1], Fingerprint<1>)>,
    read: fn(Option<&Path>) -> Result<T, ConfigErrors>,
    content: ArcSwap<T>,
}

impl<T: Send + Sync + 'static> OperatorFile<T> {
    /// Reads the file, if there is one; waits for the file system.
    ///
    /// # Errors
    /// All errors of the file.
    pub fn load(
        setting: &'static str,
        accepted: Gauge,
        path: Option<PathBuf>,
        read: fn(Option<&Path>) -> Result<T, ConfigErrors>,
    ) -> Result<Arc<Self>, OperatorFileError> {
        let watched = path.clone().map(|path| {
            let paths = [path];
            let fingerprint = Fingerprint::new(&watched_file::read(&paths));
            (paths, fingerprint)
        });
        let content = read(path.as_deref()).map_err(|errors| OperatorFileError { setting, errors })?;
        let file = Self { setting, accepted, watched, read, content: ArcSwap::from_pointee(content) };
        file.note(true);
        Ok(Arc::new(file))
    }

    /// The content in force.
    pub fn content(&self) -> Arc<T> {
        self.content.load_full()
    }

    /// Reads the file whenever it changes, for ever. Tells `reloaded` each time whether it was accepted.
    pub async fn watch<F: Future<Output = ()>>(self: Arc<Self>, reloaded: impl Fn(bool) -> F) {
        let Some((paths, fingerprint)) = self.watched.clone() else { return };
        let path = paths[0].clone();
        let mut file = WatchedFiles::new(paths, fingerprint);
        loop {
            if file.poll().await.is_none() {
                continue;
            }
            file.accept();
            let (path, read) = (path.clone(), self.read);
            // Reads the file once more. A change since this poll is seen by the next one.
            let read = tokio::task::spawn_blocking(move || read(Some(&path))).await;
            let accepted = matches!(read, Ok(Ok(_)));
            match read {
                Ok(Ok(content)) => {
                    self.content.store(Arc::new(content));
                    self.note(true);
                    tracing::info!(setting = self.setting, "the file has changed; its content is in force");
                }
                Ok(Err(error)) => {
                    self.note(false);
                    let setting = self.setting;
                    tracing::error!(%error, setting, "the file is refused; its previous content stays in force");
                }
                Err(_) => return, // the runtime shuts down
            }
            reloaded(accepted).await;
        }
    }

    fn note(&self, is_accepted: bool) {
        self.accepted.set(f64::from(u8::from(is_accepted)));
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    fn length(path: Option<&Path>) -> Result<usize, ConfigErrors> {
        let text = path.map(|path| std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
        if text.contains('!') { Err(ConfigErrors(Vec::new())) } else { Ok(text.len()) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_takes_effect_and_one_with_an_error_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("one");
        let watched = OperatorFile::load("a.file", Gauge::noop(), Some(file.path().to_owned()), length).unwrap();
        assert_eq!(*watched.content(), 3);
        let log = Arc::new(Mutex::new(Vec::new()));
        let told = log.clone();
        let task = tokio::spawn(watched.clone().watch(move |accepted| {
            told.lock().push(accepted);
            std::future::ready(())
        }));
        // Each poll is awaited by the paused clock, which goes on whenever nothing else can run.
        let reads = |expected: usize| {
            let watched = watched.clone();
            async move {
                for _ in 0..100 {
                    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                    if *watched.content() == expected {
                        return true;
                    }
                }
                false
            }
        };
        write("three");
        assert!(reads(5).await);
        write("wrong!");
        assert!(!reads(6).await, "a file with an error was taken");
        assert_eq!(*watched.content(), 5);
        write("seven77");
        assert!(reads(7).await);
        task.abort();
        assert_eq!(*log.lock(), [true, false, true]);
        assert!(OperatorFile::load("a.file", Gauge::noop(), None, length).is_ok_and(|file| *file.content() == 0));
    }
}
