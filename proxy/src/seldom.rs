//! Lines of the log that many calls cause alike: one is written now and then, with how many it stands for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const EVERY_NS: u64 = 10_000_000_000;

#[derive(Debug, Default)]
pub struct Seldom {
    next_ns: AtomicU64,
    unsaid: AtomicU64,
}

impl Seldom {
    /// Where a line is due, how often it was not written since the last one.
    pub fn due(&self, now_ns: u64) -> Option<u64> {
        let next_ns = self.next_ns.load(Relaxed);
        let later_ns = now_ns.saturating_add(EVERY_NS);
        let is_due = now_ns >= next_ns
            && self.next_ns.compare_exchange(next_ns, later_ns, Relaxed, Relaxed).is_ok();
        if is_due {
            return Some(self.unsaid.swap(0, Relaxed));
        }
        self.unsaid.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_then_one_for_all_in_a_while() {
        let seldom = Seldom::default();

        assert_eq!(seldom.due(5), Some(0));
        assert_eq!(seldom.due(6), None);
        assert_eq!(seldom.due(4 + EVERY_NS), None);
        assert_eq!(seldom.due(5 + EVERY_NS), Some(2));
        assert_eq!(seldom.due(6 + EVERY_NS), None);
    }
}
