//! How much is called, and so how much is worth drawing ahead.

const SECOND_NS: u64 = 1_000_000_000;

/// A shorter look says nothing: a hundred calls in one millisecond are a burst and no rate.
const LOOK_NS_MIN: u64 = 100_000_000;

/// Calls per second from which on they are drawn ahead, refused ones among them where a rate is
/// concerned: a flood asks no more often than the calls that pass would. Below, each draws for
/// itself, which costs little and lends nothing.
const AHEAD_FROM: f64 = 20.0;

/// What is drawn ahead of a quota lasts so long: one draw a second.
const QUOTA_AHEAD_SECONDS: f64 = 1.0;

#[derive(Clone, Copy, Debug, Default)]
pub struct Demand {
    since_ns: u64,
    tries: u64,
    calls: u64,
    units: u64,
    tries_per_second: f64,
    calls_per_second: f64,
    units_per_second: f64,
}

impl Demand {
    /// A call has come, whatever becomes of it.
    pub fn note_try(&mut self) {
        self.tries += 1;
    }

    /// A call has passed.
    pub fn note(&mut self, units: u64) {
        self.calls += 1;
        self.units += units;
    }

    /// Takes account of what was called since the last look.
    pub fn look(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        if elapsed_ns < LOOK_NS_MIN {
            return;
        }
        let per_second = SECOND_NS as f64 / elapsed_ns as f64;
        // Rises fast, so that a busy start is soon served ahead; falls by half with each time that
        // a look takes, however long nobody looked: what was called an hour ago says nothing.
        let kept = 0.5_f64.powf(elapsed_ns as f64 / LOOK_NS_MIN as f64);
        let blend = |before: f64, counted: u64| {
            let seen = counted as f64 * per_second;
            if seen > before { seen } else { before * kept + seen * (1.0 - kept) }
        };
        self.tries_per_second = blend(self.tries_per_second, self.tries);
        self.calls_per_second = blend(self.calls_per_second, self.calls);
        self.units_per_second = blend(self.units_per_second, self.units);
        (self.since_ns, self.tries, self.calls, self.units) = (now_ns, 0, 0, 0);
    }

    pub fn is_high(&self) -> bool {
        self.calls_per_second >= AHEAD_FROM
    }

    /// Whether many calls come, of which many may be refused.
    pub fn is_pressing(&self) -> bool {
        self.tries_per_second >= AHEAD_FROM
    }

    /// Calls that come in so much time.
    pub fn tries_in(&self, ns: u64) -> u64 {
        (self.tries_per_second * ns as f64 / SECOND_NS as f64) as u64
    }

    /// Calls that pass in so much time.
    pub fn calls_in(&self, ns: u64) -> u64 {
        (self.calls_per_second * ns as f64 / SECOND_NS as f64) as u64
    }

    /// Units in so much time.
    pub fn units_in(&self, ns: u64) -> u64 {
        (self.units_per_second * ns as f64 / SECOND_NS as f64) as u64
    }

    /// Units of a quota that are worth having in hand.
    pub fn units_ahead(&self) -> u64 {
        if self.is_high() { (self.units_per_second * QUOTA_AHEAD_SECONDS) as u64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_burst_is_no_rate_and_what_goes_on_is() {
        let mut demand = Demand::default();
        for at in 1..=1_000 {
            demand.note(3);
            demand.look(at * MS / 100);
        }
        assert!(!demand.is_high());

        for at in 1..=500 {
            demand.note(3);
            demand.look(10 * MS + at * MS);
        }

        assert!(demand.is_high());
        assert!((90..=1_100).contains(&demand.calls_in(100 * MS)), "{demand:?}");
        assert!(demand.units_ahead() >= 3 * demand.calls_in(900 * MS));
    }

    #[test]
    fn a_flood_that_was_long_ago_is_not_drawn_ahead_for() {
        let mut demand = Demand::default();
        (0..1_000).for_each(|_| demand.note_try());
        demand.look(1_000 * MS);
        assert!(demand.is_pressing());

        demand.note_try();
        demand.look(3_600_000 * MS);

        assert!(!demand.is_pressing());
        assert_eq!(demand.tries_in(500 * MS), 0);
    }

    #[test]
    fn who_stops_calling_is_soon_not_drawn_ahead_for() {
        let mut demand = Demand::default();
        (0..1_000).for_each(|_| demand.note(1));
        demand.look(100 * MS);

        (2..=12).for_each(|second| demand.look(second * 1_000 * MS));

        assert!(!demand.is_high());
    }
}
