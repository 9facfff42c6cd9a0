//! Slows down whoever guesses tokens.
//!
//! A token of ours cannot be guessed; a bootstrap token is what its owner chose. Failures are counted
//! by address, an IPv6 network of 64 bits as one, so that neither a thousand connections nor a
//! thousand addresses of one network help.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use tollgate_common::connections::network;
use tollgate_common::time::Timestamp;

/// Failures in a row that cost nothing but a second look.
const FAILURES_FREE: u32 = 5;

/// After the first failure beyond those; each further one doubles it.
const WAIT_MS_MIN: i64 = 1_000;
const WAIT_MS_MAX: i64 = 300_000;

/// An address that has been quiet for so long begins anew.
const QUIET_MS: i64 = 900_000;

/// Addresses that are remembered; beyond it the one that has been quiet for longest goes.
const ADDRESSES_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct Throttle {
    addresses: Mutex<HashMap<IpAddr, Failures>>,
}

impl Throttle {
    /// Milliseconds until an address may try again; None is now.
    pub fn wait_ms(&self, address: IpAddr, now: Timestamp) -> Option<i64> {
        let failures = *self.addresses.lock().get(&network(address))?;
        let steps = failures.count.checked_sub(FAILURES_FREE + 1)?;
        let wait = WAIT_MS_MIN.saturating_mul(1 << steps.min(16)).min(WAIT_MS_MAX);
        let left = failures.last_at.0 + wait - now.0;
        (left > 0 && now.0 - failures.last_at.0 < QUIET_MS).then_some(left)
    }

    pub fn failed(&self, address: IpAddr, now: Timestamp) {
        let mut addresses = self.addresses.lock();
        if addresses.len() >= ADDRESSES_MAX && !addresses.contains_key(&network(address)) {
            let quietest = addresses.iter().min_by_key(|(_, failures)| failures.last_at);
            let quietest = quietest.map(|(address, _)| *address);
            quietest.map(|address| addresses.remove(&address));
        }
        let failures =
            addresses.entry(network(address)).or_insert(Failures { count: 0, last_at: now });
        if now.0 - failures.last_at.0 >= QUIET_MS {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last_at: now };
    }

    pub fn succeeded(&self, address: IpAddr) {
        self.addresses.lock().remove(&network(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let throttle = Throttle::default();
        let here = address("192.0.2.1");
        let mut waits = Vec::new();
        for now in 0..9 {
            throttle.failed(here, Timestamp(now));
            waits.push(throttle.wait_ms(here, Timestamp(now)));
        }

        assert_eq!(waits[..5], [None; 5]);
        assert_eq!(waits[5..], [Some(1_000), Some(2_000), Some(4_000), Some(8_000)]);
        assert_eq!(throttle.wait_ms(here, Timestamp(8_007)), Some(1));
        assert_eq!(throttle.wait_ms(here, Timestamp(8_008)), None);
        assert_eq!(throttle.wait_ms(address("192.0.2.2"), Timestamp(9)), None);
    }

    #[test]
    fn the_wait_has_an_end_and_so_has_the_memory_of_it() {
        let throttle = Throttle::default();
        let here = address("192.0.2.1");
        for _ in 0..1_000 {
            throttle.failed(here, Timestamp(0));
        }

        assert_eq!(throttle.wait_ms(here, Timestamp(0)), Some(WAIT_MS_MAX));
        throttle.failed(here, Timestamp(QUIET_MS));
        assert_eq!(throttle.wait_ms(here, Timestamp(QUIET_MS)), None);
        throttle.succeeded(here);
        assert_eq!(throttle.addresses.lock().len(), 0);
    }

    #[test]
    fn a_network_is_one_address_and_memory_is_bounded() {
        let throttle = Throttle::default();
        for host in 0..7 {
            throttle.failed(address(&format!("2001:db8::{host}")), Timestamp(0));
        }
        assert!(throttle.wait_ms(address("2001:db8::ffff"), Timestamp(0)).is_some());
        assert!(throttle.wait_ms(address("2001:db8:0:1::1"), Timestamp(0)).is_none());

        for n in 0..ADDRESSES_MAX as u32 + 10 {
            throttle.failed(IpAddr::V4(n.into()), Timestamp(1));
        }
        assert_eq!(throttle.addresses.lock().len(), ADDRESSES_MAX);
    }
}
