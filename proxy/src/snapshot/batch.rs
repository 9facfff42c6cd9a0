//! Which order of frames makes a batch, and what a batch does to a catalog.
//!
//! Owns the rules of `Begin .. Commit`, for the feed and the file alike. It must not know where
//! frames come from or what a catalog is made of.

use std::sync::Arc;

use tollgate_common::snapshot::wire::{Frame, FrameError};
use tollgate_common::snapshot::{Entry, Revision};

/// Changes that may stand in one batch that is not full. What is larger is asked for as a full
/// batch, which is built beside the catalog instead of being held back whole.
pub const DELTA_ENTRIES_MAX: u64 = 100_000;

/// Where batches take effect.
pub trait Sink {
    type Batch<'a>: Batch
    where
        Self: 'a;

    /// A batch without effect so far. A full one leads to a catalog of only what it holds.
    fn begin(&self, full: bool) -> Self::Batch<'_>;
}

impl<S: Sink> Sink for Arc<S> {
    type Batch<'a>
        = S::Batch<'a>
    where
        Self: 'a;

    fn begin(&self, full: bool) -> S::Batch<'_> {
        S::begin(self, full)
    }
}

/// Dropped without `commit`, a batch has no effect.
pub trait Batch: Send {
    type Error: std::error::Error;

    fn entry(&mut self, entry: Entry) -> Result<(), Self::Error>;

    fn commit(self, revision: Revision) -> Result<(), Self::Error>;
}

/// Puts frames together to batches, and batches into force.
pub struct Assembly<'a, S: Sink + 'a> {
    sink: &'a S,
    open: Option<Open<S::Batch<'a>>>,
    /// The last revision that took effect; None before the first full batch.
    revision: Option<Revision>,
}

struct Open<B> {
    batch: B,
    full: bool,
    entries: u64,
}

/// What a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begun,
    Entered,
    Committed {
        revision: Revision,
    },
    /// The sender is there and stands at this revision.
    Alive {
        revision: Revision,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a batch begins inside another")]
    Nested,
    #[error("an entry or a commit stands outside a batch")]
    Outside,
    #[error("changes came before the catalog that they are changes to")]
    NoBase,
    #[error("a batch of changes has more than {DELTA_ENTRIES_MAX} entries")]
    TooManyEntries,
    #[error("a batch says that it has {stated} entries and has {seen}")]
    EntriesMissing { stated: u64, seen: u64 },
    #[error("changes lead from revision {from} back to {to}")]
    RunsBack { from: Revision, to: Revision },
    #[error("a batch cannot be applied: {0}")]
    Apply(String),
}

impl BatchError {
    /// Whether only the whole catalog helps, because the same changes would fail again.
    pub fn needs_all(&self) -> bool {
        match self {
            Self::Frame(_) | Self::Nested | Self::Outside | Self::EntriesMissing { .. } => false,
            Self::NoBase | Self::TooManyEntries | Self::RunsBack { .. } | Self::Apply(_) => true,
        }
    }
}

impl<'a, S: Sink> Assembly<'a, S> {
    /// `revision` is what the catalog in `sink` stands at; None asks for a full batch first.
    pub fn onto(sink: &'a S, revision: Option<Revision>) -> Self {
        Self { sink, open: None, revision }
    }

    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Inside a batch.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next frame. After an error the assembly is of no more use.
    pub fn take(&mut self, frame: Frame) -> Result<Step, BatchError> {
        match frame {
            Frame::Begin { full } => self.begin(full),
            Frame::Entry(entry) => self.entry(entry),
            Frame::Commit { revision, entries } => self.commit(revision, entries),
            Frame::Heartbeat { revision } => Ok(Step::Alive { revision }),
        }
    }

    fn begin(&mut self, full: bool) -> Result<Step, BatchError> {
        if self.open.is_some() {
            return Err(BatchError::Nested);
        }
        if !full && self.revision.is_none() {
            return Err(BatchError::NoBase);
        }
        self.open = Some(Open { batch: self.sink.begin(full), full, entries: 0 });
        Ok(Step::Begun)
    }

