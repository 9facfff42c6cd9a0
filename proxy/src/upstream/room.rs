//! How many connections to upstreams there may be: in all, and to one of them.
//!
//! The connections of callers do not bound them: over HTTP/2 one of these can have a hundred calls that
//! wait, each on a connection of its own here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
}

/// Room for one connection, given back when dropped.
#[derive(Debug)]
pub struct Place(Share);

impl Room {
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0) })
    }

    pub fn share(self: &Arc<Self>) -> Share {
        Share { room: self.clone(), taken: Arc::default() }
    }
}

impl Share {
    pub fn take(&self) -> Option<Place> {
        let Self { room, taken } = self;
        if !has_taken(taken, room.max.div_ceil(2)) {
            return None;
        }
        if !has_taken(&room.taken, room.max) {
            taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(self.clone()))
    }
}

fn has_taken(taken: &AtomicUsize, max: usize) -> bool {
    let more = |taken| (taken < max).then_some(taken + 1);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        let Share { room, taken } = &self.0;
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
}
