//! The limit of open files, which bounds connections too.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a process has open besides connections: the store's files, logs, sockets of its own. Far above the
/// numbers measured.
const BESIDE: u64 = 1_000;

/// Raises the soft limit to the hard one, and warns if that is less than `connections` need.
pub fn raise(connections: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the soft limit of open files cannot be raised; it stays as it is");
    }
    let wanted = wanted(connections);
    if let Some(allowed) = allowed()
        && allowed < wanted
    {
        tracing::warn!(
            allowed,
            wanted,
            "fewer files may be open than connections are allowed: raise the hard limit (ulimit -Hn, LimitNOFILE) \
             or lower max_connections"
        );
    }
}

/// The files that a process with so many connections may have open.
pub fn wanted(connections: u64) -> u64 {
    connections.saturating_add(BESIDE)
}

/// The hard limit, to which a process raises its own; `None` if there is none.
pub fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// The soft limit; `None` if there is none.
pub(crate) fn allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