    fn entry(&mut self, entry: Entry) -> Result<Step, BatchError> {
        let open = self.open.as_mut().ok_or(BatchError::Outside)?;
        open.entries += 1;
        if !open.full && open.entries > DELTA_ENTRIES_MAX {
            return Err(BatchError::TooManyEntries);
        }
        open.batch.entry(entry).map_err(unusable)?;
        Ok(Step::Entered)
    }

    fn commit(&mut self, revision: Revision, entries: u64) -> Result<Step, BatchError> {
        let open = self.open.take().ok_or(BatchError::Outside)?;
        if open.entries != entries {
            return Err(BatchError::EntriesMissing { stated: entries, seen: open.entries });
        }
        // A full batch may lead back: then the admin's store was put back to an earlier state.
        if let Some(from) = self.revision
            && !open.full
            && revision < from
        {
            return Err(BatchError::RunsBack { from, to: revision });
        }
        open.batch.commit(revision).map_err(unusable)?;
        self.revision = Some(revision);
        Ok(Step::Committed { revision })
    }
}

fn unusable(error: impl std::error::Error) -> BatchError {
    BatchError::Apply(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::shelf::{Shelf, key};

    fn run(shelf: &Shelf, onto: Option<Revision>, frames: Vec<Frame>) -> Result<(), BatchError> {
        let mut assembly = Assembly::onto(shelf, onto);
        frames.into_iter().try_for_each(|frame| assembly.take(frame).map(drop))
    }

    #[test]
    fn a_batch_takes_effect_at_its_commit() {
        let shelf = Shelf::default();
        let mut assembly = Assembly::onto(&shelf, None);

        assembly.take(Frame::Begin { full: true }).unwrap();
        assembly.take(Frame::Entry(key(1))).unwrap();
        assert_eq!(shelf.revision(), None);
        let step = assembly.take(Frame::Commit { revision: 7, entries: 1 }).unwrap();

        assert_eq!(step, Step::Committed { revision: 7 });
        assert_eq!(shelf.revision(), Some(7));
        assert_eq!(shelf.keys(), [1]);
    }

    #[test]
    fn a_batch_that_lost_an_entry_has_no_effect() {
        let shelf = Shelf::default();
        let frames = vec![
            Frame::Begin { full: true },
            Frame::Entry(key(1)),
            Frame::Commit { revision: 7, entries: 2 },
        ];

        let result = run(&shelf, None, frames);

        assert_eq!(result, Err(BatchError::EntriesMissing { stated: 2, seen: 1 }));
        assert_eq!(shelf.revision(), None);
    }

    #[test]
    fn changes_need_a_catalog_and_lead_forward() {
        let shelf = Shelf::default();
        let delta =
            |revision| vec![Frame::Begin { full: false }, Frame::Commit { revision, entries: 0 }];

        assert_eq!(run(&shelf, None, delta(1)), Err(BatchError::NoBase));
        assert_eq!(run(&shelf, Some(5), delta(4)), Err(BatchError::RunsBack { from: 5, to: 4 }));
        assert_eq!(run(&shelf, Some(5), delta(5)), Ok(()));
    }

    #[test]
    fn frames_out_of_order_are_refused() {
        let shelf = Shelf::default();
        let begin = || Frame::Begin { full: true };

        assert_eq!(run(&shelf, None, vec![begin(), begin()]), Err(BatchError::Nested));
        assert_eq!(run(&shelf, None, vec![Frame::Entry(key(1))]), Err(BatchError::Outside));
        let commit = Frame::Commit { revision: 1, entries: 0 };
        assert_eq!(run(&shelf, None, vec![commit]), Err(BatchError::Outside));
    }

    #[test]
    fn a_batch_of_changes_is_bounded_and_a_full_one_is_not() {
        let shelf = Shelf::default();
        let frames = |full| {
            let entries = (0..=DELTA_ENTRIES_MAX).map(|_| Frame::Entry(key(1)));
            std::iter::once(Frame::Begin { full }).chain(entries).collect()
        };

        assert_eq!(run(&shelf, Some(1), frames(false)), Err(BatchError::TooManyEntries));
        assert_eq!(run(&shelf, Some(1), frames(true)), Ok(()));
    }
}
