//! How many connections the limit on open files leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A client's connection and the one to an upstream that its call may need.
const FILES_PER_CONNECTION: u64 = 2;

/// For everything else: listeners and event queues of each core, journal, store, resolver.
const FILES_RESERVED: u64 = 64;

/// Raises the limit as far as the system allows: `wanted`, or fewer if it is still too low. Without
/// it a full house would end in connections that are accepted and then fail.
pub(super) fn connections_that_fit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files cannot be raised");
    }
    let fitting = fit(wanted, getrlimit(Resource::Nofile).current);
    if fitting < wanted {
        tracing::warn!(wanted, fitting, "the limit on open files is too low for all connections");
    }
    fitting
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
    }
}
