//! How long to wait before the next attempt.

use super::capability::CLOCK_SKEW_MS_MAX;

/// The first wait.
const FIRST_MS: i64 = 1_000;

/// The longest wait: a destination that is back is noticed within it.
const LONGEST_MS: i64 = 10 * 60_000;

/// A wait that a destination asks for is believed up to here.
pub const ASKED_MS_MAX: i64 = 24 * 3_600_000;

/// Doubles with each attempt. `jitter` from 0 to 1 takes up to half of it away, so that many that
/// failed together do not come back together. Never shorter than what the destination asked for.
pub fn wait_ms(attempts: u32, asked_ms: Option<i64>, jitter: f64) -> i64 {
    let doublings = attempts.saturating_sub(1).min(20);
    let whole = FIRST_MS.saturating_mul(1 << doublings).min(LONGEST_MS);
    let kept = whole - (whole as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as i64;
    kept.max(asked_ms.unwrap_or(0).min(ASKED_MS_MAX))
}

/// No wait is longer, by whichever clock it was begun. What is due later was put off by a clock that
/// was ahead.
pub const WAIT_MS_MAX: i64 = 24 * 3_600_000 + CLOCK_SKEW_MS_MAX;

const _: () = assert!(LONGEST_MS < WAIT_MS_MAX);
const _: () = assert!(ASKED_MS_MAX < WAIT_MS_MAX);
const _: () = assert!(LOOK_LONGEST_MS < WAIT_MS_MAX);

/// The first wait before the next look at what was acknowledged and is not shown.
const LOOK_FIRST_MS: i64 = 10 * 60_000;

/// The longest of those waits.
const LOOK_LONGEST_MS: i64 = 24 * 3_600_000;

/// Looks at one delivery: a destination that never shows anything is not asked for ever.
const LOOKS_MAX: u32 = 20;

/// How long to wait after so many looks that showed nothing; None when it is enough.
pub fn look_ms(looks: u32) -> Option<i64> {
    let wait = LOOK_FIRST_MS << looks.saturating_sub(1).min(10);
    (looks < LOOKS_MAX).then_some(wait.min(LOOK_LONGEST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_a_bound_and_is_never_shorter_than_asked_for() {
        let waits: Vec<i64> =
            [1, 2, 3, 10, 11, 1_000].map(|attempts| wait_ms(attempts, None, 0.0)).into();

        assert_eq!(waits, [1_000, 2_000, 4_000, 512_000, LONGEST_MS, LONGEST_MS]);
        assert_eq!(wait_ms(1, Some(90_000), 1.0), 90_000);
        assert_eq!(wait_ms(1, Some(i64::MAX), 0.0), ASKED_MS_MAX);
        assert_eq!(wait_ms(3, None, 1.0), 2_000);
    }

    #[test]
    fn what_is_never_shown_is_not_looked_for_for_ever() {
        let waits = [1, 2, 8, 9, 19, 20].map(look_ms);

        let expected = [600_000, 1_200_000, 76_800_000, LOOK_LONGEST_MS, LOOK_LONGEST_MS];
        assert_eq!(waits[..5], expected.map(Some));
        assert_eq!(waits[5], None);
    }
}
