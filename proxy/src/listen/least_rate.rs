//! The least rate of a request body: a sender may pause, but not trickle.

use std::time::Duration;

use tokio::time::Instant;

/// A sender may pause this long; over it, the average rate counts.
const WINDOW: Duration = Duration::from_secs(10);

/// How far a body has come, and since when it is waited for.
#[derive(Debug)]
pub struct LeastRate {
    bytes_per_second: u64,
    taken: u64,
    since: Option<Instant>,
}

impl LeastRate {
    pub const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, taken: 0, since: None }
    }

    pub fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// When more must have come. The time begins with the first question.
    pub fn deadline(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        since + WINDOW + Duration::from_secs(self.taken / self.bytes_per_second.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_of_rate_that_was_taken_is_a_second_more() {
        let mut rate = LeastRate::new(100);
        let first = rate.deadline();

        rate.took(250);
        assert_eq!(rate.deadline() - first, Duration::from_secs(2));
        rate.took(50);
        assert_eq!(rate.deadline() - first, Duration::from_secs(3));
    }

    #[test]
    fn no_rate_at_all_still_has_an_end() {
        let mut rate = LeastRate::new(0);
        let first = rate.deadline();

        assert_eq!(rate.deadline(), first);
    }
}
