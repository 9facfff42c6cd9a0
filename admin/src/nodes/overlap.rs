//! How long two processes of one gateway have spoken side by side. In an upgrade they do, while the
//! older one lets its calls end; two gateways from copies of one data directory do for ever.

use tollgate_common::time::Timestamp;

use super::SILENT_MS_MAX;

/// Longer than calls are mostly given to end (`proxy.drain_timeout`).
const OVERLAP_MS_MAX: i64 = 10 * 60_000;

/// The epochs under which a gateway speaks; a later process has a higher one.
#[derive(Debug, Default)]
pub struct Overlap {
    newest: u64,
    newest_heard: Timestamp,
    /// When an older epoch was first and last heard beside the newest.
    older: Option<(Timestamp, Timestamp)>,
    is_told: bool,
}

impl Overlap {
    /// Notes that an epoch speaks. True once, when two have spoken side by side for too long.
    pub fn hear(&mut self, epoch: u64, now: Timestamp) -> bool {
        let is_silent = |since: Timestamp| now.0 - since.0 > SILENT_MS_MAX;
        if epoch >= self.newest || is_silent(self.newest_heard) {
            (self.newest, self.newest_heard) = (epoch, now);
            return false;
        }
        let since =
            self.older.filter(|(_, last)| !is_silent(*last)).map_or(now, |(since, _)| since);
        self.older = Some((since, now));
        let is_twin = now.0 - since.0 > OVERLAP_MS_MAX && !self.is_told;
        self.is_told |= is_twin;
        is_twin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: i64 = 60;

    /// Hears epochs each second from one to another, and says how often two gateways were found.
    fn hear(overlap: &mut Overlap, seconds: std::ops::Range<i64>, epochs: &[u64]) -> usize {
        let beats = seconds.flat_map(|second| epochs.iter().map(move |epoch| (second, *epoch)));
        beats.filter(|(second, epoch)| overlap.hear(*epoch, Timestamp(second * 1_000))).count()
    }

    #[test]
    fn two_that_go_on_side_by_side_are_told_of_once() {
        let mut overlap = Overlap::default();

        assert_eq!(hear(&mut overlap, 0..10 * MINUTES, &[1, 2]), 0);
        assert_eq!(hear(&mut overlap, 10 * MINUTES..30 * MINUTES, &[1, 2]), 1);
    }

    #[test]
    fn upgrades_one_after_the_other_are_nothing_to_tell_of() {
        let mut overlap = Overlap::default();
        for upgrade in 0..20 {
            let (start, epoch) = (upgrade * 5 * MINUTES, upgrade as u64 + 1);

            assert_eq!(hear(&mut overlap, start..start + MINUTES, &[epoch, epoch + 1]), 0);
            assert_eq!(hear(&mut overlap, start + MINUTES..start + 5 * MINUTES, &[epoch + 1]), 0);
        }
    }

    #[test]
    fn an_older_one_that_goes_on_alone_is_nothing_to_tell_of() {
        let mut overlap = Overlap::default();
        hear(&mut overlap, 0..5, &[1, 2]);

        assert_eq!(hear(&mut overlap, 5..60 * MINUTES, &[1]), 0);
    }
}
