//! How many files and connections this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has open besides connections: the store's files, logs, sockets of its own. Far above what was seen.
const BESIDE: u64 = 1_000;

/// Raises the soft limit to the hard one, as everything that serves many connections does, and says so if that is less than so many
/// connections need.
pub fn raise(connections: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(fault) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%fault, "the limit of open files cannot be raised");
    }
    let wanted = connections.saturating_add(BESIDE);
    if let Some(allowed) = allowed()
        && allowed < wanted
    {
        tracing::warn!(
            allowed,
            wanted,
            "fewer files may be open than connections are allowed: raise the hard limit (ulimit -Hn, LimitNOFILE) or lower max_connections"
        );
    }
}

/// How many there may be; `None` without a limit.
pub(crate) fn allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
