//! How many connections to upstreams there may be: in all, to one of them, and for the calls of one
//! subscription.
//!
//! The connections of callers do not bound them: over HTTP/2 one of these can have a hundred calls that
//! wait, each on a connection of its own here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_common::connections::Counts;
use tollgate_common::ids::SubscriptionId;

/// What all upstreams of a process share.
#[derive(Debug)]
pub struct Room {
    max: usize,
    taken: AtomicUsize,
}

/// What one upstream has taken of it: half at the most, so that a slow one leaves room for the others.
#[derive(Clone, Debug)]
pub struct Share {
    room: Arc<Room>,
    taken: Arc<AtomicUsize>,
    claims: Arc<Claims>,
}

/// Room for one connection, given back when dropped.
#[derive(Debug)]
pub struct Place(Share);

/// What each subscription's calls have of one upstream: half at the most, so that one customer with slow
/// calls leaves room for the others. Calls that find an idle connection are not counted: of these there
/// are few.
#[derive(Debug)]
pub struct Claims(Counts<SubscriptionId>);

/// One call's part, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    subscription: SubscriptionId,
}

impl Room {
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0) })
    }

    pub fn share(self: &Arc<Self>) -> Share {
        let claims = Claims::half_of(self.max.div_ceil(2));
        Share { room: self.clone(), taken: Arc::default(), claims }
    }
}

impl Share {
    pub fn take(&self) -> Option<Place> {
        let Self { room, taken, .. } = self;
        if !has_taken(taken, room.max.div_ceil(2)) {
            return None;
        }
        if !has_taken(&room.taken, room.max) {
            taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(self.clone()))
    }

    pub fn claim(&self, subscription: SubscriptionId) -> Option<Claim> {
        self.claims.take(subscription)
    }
}

impl Claims {
    pub fn half_of(all: usize) -> Arc<Self> {
        Arc::new(Self(Counts::new(all.div_ceil(2))))
    }

    pub fn take(self: &Arc<Self>, subscription: SubscriptionId) -> Option<Claim> {
        self.take_half_of(usize::MAX, subscription)
    }

    /// Where there are only so many for now.
    pub fn take_half_of(
        self: &Arc<Self>,
        all: usize,
        subscription: SubscriptionId,
    ) -> Option<Claim> {
        let has_room = self.0.has_counted_of(all.div_ceil(2), subscription);
        has_room.then(|| Claim { claims: self.clone(), subscription })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.give_back(self.subscription);
    }
}

fn has_taken(taken: &AtomicUsize, max: usize) -> bool {
    let more = |taken| (taken < max).then_some(taken + 1);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        let Share { room, taken, .. } = &self.0;
        room.taken.fetch_sub(1, Ordering::Relaxed);
        taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_upstream_leaves_room_for_the_others_and_all_have_an_end() {
        let room = Room::new(5);
        let [slow, other] = [room.share(), room.share()];
        let held: Vec<Place> = std::iter::from_fn(|| slow.take()).collect();
        assert_eq!(held.len(), 3);

        let more: Vec<Place> = std::iter::from_fn(|| other.take()).collect();
        assert_eq!(more.len(), 2);
        drop(held);
        assert!(other.take().is_some() && slow.take().is_some());
        drop(more);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_subscription_leaves_half_to_the_others_and_nothing_behind() {
        let share = Room::new(8).share();
        let [slow, other] = [1, 2].map(|number| SubscriptionId::from_bytes([number; 16]));
        let mut held: Vec<Claim> = std::iter::from_fn(|| share.claim(slow)).collect();
        assert_eq!(held.len(), 2);

        assert!(share.claim(other).is_some());
        held.pop();
        assert!(share.claim(slow).is_some());
        drop(held);
        assert!(share.claims.0.is_empty());
    }
}
