//! What it costs the ledger to take records of gateways, by how many gateways deliver and how many
//! subscriptions share a minute. On SQLite, in memory where the system has a place there: what is
//! measured is the work, not the disk.

#[expect(dead_code, reason = "the ledger alone is measured")]
mod control;
#[expect(dead_code, reason = "the gateway on the stage is for the calls of another benchmark")]
mod stage;

use std::sync::Arc;
use std::time::Instant;

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    for nodes in [1, 8] {
        for subscriptions in [100, 10_000, 1_000_000] {
            runtime.block_on(ingest(nodes, subscriptions));
        }
    }
}

/// Each gateway delivers one batch after the other, as it does when it has more than one.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
async fn ingest(nodes: u64, subscriptions: u64) {
    let directory = stage::memory_directory();
    let path = directory.path().join("tollgate.db");
    let database = Database::open_file(&path).await.expect("the directory is ours");
    let ledger = Ledger::open(database, Retention::default()).await.expect("the ledger opens");
    let ledger = Arc::new(ledger);
    let journals: Vec<_> = (0..nodes).map(|node| journal(node, nodes, subscriptions)).collect();
    let (start, cpu_before) = (Instant::now(), stage::cpu_time());
    let deliveries = journals.into_iter().map(|batches| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for batch in batches {
                ledger.apply(batch, NOW).await.expect("the batch is good");
            }
        })
    });
    for delivery in deliveries.collect::<Vec<_>>() {
        delivery.await.expect("a delivery comes to its end");
    }
    let (taken, cpu) = (start.elapsed(), stage::cpu_time() - cpu_before);
    println!(
        "{nodes} gateways, {subscriptions:>9} subscriptions: {:>9.0} records/s, \
         {:.2} us of processor time each",
        RECORDS as f64 / taken.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / RECORDS as f64,
    );
}

/// What one of the gateways has to deliver: batches of calls are dealt to them in turn.
fn journal(node: u64, nodes: u64, subscriptions: u64) -> Vec<UsageBatch> {
    let per_batch = USAGE_BATCH_RECORDS_MAX as u64;
    let id = NodeId::from_bytes(u128::from(node).to_be_bytes());
    let starts = (1..=RECORDS).step_by(USAGE_BATCH_RECORDS_MAX).skip(node as usize);
    let batch = |(first, start): (u64, u64)| {
        let calls = start..start + per_batch;
        let records = calls.flat_map(|call| record(call, subscriptions).encode()).collect();
        UsageBatch { node: id, epoch: 1, first, records }
    };
    (1..).step_by(USAGE_BATCH_RECORDS_MAX).zip(starts.step_by(nodes as usize)).map(batch).collect()
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
