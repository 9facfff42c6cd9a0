//! Requests without a valid key, by where they come from, in a fixed amount of memory.
//!
//! Pingora's estimators (count-min sketches) over two windows of a second each; its own rate over
//! them reads the clock by itself, which two cores can do in the wrong order. An estimate is never
//! too low. It can be too high when very many networks call at once; what it can cost is the answer
//! to a caller who has shown no valid key.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use pingora_limits::estimator::Estimator;
use tollgate_common::connections::network;

/// Four rows of 8 192 counters: 256 KiB a window. When 8 192 other networks call in a second, five of
/// six networks still have a counter of their own.
const HASHES: usize = 4;
const SLOTS: usize = 8_192;

const WINDOW_NS: u64 = 1_000_000_000;

pub struct Flood {
    per_second_max: u32,
    /// Windows with an even and with an odd number.
    windows: [Estimator; 2],
    /// The number of the newest window.
    newest: AtomicU64,
}

impl Flood {
    pub fn new(per_second_max: u32) -> Self {
        let windows = [Estimator::new(HASHES, SLOTS), Estimator::new(HASHES, SLOTS)];
        Self { per_second_max, windows, newest: AtomicU64::new(0) }
    }

    /// Counts a request without a valid key: whether its network has made more than the limit in
    /// the last second. `monotonic_ns` as in [`Now`](tollgate_common::time::Now).
    pub fn too_many(&self, peer: IpAddr, monotonic_ns: u64) -> bool {
        let window = self.turn_to(monotonic_ns / WINDOW_NS);
        let network = network(peer);
        let [even, odd] = &self.windows;
        let (now, before) = if window.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        let passed = (monotonic_ns % WINDOW_NS) as f64 / WINDOW_NS as f64;
        let in_last_second =
            now.incr(network, 1) as f64 + before.get(network) as f64 * (1.0 - passed);
        in_last_second > f64::from(self.per_second_max)
    }

    /// Empties what is too old: the number of the newest window, which is `window` unless another
    /// core is ahead.
    fn turn_to(&self, window: u64) -> u64 {
        let newest = self.newest.load(Ordering::Relaxed);
        if window <= newest {
            return newest;
        }
        let turned =
            self.newest.compare_exchange(newest, window, Ordering::Relaxed, Ordering::Relaxed);
        if let Err(newer) = turned {
            return newer.max(window);
        }
        // A request that another core counts meanwhile may be lost: one of a flood.
        self.windows[(window % 2) as usize].reset();
        if window > newest + 1 {
            self.windows[((window + 1) % 2) as usize].reset();
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = WINDOW_NS;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn passed(flood: &Flood, peer: IpAddr, count: usize, at: u64) -> usize {
        (0..count).filter(|_| !flood.too_many(peer, at)).count()
    }

    #[test]
    fn a_flood_is_cut_to_the_limit_and_others_are_not() {
        let flood = Flood::new(10);

        assert_eq!(passed(&flood, ip(1), 1_000, 5 * SECOND), 10);
        assert_eq!(passed(&flood, ip(2), 10, 5 * SECOND), 10);
    }

    #[test]
    fn a_new_second_does_not_bring_a_whole_new_limit_at_once() {
        let flood = Flood::new(10);
        passed(&flood, ip(1), 10, 5 * SECOND + SECOND / 2);

        assert_eq!(passed(&flood, ip(1), 100, 6 * SECOND + SECOND / 10), 1);
    }

    #[test]
    fn who_stops_is_let_in_again() {
        let flood = Flood::new(10);
        passed(&flood, ip(1), 1_000, 5 * SECOND);

        assert_eq!(passed(&flood, ip(1), 100, 7 * SECOND), 10);
        assert_eq!(passed(&flood, ip(1), 100, 100 * SECOND), 10);
    }

    #[test]
    fn many_networks_that_behave_are_not_taken_for_a_flood() {
        let flood = Flood::new(10);
        let networks = (0..8_000_u32).map(|n| IpAddr::from(n.to_be_bytes()));

        let refused = networks.filter(|peer| flood.too_many(*peer, 5 * SECOND)).count();

        assert_eq!(refused, 0);
    }
}
