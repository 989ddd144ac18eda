//! A share of the processor for one process (control groups, as root), so that a load generator on the same machine
//! takes nothing from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use yima_harness::require_root;

/// A process that has used up its share waits for the next period: so long at most.
const PERIOD: Duration = Duration::from_millis(10);

/// The share of its processes together, until this value is dropped: then they have the whole machine again.
pub(crate) struct Quota {
    /// The group above, in which the processes were.
    outside: PathBuf,
    group: PathBuf,
}

impl Quota {
    /// A quota of so many cores.
    pub(crate) fn new(cores: f64) -> Self {
        require_root();
        let (period, quota) = (PERIOD.as_micros(), (PERIOD.as_micros() as f64 * cores) as u64);
        let (outside, settings) = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            let all = PathBuf::from("/sys/fs/cgroup");
            write(&all.join("cgroup.subtree_control"), "+cpu");
            (all, vec![("cpu.max", format!("{quota} {period}"))])
        } else {
            let settings = vec![("cpu.cfs_period_us", period.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            (PathBuf::from("/sys/fs/cgroup/cpu"), settings)
        };
        let group = outside.join(format!("yima-soak-{}", std::process::id()));
        fs::create_dir(&group).unwrap_or_else(|error| panic!("{}: {error}", group.display()));
        for (name, value) in settings {
            write(&group.join(name), &value);
        }
        Self { outside, group }
    }

    /// Puts a process, with its threads, under the quota.
    pub(crate) fn restrict(&self, pid: u32) {
        write(&self.group.join("cgroup.procs"), &pid.to_string());
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        members.lines().for_each(|pid| write(&self.outside.join("cgroup.procs"), pid));
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("{}: {error}", self.group.display());
        }
    }
}

fn write(path: &Path, value: &str) {
    fs::write(path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
