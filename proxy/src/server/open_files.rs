//! How many connections the limit on open files leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A client's connection and the one to an upstream that its call may need.
const FILES_PER_CONNECTION: u64 = 2;

/// For everything else: listeners and event queues of each core, journal, store, resolver.
const FILES_RESERVED: u64 = 64;

/// The limit on open files, raised as far as the system allows. Without that a full house would end in
/// connections that are accepted and then fail.
fn files_max() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files cannot be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections of callers there may be: `wanted`, or fewer if the limit is too low.
pub(super) fn connections_that_fit(wanted: usize) -> usize {
    let fitting = fit(wanted, files_max());
    if fitting < wanted {
        tracing::warn!(wanted, fitting, "the limit on open files is too low for all connections");
    }
    fitting
}

/// How many files are left for connections to upstreams beside those of callers; None: no limit.
pub fn left_for_upstreams(connections_wanted: usize) -> Option<usize> {
    files_max().map(|files| left(connections_wanted, files))
}

fn left(connections_wanted: usize, files: u64) -> usize {
    let room = usize::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX);
    room.saturating_sub(fit(connections_wanted, Some(files))).max(1)
}

/// None is no limit. At least one connection is always allowed.
fn fit(wanted: usize, files_max: Option<u64>) -> usize {
    let Some(files_max) = files_max else {
        return wanted;
    };
    let room = files_max.saturating_sub(FILES_RESERVED) / FILES_PER_CONNECTION;
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_upstreams_and_the_journal() {
        assert_eq!(fit(20_000, Some(65_536)), 20_000);
        assert_eq!(fit(20_000, Some(256)), 96);
        assert_eq!(fit(20_000, Some(10)), 1);
        assert_eq!(fit(20_000, None), 20_000);
        assert_eq!(left(20_000, 65_536), 45_472);
        assert_eq!(left(20_000, 256), 96);
        assert_eq!(left(20_000, 10), 1);
    }
}
