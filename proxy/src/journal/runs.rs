//! What a process holds of each epoch, and what of it the ledger has.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint::Marks;
use super::segment::Sealed;

/// One epoch's segments that are not appended to any more, in order and without a hole.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Which of the process's lanes it is in.
    pub lane: usize,
    /// The ledger has it up to here.
    pub acknowledged: u64,
    pub segments: VecDeque<Sealed>,
}

impl Run {
    pub fn last(&self) -> u64 {
        self.segments.back().map_or(self.acknowledged, Sealed::last)
    }
}

/// By epoch. The epoch that is appended to is always there.
#[derive(Debug, Default)]
pub struct Runs(pub BTreeMap<u64, Run>);

impl Runs {
    pub fn run_mut(&mut self, epoch: u64) -> &mut Run {
        self.0.entry(epoch).or_default()
    }

    /// The oldest segments of a lane that the ledger has wholly.
    pub fn acknowledged_segments(&self, lane: usize) -> Vec<(u64, Sealed)> {
        let runs = self.0.iter().filter(|(_, run)| run.lane == lane);
        runs.flat_map(|(epoch, run)| {
            run.segments
                .iter()
                .take_while(|segment| segment.last() <= run.acknowledged)
                .map(|segment| (*epoch, segment.clone()))
        })
        .collect()
    }

    /// Forgets a segment that has been removed, and its epoch with the last one of it: then true.
    pub fn forget(&mut self, epoch: u64, segment: &Sealed, current: u64) -> bool {
        let Some(run) = self.0.get_mut(&epoch) else { return false };
        run.segments.retain(|held| held.path != segment.path);
        let is_last = run.segments.is_empty() && epoch != current;
        if is_last {
            self.0.remove(&epoch);
        }
        is_last
    }

    /// Whether something of a lane is left.
    pub fn has_lane(&self, lane: usize) -> bool {
        self.0.values().any(|run| run.lane == lane)
    }

    pub fn marks(&self, lane: usize) -> Marks {
        let runs = self.0.iter().filter(|(_, run)| run.lane == lane);
        runs.map(|(epoch, run)| (*epoch, run.acknowledged)).collect()
    }

    pub fn segments(&self) -> impl Iterator<Item = &Sealed> {
        self.0.values().flat_map(|run| &run.segments)
    }
}
