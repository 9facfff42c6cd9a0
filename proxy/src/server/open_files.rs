//! How many connections the limit on open files leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A client's connection and the one to an upstream that its call may need.
const FILES_PER_CONNECTION: u64 = 2;

/// For everything else: listeners and event queues of each core, journal, store, resolver, and the
/// 64 connections of the port for metrics.
const FILES_RESERVED: u64 = 128;

/// What the control plane's port may take of them where a gateway is in the same process.
const ADMIN_SHARE: u64 = 4;

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

/// How many connections of the control plane's port there may be: `wanted`, or fewer if the limit is too
/// low.
pub fn admin_connections_that_fit(wanted: usize) -> usize {
    at_most(wanted, files_max().map(|files| files / ADMIN_SHARE))
}

/// How many connections of callers there may be: `wanted`, or fewer if the limit is too low. `beside`
/// is what the control plane's port may have open.
pub(super) fn connections_that_fit(wanted: usize, beside: usize) -> usize {
    let fitting = fit(wanted, room(files_max(), beside));
    if fitting < wanted {
        tracing::warn!(wanted, fitting, "the limit on open files is too low for all connections");
    }
    fitting
}

/// How many files are left for connections to upstreams beside those of callers; None: no limit.
pub fn left_for_upstreams(connections_wanted: usize, beside: usize) -> Option<usize> {
    let room = room(files_max(), beside)?;
    Some(left(connections_wanted, room))
}

/// Files for calls; None is no limit.
fn room(files_max: Option<u64>, beside: usize) -> Option<u64> {
    files_max.map(|files| files.saturating_sub(FILES_RESERVED + beside as u64))
}

fn left(connections_wanted: usize, room: u64) -> usize {
    let connections = fit(connections_wanted, Some(room));
    usize::try_from(room).unwrap_or(usize::MAX).saturating_sub(connections).max(1)
}

fn fit(wanted: usize, room: Option<u64>) -> usize {
    at_most(wanted, room.map(|room| room / FILES_PER_CONNECTION))
}

/// At least one connection is always allowed.
fn at_most(wanted: usize, max: Option<u64>) -> usize {
    let max = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    wanted.min(max).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_upstreams_the_control_plane_and_the_journal() {
        let of = |files, beside| {
            let room = room(files, beside);
            (fit(20_000, room), room.map(|room| left(20_000, room)))
        };

        assert_eq!(of(Some(65_536), 1_024), (20_000, Some(44_384)));
        assert_eq!(of(Some(65_536), 0), (20_000, Some(45_408)));
        assert_eq!(of(Some(256), 64), (32, Some(32)));
        assert_eq!(of(Some(10), 2), (1, Some(1)));
        assert_eq!(of(None, 1_024), (20_000, None));
    }
}
