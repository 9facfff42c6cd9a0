//! The clocks of the machine: the one place where the data plane asks for the time.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_common::time::{Clock, Now, Timestamp};

/// For so long the wall is reckoned by the other clock, which is read anyway. A step of the wall is
/// seen no later.
const WALL_KEPT: Duration = Duration::from_millis(10);

thread_local! {
    /// What the wall said, and when it was looked at.
    static WALL: Cell<Option<(i64, Instant)>> = const { Cell::new(None) };
}

#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let now = Instant::now();
        Now {
            wall: Timestamp(wall_ns(now).div_euclid(1_000_000)),
            monotonic_ns: ns_between(self.origin, now),
        }
    }

    fn monotonic_ns(&self) -> u64 {
        ns_between(self.origin, Instant::now())
    }
}

/// Nanoseconds since the Unix epoch.
fn wall_ns(now: Instant) -> i64 {
    if let Some((wall_ns, read_at)) = WALL.get() {
        let since = now.saturating_duration_since(read_at);
        if since < WALL_KEPT {
            return wall_ns + since.as_nanos() as i64;
        }
    }
    let wall_ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    };
    WALL.set(Some((wall_ns, now)));
    wall_ns
}

fn ns_between(earlier: Instant, later: Instant) -> u64 {
    later.saturating_duration_since(earlier).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_is_kept_for_a_moment_and_then_looked_at_again() {
        let now = Instant::now();
        WALL.set(Some((5_000_000, now)));

        assert_eq!(wall_ns(now + Duration::from_millis(9)), 14_000_000);
        let looked_at = wall_ns(now + Duration::from_millis(10));
        let true_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        assert!((true_ns - looked_at).abs() < 60_000_000_000);
    }
}
