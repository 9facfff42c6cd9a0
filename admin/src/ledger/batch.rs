//! The bytes of a batch, judged before anything is touched.
//!
//! A batch is taken whole or refused whole. What is refused here would be refused at every repeat,
//! so the node must not throw it away, and someone has to look: it is counted and logged.

use tollgate_common::ids::NodeId;
use tollgate_common::internal::{Absent, USAGE_BATCH_RECORDS_MAX, UsageBatch};
use tollgate_common::time::Timestamp;
use tollgate_common::usage::{USAGE_RECORD_BYTES, UsageRecord, UsageRecordError};

use super::totals::PERIOD_MS_MAX;
use super::window::TIME_END;

/// Most units in one record. Far above any true weight, and far enough below 64 bits that the sum
/// over a group of batches cannot overflow.
pub const UNITS_MAX: i64 = 1 << 44;

/// Most bytes in one record, each way: 16 TiB.
pub const BYTES_MAX: u64 = 1 << 44;

/// A batch as a node sends it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub batch: UsageBatch,
    /// What the node has no records of any more, before the batch.
    pub absent: Option<Absent>,
}

impl From<UsageBatch> for Delivery {
    fn from(batch: UsageBatch) -> Self {
        Self { batch, absent: None }
    }
}

/// A batch whose every record can be applied.
#[derive(Clone, Debug)]
pub struct CheckedBatch {
    pub node: NodeId,
    pub epoch: u64,
    pub first: u64,
    pub absent: Option<Absent>,
    bytes: Vec<u8>,
}

/// Why a batch can never be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{bytes} bytes are not a whole number of records")]
    Torn { bytes: usize },
    #[error("a batch holds at most {USAGE_BATCH_RECORDS_MAX} records, not {records}")]
    TooLong { records: usize },
    #[error("sequence numbers start at 1 and fit in 63 bits")]
    Sequence,
    #[error("record {sequence}: {error}")]
    Record { sequence: u64, error: UsageRecordError },
    #[error("record {sequence}: {what} is out of bounds")]
    OutOfBounds { sequence: u64, what: &'static str },
}

impl CheckedBatch {
    pub fn of(Delivery { batch, absent }: Delivery) -> Result<Self, Malformed> {
        let UsageBatch { node, epoch, first, records: bytes } = batch;
        let (chunks, rest) = bytes.as_chunks::<USAGE_RECORD_BYTES>();
        if !rest.is_empty() {
            return Err(Malformed::Torn { bytes: bytes.len() });
        }
        if chunks.len() > USAGE_BATCH_RECORDS_MAX {
            return Err(Malformed::TooLong { records: chunks.len() });
        }
        if first == 0 || i64::try_from(first.saturating_add(chunks.len() as u64)).is_err() {
            return Err(Malformed::Sequence);
        }
        for (sequence, chunk) in (first..).zip(chunks) {
            let record = UsageRecord::decode(chunk)
                .map_err(|error| Malformed::Record { sequence, error })?;
            if let Some(what) = out_of_bounds(&record) {
                return Err(Malformed::OutOfBounds { sequence, what });
            }
        }
        Ok(Self { node, epoch, first, absent, bytes })
    }

    pub fn count(&self) -> usize {
        self.bytes.len() / USAGE_RECORD_BYTES
    }

    /// The records after the first `skip`, as they came.
    pub fn bytes_from(&self, skip: usize) -> &[u8] {
        &self.bytes[skip * USAGE_RECORD_BYTES..]
    }

    pub fn records_from(&self, skip: usize) -> impl Iterator<Item = UsageRecord> {
        let (chunks, _) = self.bytes_from(skip).as_chunks::<USAGE_RECORD_BYTES>();
        chunks.iter().map(|chunk| UsageRecord::decode(chunk).expect("a checked batch decodes"))
    }
}

/// Names what no gateway can have measured.
fn out_of_bounds(record: &UsageRecord) -> Option<&'static str> {
    // A clock that was never set reads 1970, in a period that began in 1969.
    let periods = Timestamp(-PERIOD_MS_MAX)..TIME_END;
    if !(Timestamp(0)..TIME_END).contains(&record.admitted_at) {
        Some("the time of admission")
    } else if !periods.contains(&record.period_start) {
        Some("the start of the period")
    } else if record.units.unsigned_abs() > UNITS_MAX.unsigned_abs() {
        Some("the number of units")
    } else if record.bytes_in > BYTES_MAX || record.bytes_out > BYTES_MAX {
        Some("the number of bytes")
    } else if record.calls > 1 {
        Some("the number of calls")
    } else {
        None
    }
}
