//! How many connections there may be: in all, and for one address or whatever else they are counted by.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ipnet::IpNet;

/// Counts by key, each up to the same bound. A key takes room only while something is counted of it.
#[derive(Debug)]
pub struct Counts<K: Eq + Hash> {
    per_key_max: usize,
    by_key: DashMap<K, usize, foldhash::fast::RandomState>,
}

impl<K: Eq + Hash> Counts<K> {
    pub fn new(per_key_max: usize) -> Self {
        Self { per_key_max, by_key: DashMap::default() }
    }

    /// Counts one more of a key, unless it has as many as it may.
    pub fn has_counted(&self, key: K) -> bool {
        self.has_counted_of(self.per_key_max, key)
    }

    /// The same where it may have fewer for now.
    pub fn has_counted_of(&self, max: usize, key: K) -> bool {
        let mut count = self.by_key.entry(key).or_insert(0);
        let has_room = *count < max.min(self.per_key_max);
        *count += usize::from(has_room);
        has_room
    }

    /// One that was counted has ended.
    pub fn give_back(&self, key: K) {
        if let Entry::Occupied(mut count) = self.by_key.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// Counts connections.
#[derive(Debug)]
pub struct Slots {
    all_max: usize,
    /// Networks of proxies, which bring the connections of many.
    exempt: Vec<IpNet>,
    all: AtomicUsize,
    by_address: Counts<IpAddr>,
    refused: AtomicU64,
}

/// Room for one connection, given back when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    /// None: it is not counted by address.
    address: Option<IpAddr>,
}

impl Slots {
    pub fn new(all_max: usize, per_address_max: usize, exempt: Vec<IpNet>) -> Self {
        Self {
            all_max,
            exempt,
            all: AtomicUsize::new(0),
            by_address: Counts::new(per_address_max),
            refused: AtomicU64::new(0),
        }
    }

    /// Room for a connection from `peer`, if both limits leave some.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let counted = (!is_in(peer, &self.exempt)).then(|| network(peer));
        let slot = self.try_take(counted);
        if slot.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }

    fn try_take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Slot> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.all_max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        if address.is_some_and(|address| !self.by_address.has_counted(address)) {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Slot { slots: self.clone(), address })
    }

    pub fn in_use(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Connections that were closed at once because there was no room.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.slots.by_address.give_back(address);
        }
        self.slots.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether one of the networks has the address, which an IPv6 socket may have written as one of its own.
pub fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Who is counted as one: an IPv4 address, or an IPv6 /64, which is what one customer of a network
/// gets at least and can take any address from.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_proxy_brings_as_many_as_there_is_room_for() {
        let slots = Arc::new(Slots::new(3, 1, vec!["192.0.2.0/24".parse().unwrap()]));
        let taken: Vec<_> = (0..4).map(|_| slots.take(ip("::ffff:192.0.2.1"))).collect();

        assert_eq!(taken.iter().flatten().count(), 3);
        drop(taken);
        let _first = slots.take(ip("198.51.100.1")).unwrap();
        assert!(slots.take(ip("198.51.100.1")).is_none());
        assert_eq!(slots.in_use(), 1);
    }

    #[test]
    fn one_address_cannot_take_all_the_room() {
        let slots = Arc::new(Slots::new(10, 2, vec![]));
        let _first = slots.take(ip("192.0.2.1")).unwrap();
        let _second = slots.take(ip("192.0.2.1")).unwrap();

        assert!(slots.take(ip("192.0.2.1")).is_none());
        assert!(slots.take(ip("::ffff:192.0.2.1")).is_none());
        assert!(slots.take(ip("192.0.2.2")).is_some());
        assert_eq!(slots.refused(), 2);
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_address() {
        let slots = Arc::new(Slots::new(10, 1, vec![]));
        let _held = slots.take(ip("2001:db8:1:2::1")).unwrap();

        assert!(slots.take(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(slots.take(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn room_comes_back_and_leaves_nothing_behind() {
        let slots = Arc::new(Slots::new(1, 1, vec![]));
        let held = slots.take(ip("192.0.2.1")).unwrap();
        assert!(slots.take(ip("192.0.2.2")).is_none());

        drop(held);

        assert_eq!(slots.in_use(), 0);
        assert!(slots.by_address.is_empty());
        assert!(slots.take(ip("192.0.2.2")).is_some());
    }
}
