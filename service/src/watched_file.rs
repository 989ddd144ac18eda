//! Files that may be replaced while the process runs, such as certificates and cache settings: polled on a thread that
//! may block, since a file system may hang.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::{Interval, MissedTickBehavior};

/// How often the files are read.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// What was read of each file, in the order of their paths.
pub type Contents<const N: usize> = [io::Result<Vec<u8>>; N];

/// Digests that tell contents apart without keeping them, since one file may be a private key; `None` of a file that
/// cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint<const N: usize>([Option<Vec<u8>>; N]);

impl<const N: usize> Fingerprint<N> {
    /// Equal for equal contents.
    pub fn new(contents: &Contents<N>) -> Self {
        let digest = |bytes: &Vec<u8>| digest(&SHA256, bytes).as_ref().to_vec();
        Self(contents.each_ref().map(|bytes| bytes.as_ref().ok().map(digest)))
    }
}

/// One file, or several that belong together. Contents are handed out once they have changed and are the same at two
/// polls in a row: a file that is being written, or one of two that are replaced one after the other, is not handed out
/// half.
pub struct WatchedFiles<const N: usize> {
    paths: [PathBuf; N],
    accepted: Fingerprint<N>,
    /// As of the last poll.
    polled: Option<Fingerprint<N>>,
    ticks: Interval,
}

impl<const N: usize> WatchedFiles<N> {
    /// Watches files whose contents with the fingerprint `accepted` are in use already. To be called within a tokio
    /// runtime.
    pub fn new(paths: [PathBuf; N], accepted: Fingerprint<N>) -> Self {
        let mut ticks = tokio::time::interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { paths, accepted, polled: None, ticks }
    }

    /// Polls once, when it is time. Returns the contents if they differ from the accepted ones and are the same as at
    /// the poll before, and again at each poll until they are accepted or change.
    pub async fn poll(&mut self) -> Option<Contents<N>> {
        self.ticks.tick().await;
        let paths = self.paths.clone();
        // Fails only while the runtime shuts down.
        let contents = tokio::task::spawn_blocking(move || read(&paths)).await.ok()?;
        let polled = Fingerprint::new(&contents);
        let has_settled = self.polled.as_ref() == Some(&polled) && polled != self.accepted;
        self.polled = Some(polled);
        has_settled.then_some(contents)
    }

    /// Accepts the contents that were returned last: they are returned no more.
    pub fn accept(&mut self) {
        if let Some(polled) = &self.polled {
            self.accepted.clone_from(polled);
        }
    }
}

/// Reads the files; waits for the file system.
pub fn read<const N: usize>(paths: &[PathBuf; N]) -> Contents<N> {
    paths.each_ref().map(std::fs::read)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn poll(files: &mut WatchedFiles<2>) -> Option<[Option<Vec<u8>>; 2]> {
        files.poll().await.map(|contents| contents.map(Result::ok))
    }

    #[tokio::test(start_paused = true)]
    async fn changed_contents_are_returned_once_they_are_the_same_at_two_polls() {
        let directory = tempfile::TempDir::new().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name));
        let [a, b] = &paths;
        std::fs::write(a, "1").unwrap();
        let mut files = WatchedFiles::new(paths.clone(), Fingerprint::new(&read(&paths)));
        for _ in 0..3 {
            assert_eq!(poll(&mut files).await, None, "nothing has changed");
        }
        std::fs::write(a, "2").unwrap();
        assert_eq!(poll(&mut files).await, None, "seen at one poll");
        std::fs::write(b, "2").unwrap();
        assert_eq!(poll(&mut files).await, None, "the other file has changed since");
        let both = [Some(b"2".to_vec()), Some(b"2".to_vec())];
        assert_eq!(poll(&mut files).await, Some(both.clone()));
        assert_eq!(poll(&mut files).await, Some(both), "not accepted yet");
        files.accept();
        assert_eq!(poll(&mut files).await, None);
        std::fs::remove_file(b).unwrap();
        assert_eq!(poll(&mut files).await, None);
        assert_eq!(poll(&mut files).await, Some([Some(b"2".to_vec()), None]), "a removed file is a change");
    }
}
