//! What it costs the ledger to take records of gateways, by how many subscriptions share a minute. On
//! SQLite, in memory where the system has a place there: what is measured is the work, not the disk.

#[expect(dead_code, reason = "one thread is measured")]
mod control;
#[expect(dead_code, reason = "the gateway on the stage is for the calls of another benchmark")]
mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_admin::ledger::Ledger;
use tollgate_admin::ledger::sweep::Retention;
use tollgate_admin::store::Database;
use tollgate_common::ids::{NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::{USAGE_BATCH_RECORDS_MAX, UsageBatch};
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORDS: u64 = 2_000_000;
const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// A hundred thousand calls a second.
const CALLS_PER_MS: u64 = 100;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread can be started");
    for subscriptions in [100, 10_000, 1_000_000] {
        runtime.block_on(ingest(subscriptions));
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
async fn ingest(subscriptions: u64) {
    let directory = stage::memory_directory();
    let path = directory.path().join("tollgate.db");
    let database = Database::open_file(&path).await.expect("the directory is ours");
    let ledger = Ledger::open(database, Retention::default()).await.expect("the ledger opens");
    let ledger = Arc::new(ledger);
    let per_batch = USAGE_BATCH_RECORDS_MAX as u64;
    let mut taken = Duration::ZERO;
    let cpu_before = stage::cpu_time();
    let mut made = Duration::ZERO;
    for first in (1..=RECORDS).step_by(USAGE_BATCH_RECORDS_MAX) {
        let start = Instant::now();
        let records =
            (first..first + per_batch).flat_map(|number| record(number, subscriptions).encode());
        let node = NodeId::from_bytes([1; 16]);
        let batch = UsageBatch { node, epoch: 1, first, records: records.collect() };
        made += start.elapsed();
        let start = Instant::now();
        ledger.apply(batch, NOW).await.expect("the batch is good");
        taken += start.elapsed();
    }
    let cpu = stage::cpu_time() - cpu_before - made;
    println!(
        "{subscriptions:>9} subscriptions: {:>9.0} records/s, {:.2} us of processor time each",
        RECORDS as f64 / taken.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / RECORDS as f64,
    );
}

fn record(number: u64, subscriptions: u64) -> UsageRecord {
    // Neighbours in time are of different subscriptions, as calls are.
    let subscription = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % subscriptions;
    let id = u128::from(subscription).to_be_bytes();
    let admitted_at = NOW.plus_ms((number / CALLS_PER_MS) as i64);
    let (product, plan) = (ProductId::from_bytes([1; 16]), PlanId::from_bytes([2; 16]));
    UsageRecord {
        request: RequestId::new(admitted_at.0, u128::from(number)),
        period_start: Timestamp(1_793_491_200_000),
        ..control::call(admitted_at, product, plan, SubscriptionId::from_bytes(id))
    }
}
