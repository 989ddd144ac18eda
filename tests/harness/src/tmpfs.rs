//! A small file system in a mount namespace of its own, for tests that fill it up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::require_root;

/// A file system that is mounted for the programs in its namespace, until this value is dropped.
pub struct Tmpfs {
    keeper: Child,
    path: PathBuf,
}

impl Tmpfs {
    /// Makes a directory and mounts a file system of so many MiB on it.
    ///
    /// # Panics
    /// When this process is not root, or cannot mount it.
    pub fn mount(path: &Path, mib: usize) -> Self {
        require_root();
        fs::create_dir_all(path).expect("a directory");
        // The keeper ends with its standard input, so with the test, even when that is killed.
        let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo mounted && read -r _";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", &format!("{mib}m")]).arg(path);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare of util-linux");
        let mut output = String::new();
        BufReader::new(keeper.stdout.take().expect("a pipe")).read_line(&mut output).expect("a line");
        assert_eq!(output, "mounted\n", "the file system was not mounted");
        Self { keeper, path: path.to_owned() }
    }

    /// A command that runs a program in the namespace.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id())).arg(program);
        command
    }

    /// Fills the file system until about this many bytes are free.
    ///
    /// # Panics
    /// When the filler cannot be written.
    pub fn fill_leaving(&self, bytes: u64) {
        let filler = self.filler();
        let mut file = File::options().append(true).create(true).open(&filler).expect("a file");
        loop {
            let found = rustix::fs::statvfs(&filler).expect("a file system");
            let free = found.f_bavail * found.f_frsize;
            if free <= bytes {
                return;
            }
            let piece = usize::try_from((free - bytes).min(1 << 20)).expect("at most a MiB");
            file.write_all(&vec![1; piece]).expect("the file system has free space");
        }
    }

    /// Frees the space that [`Self::fill_leaving`] took.
    ///
    /// # Panics
    /// Before [`Self::fill_leaving`].
    pub fn remove_filler(&self) {
        fs::remove_file(self.filler()).expect("a filler was written");
    }

    fn filler(&self) -> PathBuf {
        let below_root = self.path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(below_root).join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
