//! The least rate of a request body: a sender may pause, but not trickle, and not be silent for long.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::http1::patience::{Elapsed, Patience};

/// A sender may pause this long where the silence allowed is no shorter; over it, the average rate counts.
const WINDOW: Duration = Duration::from_secs(10);

/// How far a body has come, and since when it is waited for.
#[derive(Debug)]
pub struct LeastRate {
    /// 0: none is asked.
    bytes_per_second: u64,
    /// The longest silence, whatever the rate.
    silence: Duration,
    taken: u64,
    since: Option<Instant>,
    is_waived: bool,
}

impl LeastRate {
    pub const fn new(bytes_per_second: u64, silence: Duration) -> Self {
        Self { bytes_per_second, silence, taken: 0, since: None, is_waived: false }
    }

    pub fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// No rate is asked any more.
    pub fn waive(&mut self) {
        self.is_waived = true;
    }

    pub fn limit_silence(&mut self, silence: Duration) {
        self.silence = silence;
    }

    /// What is left of the body is waited for as if it were a body of its own.
    pub fn begin_anew(&mut self) {
        *self = Self::new(self.bytes_per_second, self.silence);
    }

    /// When more must have come. The time for the rate begins with the first question.
    fn deadline(&mut self) -> Instant {
        let now = Instant::now();
        let silent = now + self.silence;
        let since = *self.since.get_or_insert(now);
        match self.taken.checked_div(self.bytes_per_second) {
            Some(seconds) if !self.is_waived => {
                silent.min(since + WINDOW + Duration::from_secs(seconds))
            }
            Some(_) | None => silent,
        }
    }

    /// Waits for what the sender sends next, as long as it keeps to the rate.
    pub async fn of<F: Future>(
        &mut self,
        patience: &mut Patience,
        next: F,
    ) -> Result<F::Output, Elapsed> {
        let deadline = self.deadline();
        patience.by(deadline, next).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn each_second_of_rate_that_was_taken_is_a_second_more() {
        let mut rate = LeastRate::new(100, SILENCE);
        let first = rate.deadline();

        rate.took(250);
        assert_eq!(rate.deadline() - first, Duration::from_secs(2));
        rate.took(50);
        assert_eq!(rate.deadline() - first, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn no_average_allows_a_longer_silence() {
        let mut rate = LeastRate::new(100, SILENCE);

        rate.took(1_000_000);
        assert_eq!(rate.deadline(), Instant::now() + SILENCE);
        rate.limit_silence(SILENCE / 2);
        assert_eq!(rate.deadline(), Instant::now() + SILENCE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_rate_is_asked_a_sender_may_still_not_be_silent() {
        let mut rate = LeastRate::new(0, SILENCE);

        rate.deadline();
        advance(Duration::from_hours(1)).await;
        assert_eq!(rate.deadline(), Instant::now() + SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_is_waived_is_asked_again_of_what_begins_anew() {
        let mut rate = LeastRate::new(100, SILENCE);

        rate.waive();
        assert_eq!(rate.deadline(), Instant::now() + SILENCE);
        rate.begin_anew();
        assert_eq!(rate.deadline(), Instant::now() + WINDOW);
    }
}
