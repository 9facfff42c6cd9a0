//! What gateways and the control plane say to each other, over HTTP with a node token.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /internal/v1/snapshot?revision=R` | - | endless stream of [`wire`](crate::snapshot::wire) frames: all of it when `R` is 0 or unknown, else what changed since; then changes as they are committed, and a heartbeat each second |
//! | `POST /internal/v1/usage?missing_from=S` | [`UsageBatch`] | [`UsageAck`]; with `missing_from` or `elsewhere_from`, the gateway says of the records from `S` to before the batch, which may be empty, that they are gone, or went to the ledger of another store |
//! | `GET /internal/v1/usage-marks?node=` | - | [`UsageMarks`] |
//! | `GET /internal/v1/usage-totals?node=&epoch=` | - | [`UsageTotals`] |
//! | `GET /internal/v1/node-totals?subscription=&period_start=` | - | [`NodeTotals`] |
//! | `POST /internal/v1/heartbeat` | [`NodeStatus`] | 204 |
//!
//! Bodies other than the snapshot are postcard. Errors are problem+json.

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, RequestId, SubscriptionId};
use crate::refusal::Refusal;
use crate::snapshot::Revision;
use crate::time::Timestamp;

pub const SNAPSHOT_PATH: &str = "/internal/v1/snapshot";
pub const USAGE_PATH: &str = "/internal/v1/usage";
pub const USAGE_MARKS_PATH: &str = "/internal/v1/usage-marks";
pub const USAGE_TOTALS_PATH: &str = "/internal/v1/usage-totals";
pub const NODE_TOTALS_PATH: &str = "/internal/v1/node-totals";
pub const HEARTBEAT_PATH: &str = "/internal/v1/heartbeat";

/// Names the store of a control plane: said with every answer. A gateway says which one it follows, and
/// is answered 412 by a control plane that has another: a new and empty store, where the right one was
/// meant, must not take away every key, and no usage must go to a ledger that is not asked for it.
pub const STORE_HEADER: &str = "tollgate-store";

/// How often an idle snapshot feed says that it is alive.
pub const FEED_HEARTBEAT_MS: u64 = 1_000;

/// Records in one batch: about 1.3 MB, so that one transaction stays short.
pub const USAGE_BATCH_RECORDS_MAX: usize = 10_000;

/// Refusals in one batch that can be asked for by request id; the rest are only counted.
pub const REFUSALS_NAMED_MAX: usize = 1_000;

/// A run of a gateway's journal. Sequence numbers have no holes inside an epoch, and start at 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageBatch {
    pub node: NodeId,
    /// A gateway that starts anew, or on an empty disk, has a new epoch, so keys never collide.
    pub epoch: u64,
    /// Sequence number of the first record.
    pub first: u64,
    /// Encoded [`UsageRecord`](crate::usage::UsageRecord)s, one after the other.
    #[serde(with = "serde_bytes")]
    pub records: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageAck {
    /// Up to here the ledger has all of the epoch. Where that is not even up to the batch, nothing of
    /// the batch was taken: the ledger was put back to an earlier state.
    pub through: u64,
}

/// Up to where the ledger has each epoch of a node.
pub type UsageMarks = Vec<(u64, u64)>;

/// Records of an epoch that a gateway has no longer, from one to before a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    pub from: u64,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No ledger has them any more.
    Missing,
    /// The ledger of the store that the gateway followed before has them.
    Elsewhere,
}

impl Absent {
    /// By which it is said in a query, with the first of them.
    pub const fn parameter(self) -> &'static str {
        match self.fate {
            Fate::Missing => "missing_from",
            Fate::Elsewhere => "elsewhere_from",
        }
    }
}

/// What the ledger has of a subscription's quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTotals {
    /// What each gateway has used in the period that was asked about.
    pub totals: Vec<(NodeId, i64)>,
    /// Where periods began that may still run, and the units that were counted in them. A gateway of an
    /// earlier version reads no further than to here.
    pub begun: Vec<(Timestamp, i64)>,
}

/// What the ledger has counted against quotas in periods that have not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotals {
    /// Up to here the totals hold the asking node's own records of the epochs it may still have.
    pub through: UsageMarks,
    pub totals: Vec<QuotaTotal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaTotal {
    pub subscription: SubscriptionId,
    pub period_start: Timestamp,
    pub units: i64,
}

/// How a gateway does, said each second and whenever it has taken a new revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub node: NodeId,
    pub epoch: u64,
    pub version: String,
    pub address: String,
    pub revision: Revision,
    pub started_at: Timestamp,
    /// Records in the journal that the ledger has not taken.
    pub journal_lag_records: u64,
    pub leases_outstanding: u64,
    /// Refusals since the last status that was delivered.
    pub refusals: RefusalReport,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalReport {
    /// Per subscription and minute (its start).
    pub counts: Vec<RefusalCount>,
    /// The newest, at most [`REFUSALS_NAMED_MAX`].
    pub named: Vec<NamedRefusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    pub subscription: SubscriptionId,
    pub minute: Timestamp,
    pub reason: Refusal,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRefusal {
    pub request: RequestId,
    pub subscription: SubscriptionId,
    pub reason: Refusal,
}
