//! What records are appended to: one segment, and the next in reserve.

use std::collections::VecDeque;

use super::error::AppendError;
use super::record::Payload;
use super::segment::Open;

/// What part of a segment is kept for calls in flight while the next one cannot be made: with
/// 16 MiB, 28 thousand records.
const RESERVE_DIVISOR: u64 = 4;

/// Segments that wait for their sync. A disk that is slower than this much is too slow: new calls
/// are refused until it has caught up.
pub const UNSYNCED_SEGMENTS_MAX: usize = 4;

pub struct Active {
    pub segment: Open,
    /// Ready to be appended to at once.
    pub next: Option<Open>,
    /// Full, or given up, and not synced; oldest first.
    pub filled: VecDeque<Open>,
    /// A sync has failed, and so has writing the records anew.
    pub is_failing: bool,
    /// The journal holds more than it may.
    pub is_over: bool,
    /// The file that is appended to is not where the journal looks for it.
    pub is_gone: bool,
    pub is_closed: bool,
    /// For the name of the next file.
    pub next_number: u64,
}

impl Active {
    /// Whether new calls may be admitted.
    pub fn accepts(&self) -> bool {
        let has_room = self.next.is_some() || self.segment.room() > self.reserve();
        has_room && !(self.is_failing || self.is_over || self.is_gone || self.is_closed)
    }

    fn reserve(&self) -> u64 {
        self.segment.capacity() / RESERVE_DIVISOR
    }

    /// Whether the room has come down to where [`accepts`](Self::accepts) may have changed.
    pub fn is_low(&self) -> bool {
        self.segment.room() <= self.reserve()
    }

    /// Takes the next segment if this one is full, and says whether it did.
    pub fn make_room(&mut self) -> Result<bool, AppendError> {
        if self.is_closed {
            return Err(AppendError::Closed);
        }
        if self.segment.room() > 0 {
            return Ok(false);
        }
        if self.turn() { Ok(true) } else { Err(AppendError::Full) }
    }

    /// Goes on in the next segment if there is one, also where this one is not full.
    pub fn turn(&mut self) -> bool {
        let Some(mut next) = self.next.take() else { return false };
        let first = self.segment.next_sequence();
        if next.header.first != first {
            next.restart_at(first);
        }
        let before = std::mem::replace(&mut self.segment, next);
        if !before.is_stand_in() {
            self.filled.push_back(before);
        }
        true
    }

    /// Appends to the segment, which must have room.
    #[inline]
    pub fn push(&mut self, payload: &Payload) -> u64 {
        self.segment.push(payload)
    }

    /// Sequence number of the last record; zero before the first.
    pub fn appended(&self) -> u64 {
        self.segment.next_sequence() - 1
    }

    pub fn opens(&self) -> impl Iterator<Item = &Open> {
        self.filled.iter().chain([&self.segment]).chain(&self.next)
    }
}
