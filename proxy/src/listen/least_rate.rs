//! The least rate of a request body: a sender may pause, but not trickle.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::http1::patience::{Elapsed, Patience};

/// A sender may pause this long; over it, the average rate counts.
const WINDOW: Duration = Duration::from_secs(10);

/// How far a body has come, and since when it is waited for.
#[derive(Debug)]
pub struct LeastRate {
    bytes_per_second: u64,
    taken: u64,
    since: Option<Instant>,
    rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Rate,
    /// A message now and then, of any size.
    Silence(Duration),
    None,
}

impl LeastRate {
    pub const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, taken: 0, since: None, rule: Rule::Rate }
    }

    pub fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// No rate is asked any more.
    pub fn waive(&mut self) {
        self.rule = Rule::None;
    }

    /// No rate is asked, but that the sender is not silent for longer.
    pub fn allow_silence(&mut self, silence: Duration) {
        self.rule = Rule::Silence(silence);
    }

    /// What is left of the body is waited for as if it were a body of its own.
    pub fn begin_anew(&mut self) {
        *self = Self::new(self.bytes_per_second);
    }

    /// When more must have come; None: whenever. The time begins with the first question.
    fn deadline(&mut self) -> Option<Instant> {
        match self.rule {
            Rule::None => None,
            Rule::Silence(silence) => Some(Instant::now() + silence),
            Rule::Rate => {
                let since = *self.since.get_or_insert_with(Instant::now);
                let seconds = self.taken / self.bytes_per_second.max(1);
                Some(since + WINDOW + Duration::from_secs(seconds))
            }
        }
    }

    /// Waits for what the sender sends next, as long as it keeps to the rate.
    pub async fn of<F: Future>(
        &mut self,
        patience: &mut Patience,
        next: F,
    ) -> Result<F::Output, Elapsed> {
        match self.deadline() {
            Some(deadline) => patience.by(deadline, next).await,
            None => Ok(next.await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_of_rate_that_was_taken_is_a_second_more() {
        let mut rate = LeastRate::new(100);
        let first = rate.deadline().unwrap();

        rate.took(250);
        assert_eq!(rate.deadline().unwrap() - first, Duration::from_secs(2));
        rate.took(50);
        assert_eq!(rate.deadline().unwrap() - first, Duration::from_secs(3));
    }

    #[test]
    fn no_rate_at_all_still_has_an_end() {
        let mut rate = LeastRate::new(0);
        let first = rate.deadline();

        assert!(first.is_some());
        assert_eq!(rate.deadline(), first);
    }

    #[test]
    fn a_rate_that_is_waived_is_asked_again_of_what_begins_anew() {
        let mut rate = LeastRate::new(100);

        rate.waive();
        assert_eq!(rate.deadline(), None);
        rate.begin_anew();
        assert!(rate.deadline().is_some());
    }
}
