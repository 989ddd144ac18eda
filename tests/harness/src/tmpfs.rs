//! A file system of a given size in a mount namespace of its own, to fill up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounted on a directory, for those who run in its namespace. It is gone when this is dropped, and with it what was kept there.
pub struct Tmpfs {
    keeper: Child,
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many MiB on a directory that it makes; `None`, said loudly, where this user may not.
    ///
    /// # Panics
    /// When root may not, or the directory cannot be made.
    pub fn mount(path: &Path, mib: usize) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            // Not through `eprintln`, which a test that passes does not show.
            let _ = writeln!(std::io::stderr(), "== SKIPPED: mounting a small file system takes root");
            return None;
        }
        fs::create_dir_all(path).expect("a directory");
        // It lives as long as its standard input: as long as the test, however that ends.
        let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo mounted && read -r _";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", &format!("{mib}m")]).arg(path);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare of util-linux");
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().expect("a pipe")).read_line(&mut said).expect("a line");
        assert_eq!(said, "mounted\n", "a file system could not be mounted");
        Some(Self { keeper, path: path.to_owned() })
    }

    /// Runs a program where this is mounted.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id())).arg(program);
        command
    }

    /// Leaves so many bytes free, about.
    ///
    /// # Panics
    /// When the filler cannot be written.
    pub fn leave(&self, bytes: u64) {
        let filler = self.filler();
        let mut file = File::options().append(true).create(true).open(&filler).expect("a file");
        loop {
            let found = rustix::fs::statvfs(&filler).expect("a file system");
            let free = found.f_bavail * found.f_frsize;
            if free <= bytes {
                return;
            }
            let piece = usize::try_from((free - bytes).min(1 << 20)).expect("at most a MiB");
            file.write_all(&vec![1; piece]).expect("there is room for what is free");
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// Before [`Self::leave`].
    pub fn empty(&self) {
        fs::remove_file(self.filler()).expect("there is a filler");
    }

    fn filler(&self) -> PathBuf {
        let below_root = self.path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(below_root).join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
