//! What benchmarks of the control plane have in common: its threads, and the record of a call.

use tokio::runtime::{Builder, Runtime};
use tollgate_common::ids::{KeyId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

/// As many threads as the control plane has in its process.
pub fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("threads can be started")
}

/// A call that went well, the only one of its subscription at that moment.
pub fn call(
    at: Timestamp,
    product: ProductId,
    plan: PlanId,
    subscription: SubscriptionId,
) -> UsageRecord {
    UsageRecord {
        request: RequestId::new(at.0, u128::from_be_bytes(*subscription.as_bytes())),
        part: 0,
        last: true,
        product,
        plan,
        subscription,
        key: KeyId::from_bytes(*subscription.as_bytes()),
        admitted_at: at,
        period_start: at,
        duration_us: 900,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 1,
        bytes_in: 120,
        bytes_out: 900,
    }
}
