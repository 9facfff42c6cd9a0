//! Slows down whoever guesses tokens.
//!
//! A token of ours cannot be guessed; a bootstrap token is what its owner chose. Failures are counted
//! by address, an IPv6 network of 64 bits as one, so that neither a thousand connections nor a
//! thousand addresses of one network help. Time is that of the clock that never runs back: one that is
//! set back would lock everybody out for as long.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use tollgate_common::connections::network;
use tollgate_common::time::Now;

/// Failures in a row that cost nothing but a second look.
const FAILURES_FREE: u32 = 5;

/// After the first failure beyond those; each further one doubles it.
const WAIT_MS_MIN: u64 = 1_000;
const WAIT_MS_MAX: u64 = 300_000;

/// An address that has been quiet for so long begins anew.
const QUIET_MS: u64 = 900_000;

/// Addresses that are remembered; beyond it the one that has been quiet for longest goes.
const ADDRESSES_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_ms: u64,
    /// Tries since then that were turned away unseen.
    turned_away: u64,
}

impl Failures {
    fn quiet_ms(&self, now: Now) -> u64 {
        ms(now).saturating_sub(self.last_ms)
    }
}

#[derive(Debug, Default)]
pub struct Throttle {
    addresses: Mutex<HashMap<IpAddr, Failures>>,
}

impl Throttle {
    /// Milliseconds until an address may try again, which turns it away until then; None is now.
    pub fn wait_ms(&self, address: IpAddr, now: Now) -> Option<u64> {
        let mut addresses = self.addresses.lock();
        let failures = addresses.get_mut(&network(address))?;
        let steps = failures.count.checked_sub(FAILURES_FREE + 1)?;
        let wait = WAIT_MS_MIN.saturating_mul(1 << steps.min(16)).min(WAIT_MS_MAX);
        let left = wait.checked_sub(failures.quiet_ms(now)).filter(|left| *left > 0)?;
        failures.turned_away += 1;
        Some(left)
    }

    /// Counts a failure, and says how many tries were turned away since the one before.
    pub fn failed(&self, address: IpAddr, now: Now) -> u64 {
        let mut addresses = self.addresses.lock();
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&network(address)) {
            let quietest = addresses.iter().min_by_key(|(_, failures)| failures.last_ms);
            let quietest = quietest.map(|(address, _)| *address);
            quietest.map(|address| addresses.remove(&address));
        }
        let none = Failures { count: 0, last_ms: ms(now), turned_away: 0 };
        let failures = addresses.entry(network(address)).or_insert(none);
        if failures.quiet_ms(now) >= QUIET_MS {
            failures.count = 0;
        }
        let turned_away = failures.turned_away;
        *failures = Failures { count: failures.count.saturating_add(1), ..none };
        turned_away
    }

    pub fn succeeded(&self, address: IpAddr) {
        self.addresses.lock().remove(&network(address));
    }
}

const fn ms(now: Now) -> u64 {
    now.monotonic_ns / 1_000_000
}

#[cfg(test)]
mod tests {
    use tollgate_common::time::Timestamp;

    use super::*;

    fn at(ms: u64) -> Now {
        Now { wall: Timestamp(1_000_000_000_000), monotonic_ns: ms * 1_000_000 }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let throttle = Throttle::default();
        let here = address("192.0.2.1");
        let mut waits = Vec::new();
        for now in 0..9 {
            throttle.failed(here, at(now));
            waits.push(throttle.wait_ms(here, at(now)));
        }

        assert_eq!(waits[..5], [None; 5]);
        assert_eq!(waits[5..], [Some(1_000), Some(2_000), Some(4_000), Some(8_000)]);
        assert_eq!(throttle.wait_ms(here, at(8_007)), Some(1));
        assert_eq!(throttle.wait_ms(here, at(8_008)), None);
        assert_eq!(throttle.wait_ms(address("192.0.2.2"), at(9)), None);
    }

    #[test]
    fn the_wait_has_an_end_and_so_has_the_memory_of_it() {
        let throttle = Throttle::default();
        let here = address("192.0.2.1");
        for _ in 0..1_000 {
            throttle.failed(here, at(0));
        }

        assert_eq!(throttle.wait_ms(here, at(0)), Some(WAIT_MS_MAX));
        throttle.failed(here, at(QUIET_MS));
        assert_eq!(throttle.wait_ms(here, at(QUIET_MS)), None);
        throttle.succeeded(here);
        assert_eq!(throttle.addresses.lock().len(), 0);
    }

    #[test]
    fn whoever_is_turned_away_is_counted_for_the_next_failure_to_tell() {
        let throttle = Throttle::default();
        let here = address("192.0.2.1");
        for _ in 0..7 {
            assert_eq!(throttle.failed(here, at(0)), 0);
        }
        for _ in 0..993 {
            assert!(throttle.wait_ms(here, at(1)).is_some());
        }

        assert_eq!(throttle.failed(here, at(2_000)), 993);
        assert_eq!(throttle.failed(here, at(2_000)), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_longer() {
        let throttle = Throttle::default();
        let here = address("192.0.2.1");
        for _ in 0..7 {
            throttle.failed(here, at(0));
        }
        let a_day_back = |now: Now| Now { wall: now.wall.plus_ms(-86_400_000), ..now };

        assert_eq!(throttle.wait_ms(here, a_day_back(at(500))), Some(1_500));
        assert_eq!(throttle.wait_ms(here, a_day_back(at(2_000))), None);
    }

    #[test]
    fn a_network_is_one_address_and_memory_is_bounded() {
        let throttle = Throttle::default();
        for host in 0..7 {
            throttle.failed(address(&format!("2001:db8::{host}")), at(0));
        }
        assert!(throttle.wait_ms(address("2001:db8::ffff"), at(0)).is_some());
        assert!(throttle.wait_ms(address("2001:db8:0:1::1"), at(0)).is_none());

        for n in 0..ADDRESSES_MAX as u32 + 10 {
            throttle.failed(IpAddr::V4(n.into()), at(1));
        }
        assert_eq!(throttle.addresses.lock().len(), ADDRESSES_MAX);
    }
}
