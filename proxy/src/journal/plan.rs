//! Decides what is to be done with the segments that a process left behind. Pure: it sees what was
//! found and says what to do, so that a recovery that is cut short is simply planned again.
//!
//! - What lies behind the last good record of the file that was appended to last is a torn tail:
//!   it was never complete, and is cut.
//! - What cannot be read before a good record of the same epoch is damage. So is the end of a file
//!   that had been closed: then it is known how many records it held.
//! - A number that no file has, before a good record, is a gap: damage as well.

use super::scan::{Scan, State};

/// What to do with one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing in it is of use, and nothing is missing for it.
    Remove,
    /// All of its `count` records are good.
    Keep { count: u64 },
    /// What is behind its `count` good records was never complete, or was only reserved.
    Cut { count: u64 },
    /// Some of its `count` records are damaged, or some that it had behind them.
    Mend { count: u64 },
    /// Nothing of it can be read though records were there, or others have them too.
    SetAside,
}

impl Step {
    /// Whether the file is gone afterwards.
    pub const fn is_last(self) -> bool {
        match self {
            Self::Remove | Self::SetAside => true,
            Self::Keep { .. } | Self::Cut { .. } | Self::Mend { .. } => false,
        }
    }
}

/// Sequence numbers that no file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub first: u64,
    pub count: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// For each file, in the order given.
    pub steps: Vec<Step>,
    pub gaps: Vec<Gap>,
    /// Slots of a torn tail.
    pub torn: u64,
    /// Records that cannot be read and that the ledger does not have.
    pub lost: u64,
}

/// Plans for one epoch. `acknowledged` is the mark up to which the ledger has it, if it is known.
/// The files are in the order of their first sequence numbers.
pub fn plan(acknowledged: Option<u64>, files: &[&Scan]) -> Plan {
    debug_assert!(files.is_sorted_by_key(|scan| scan.header.first), "files are in order");
    let mut plan = Plan::default();
    let mut expected = acknowledged.map(|through| through + 1);
    let delivered = acknowledged.unwrap_or(0);
    for (index, scan) in files.iter().enumerate() {
        let following = files[index + 1..].iter().find(|later| later.good_end() > 0);
        let first = scan.header.first;
        let good_end = scan.good_end();
        if good_end == 0 {
            let step = plan.without_good(scan, following.is_some(), delivered);
            plan.steps.push(step);
            continue;
        }
        let count = match following {
            Some(later) => capacity(scan).min(later.header.first - first),
            None => good_end,
        };
        if count == 0 {
            plan.steps.push(Step::SetAside);
            continue;
        }
        if let Some(expected) = expected.filter(|expected| *expected < first) {
            plan.gaps.push(Gap { first: expected, count: first - expected });
            plan.lost += first - expected;
        }
        let behind = scan.slots.len() as u64 - count.min(scan.slots.len() as u64);
        let damaged = (0..count).filter(|slot| scan.state(*slot) != State::Good);
        let (damaged, lost) = damaged.fold((0, 0), |(damaged, lost), slot| {
            (damaged + 1, lost + u64::from(first + slot > delivered))
        });
        plan.lost += lost;
        let is_last = following.is_none();
        plan.steps.push(if is_last && scan.is_closed && behind > 0 {
            plan.lost += (first + count + behind - 1).saturating_sub(delivered).min(behind);
            Step::Mend { count }
        } else if damaged > 0 {
            plan.torn += if is_last { behind } else { 0 };
            Step::Mend { count }
        } else if is_last && !scan.is_closed {
            plan.torn += behind;
            Step::Cut { count }
        } else {
            Step::Keep { count }
        });
        expected = Some((first + count).max(delivered + 1));
    }
    plan
}

impl Plan {
    /// A file without a good record: reserved only, torn in its first record, or damaged
    /// throughout. What is missing for one that is followed is counted as a gap.
    fn without_good(&mut self, scan: &Scan, is_followed: bool, delivered: u64) -> Step {
        let written = scan.written();
        if is_followed || scan.slots.is_empty() {
            return if written == 0 { Step::Remove } else { Step::SetAside };
        }
        if scan.is_closed {
            let slots = scan.slots.len() as u64;
            self.lost += (scan.header.first + slots - 1).saturating_sub(delivered).min(slots);
            return Step::SetAside;
        }
        self.torn += written;
        Step::Remove
    }
}

/// Slots that the file could hold: as many as were reserved, or as it was written with.
fn capacity(scan: &Scan) -> u64 {
    if scan.header.allocated == 0 {
        return scan.slots.len() as u64;
    }
    super::header::slots_in(scan.header.allocated)
}
