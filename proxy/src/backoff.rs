//! How long to wait before trying again.
//!
//! Owns the ladder of waits and nothing else: it neither sleeps nor draws random numbers, so the
//! same inputs always give the same wait.

use std::time::Duration;

/// The wait before the first repeat: long enough not to spin, short enough not to be noticed.
const WAIT_FIRST: Duration = Duration::from_millis(50);

/// The longest wait: what comes back is found again within five seconds.
pub const WAIT_LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 50 ms to 5 s. Half of each wait is random, so that many gateways that lost the
/// same admin do not come back in the same instant.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `random` is any evenly distributed number.
    pub fn next(&mut self, random: u32) -> Duration {
        let ceiling = WAIT_FIRST.saturating_mul(1 << self.failures.min(16)).min(WAIT_LONGEST);
        self.failures = self.failures.saturating_add(1);
        ceiling / 2 + (ceiling / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// It worked: the next failure starts from the first wait again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::default();

        let waits: Vec<_> = (0..9).map(|_| backoff.next(u32::MAX).as_millis()).collect();

        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn half_of_a_wait_is_random() {
        assert_eq!(Backoff::default().next(0), WAIT_FIRST / 2);
        assert_eq!(Backoff::default().next(u32::MAX), WAIT_FIRST);
    }

    #[test]
    fn success_starts_the_ladder_anew_however_long_the_failure_was() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.next(u32::MAX), WAIT_LONGEST);

        backoff.reset();

        assert_eq!(backoff.next(u32::MAX), WAIT_FIRST);
    }
}
