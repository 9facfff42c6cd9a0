//! A journal with something in it, for the tests of delivery.

use std::path::Path;
use std::sync::Arc;

use tollgate_common::ids::{KeyId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

use crate::journal::{Journal, JournalOptions};

pub const SEGMENT_BYTES: u64 = 4 << 20;

const NOW: Timestamp = Timestamp(1_793_000_000_000);

pub fn journal(directory: &Path) -> Arc<Journal> {
    Arc::new(Journal::open(options(directory), NOW).unwrap())
}

/// The journal of a process that relieves another.
pub fn journal_beside(directory: &Path) -> Arc<Journal> {
    Arc::new(Journal::open_beside(options(directory), NOW).unwrap())
}

fn options(directory: &Path) -> JournalOptions {
    let mut options = JournalOptions::new(directory.join("journal"));
    options.segment_bytes = SEGMENT_BYTES;
    options
}

pub fn subscription(number: u8) -> SubscriptionId {
    SubscriptionId::from_bytes([number; 16])
}

pub fn period() -> Timestamp {
    Timestamp(1_790_000_000_000)
}

/// Appends a record of so many units for each subscription.
pub fn use_units(journal: &Journal, uses: &[(u8, i64)]) {
    for (number, units) in uses {
        journal.append(&record(*number, *units)).unwrap();
    }
}

fn record(number: u8, units: i64) -> UsageRecord {
    UsageRecord {
        request: RequestId::new(1_793_000_000_000, 1),
        part: 0,
        last: true,
        product: ProductId::from_bytes([1; 16]),
        plan: PlanId::from_bytes([2; 16]),
        subscription: subscription(number),
        key: KeyId::from_bytes([3; 16]),
        admitted_at: Timestamp(1_793_000_000_000),
        period_start: period(),
        duration_us: 1_000,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units,
        bytes_in: 0,
        bytes_out: 0,
    }
}
