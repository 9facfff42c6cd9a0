//! What goes to the ledger in one request: records, or that some will not come.

use bytes::Bytes;
use tollgate_common::ids::NodeId;
use tollgate_common::internal::{Absent, Fate, UsageBatch};
use tollgate_common::usage::USAGE_RECORD_BYTES;

/// A batch as it is sent.
pub struct Parcel {
    pub epoch: u64,
    pub first: u64,
    pub records: usize,
    pub bytes: Bytes,
    /// There are no records: all that is said is that of those before none will come.
    pub absent: Option<Absent>,
}

/// Records of an epoch, from one to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    pub epoch: u64,
    pub absent: Absent,
    pub until: u64,
}

/// Where delivery of an epoch goes on.
pub struct Back {
    pub epoch: u64,
    /// What the ledger has.
    pub through: u64,
    pub first: u64,
    /// What is between.
    pub gone: Option<Gone>,
}

impl Gone {
    pub fn new(epoch: u64, from: u64, fate: Fate, until: u64) -> Self {
        Self { epoch, absent: Absent { from, fate }, until }
    }

    /// A batch without records that says so.
    pub fn statement(&self, node: NodeId) -> Parcel {
        let batch = UsageBatch { node, epoch: self.epoch, first: self.until, records: Vec::new() };
        Parcel { absent: Some(self.absent), ..Parcel::of(batch) }
    }
}

impl Parcel {
    pub fn of(batch: UsageBatch) -> Self {
        Self {
            epoch: batch.epoch,
            first: batch.first,
            records: batch.records.len() / USAGE_RECORD_BYTES,
            bytes: encoded(&batch).into(),
            absent: None,
        }
    }

    pub fn last(&self) -> u64 {
        self.first + self.records as u64 - 1
    }
}

/// Into one piece of memory of the right size: a batch is large, and would be moved as it grows.
fn encoded(batch: &UsageBatch) -> Vec<u8> {
    const FRAME_BYTES_MAX: usize = 64;
    let bytes = Vec::with_capacity(batch.records.len() + FRAME_BYTES_MAX);
    postcard::to_extend(batch, bytes).expect("a batch has only sized fields")
}
