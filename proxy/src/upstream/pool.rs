//! Idle HTTP/1.1 connections of one core, to be used again.
//!
//! Each core has a pool of its own, so there is nothing to lock. The newest connection is used
//! first: it is the least likely to have been closed by the server, and those that are not needed
//! grow old and go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Target, UpstreamId};

#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    pub per_upstream_max: usize,
    pub all_max: usize,
    pub idle_max: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            // As many as the calls that one core has in flight to one upstream under load.
            per_upstream_max: 256,
            // Descriptors: with 16 cores still within the usual limit of 65 536.
            all_max: 2_048,
            // Common servers close after 5 s (Node.js, Apache, uvicorn) or later; a connection that
            // is sent on while the server closes it costs a failed call.
            idle_max: Duration::from_secs(4),
        }
    }
}

/// `C` is whatever the caller needs to go on with a connection.
#[derive(Debug)]
pub struct Pool<C> {
    limits: PoolLimits,
    idle: HashMap<UpstreamId, Vec<Idle<C>>, foldhash::fast::RandomState>,
    count: usize,
}

/// In each list the newest is last, but for those whose callers took the answer slowly.
#[derive(Debug)]
struct Idle<C> {
    address: SocketAddr,
    since_ns: u64,
    connection: C,
}

impl<C> Idle<C> {
    fn is_old(&self, limits: &PoolLimits, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) >= limits.idle_max.as_nanos() as u64
    }
}

impl<C> Pool<C> {
    pub fn new(limits: PoolLimits) -> Self {
        Self { limits, idle: HashMap::default(), count: 0 }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The newest idle connection to `target`, if there is one that is not too old. The caller
    /// checks that the server has not closed it. Moments are of the gateway's clock that never runs
    /// back.
    pub fn take(&mut self, target: Target, now_ns: u64) -> Option<C> {
        let idle = self.idle.get_mut(&target.upstream)?;
        let limits = &self.limits;
        let is_of_use =
            |idle: &Idle<C>| idle.address == target.address && !idle.is_old(limits, now_ns);
        let at = idle.iter().rposition(is_of_use)?;
        self.count -= 1;
        Some(idle.remove(at).connection)
    }

    /// Keeps a connection on which nothing is under way. Without room the oldest of the same
    /// upstream goes; without any, the connection is dropped.
    pub fn put(&mut self, target: Target, connection: C, now_ns: u64) {
        if self.count >= self.limits.all_max {
            self.sweep(now_ns);
        }
        let is_full = self.count >= self.limits.all_max;
        let idle = self.idle.entry(target.upstream).or_default();
        if is_full || idle.len() >= self.limits.per_upstream_max {
            if idle.is_empty() {
                self.idle.remove(&target.upstream);
                return;
            }
            idle.remove(0);
            self.count -= 1;
        }
        idle.push(Idle { address: target.address, since_ns: now_ns, connection });
        self.count += 1;
    }

    /// Drops what has been idle for too long. To be called about once a second on each core, or
    /// connections to an upstream that is not called any more stay open.
    pub fn sweep(&mut self, now_ns: u64) {
        self.idle.retain(|_, idle| {
            idle.retain(|idle| !idle.is_old(&self.limits, now_ns));
            !idle.is_empty()
        });
        self.count = self.idle.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(upstream: u64, port: u16) -> Target {
        let address = SocketAddr::from(([192, 0, 2, 1], port));
        Target { upstream: UpstreamId(upstream), address }
    }

    const NOW_NS: u64 = 1;

    fn later_ns() -> u64 {
        NOW_NS + PoolLimits::default().idle_max.as_nanos() as u64
    }

    fn pool(per_upstream_max: usize, all_max: usize) -> Pool<&'static str> {
        Pool::new(PoolLimits { per_upstream_max, all_max, ..PoolLimits::default() })
    }

    #[test]
    fn the_newest_connection_to_the_address_is_used_first() {
        let mut pool = pool(9, 9);
        pool.put(target(1, 80), "old", NOW_NS);
        pool.put(target(1, 80), "new", NOW_NS);
        pool.put(target(1, 81), "other address", NOW_NS);

        assert_eq!(pool.take(target(1, 80), NOW_NS), Some("new"));
        assert_eq!(pool.take(target(1, 80), NOW_NS), Some("old"));
        assert_eq!(pool.take(target(1, 80), NOW_NS), None);
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn an_upstream_never_gets_the_connection_of_another_at_the_same_address() {
        let mut pool = pool(9, 9);
        pool.put(target(1, 443), "with other TLS settings", NOW_NS);

        assert_eq!(pool.take(target(2, 443), NOW_NS), None);
    }

    #[test]
    fn what_was_idle_for_too_long_is_not_used_and_goes() {
        let mut pool = pool(9, 9);
        pool.put(target(1, 80), "old", NOW_NS);

        assert_eq!(pool.take(target(1, 80), later_ns()), None);
        pool.sweep(later_ns());

        assert!(pool.is_empty());
        assert!(pool.idle.is_empty());
    }

    #[test]
    fn one_that_was_old_when_it_came_hides_no_other() {
        let mut pool = pool(9, 9);
        pool.put(target(1, 80), "fresh", later_ns());
        pool.put(target(1, 80), "its caller took the answer slowly", NOW_NS);

        assert_eq!(pool.take(target(1, 80), later_ns()), Some("fresh"));
    }

    #[test]
    fn the_oldest_goes_when_an_upstream_has_too_many() {
        let mut pool = pool(2, 9);
        for name in ["first", "second", "third"] {
            pool.put(target(1, 80), name, NOW_NS);
        }

        assert_eq!(pool.len(), 2);
        assert_eq!(pool.take(target(1, 80), NOW_NS), Some("third"));
        assert_eq!(pool.take(target(1, 80), NOW_NS), Some("second"));
    }

    #[test]
    fn a_full_pool_keeps_what_it_has_until_that_is_too_old() {
        let mut pool = pool(9, 2);
        pool.put(target(1, 80), "a", NOW_NS);
        pool.put(target(2, 80), "b", NOW_NS);

        pool.put(target(3, 80), "c", NOW_NS);
        assert_eq!(pool.take(target(3, 80), NOW_NS), None);
        assert_eq!(pool.len(), 2);

        pool.put(target(3, 80), "c", later_ns());
        assert_eq!(pool.take(target(3, 80), later_ns()), Some("c"));
        assert!(pool.is_empty());
    }
}
