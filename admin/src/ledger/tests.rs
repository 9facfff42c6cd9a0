//! The ledger on real databases.

mod exactly_once;
mod explanation;
mod quotas;
mod refused;
mod retention;
mod summaries;
mod windows;

use std::sync::Arc;

use rstest::rstest;
use tempfile::TempDir;
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::{UsageAck, UsageBatch};
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

use super::sweep::Retention;
use super::usage::{Scope, UsageItem, UsageQuery};
use super::window::Window;
use super::{ApplyError, Ledger};
use crate::store::Database;
use crate::store::query::query_scalar;
use crate::store::tests::on_a_server;

const NODE: NodeId = NodeId::from_bytes([1; 16]);
const OTHER_NODE: NodeId = NodeId::from_bytes([2; 16]);
const NOW: &str = "2026-11-22T12:00:00Z";

/// What the ledger is kept in.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

struct Books {
    _directory: TempDir,
    database: Database,
    ledger: Arc<Ledger>,
}

impl Kind {
    /// A database that is empty, in a directory where it needs one.
    pub(crate) async fn open(self, directory: &TempDir) -> Database {
        match self {
            Self::Sqlite => {
                Database::open_file(&directory.path().join("tollgate.db")).await.unwrap()
            }
            Self::Postgres => on_a_server().await,
        }
    }
}

impl Books {
    async fn new(kind: Kind) -> Self {
        Self::keeping(kind, Retention::default()).await
    }

    async fn keeping(kind: Kind, retention: Retention) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let ledger = Arc::new(Ledger::open(database.clone(), retention).await.unwrap());
        Self { _directory: directory, database, ledger }
    }

    /// Another ledger on the same database, which remembers nothing of the first.
    async fn other_ledger(&self) -> Arc<Ledger> {
        Arc::new(Ledger::open(self.database.clone(), Retention::default()).await.unwrap())
    }

    async fn apply(&self, first: u64, records: &[UsageRecord]) -> Result<UsageAck, ApplyError> {
        self.ledger.apply(batch(NODE, 1, first, records), at(NOW)).await
    }

    async fn usage(&self, window: Window, from: &str, to: &str) -> Vec<UsageItem> {
        let query = query(window, from, to);
        self.ledger.usage(&query).await.unwrap().items
    }

    /// The quantities of one meter over all time.
    async fn total(&self, meter: &str) -> i64 {
        let items = self.usage(Window::Month, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z").await;
        items.iter().filter(|item| item.meter.label() == meter).map(|item| item.quantity).sum()
    }

    async fn count(&self, table: &'static str) -> i64 {
        self.look_up("COUNT(*)", table).await
    }

    async fn look_up(&self, what: &'static str, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {what} FROM {table}"));
        let mut transaction = self.database.read().await.unwrap();
        query_scalar(sql).fetch_one(&mut transaction).await.unwrap()
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn subscription(number: u8) -> SubscriptionId {
    SubscriptionId::from_bytes([number; 16])
}

fn plan(number: u8) -> PlanId {
    PlanId::from_bytes([number; 16])
}

fn key(number: u8) -> KeyId {
    KeyId::from_bytes([number; 16])
}

/// A plain call of subscription 1, told from others by its number.
fn call(number: u64, admitted_at: &str) -> UsageRecord {
    let admitted_at = at(admitted_at);
    UsageRecord {
        request: RequestId::new(admitted_at.0, u128::from(number)),
        part: 0,
        last: true,
        product: ProductId::from_bytes([9; 16]),
        plan: plan(1),
        subscription: subscription(1),
        key: key(1),
        admitted_at,
        period_start: at("2026-11-01T00:00:00Z"),
        duration_us: 1_500,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 1,
        bytes_in: 10,
        bytes_out: 100,
    }
}

fn batch(node: NodeId, epoch: u64, first: u64, records: &[UsageRecord]) -> UsageBatch {
    let records = records.iter().flat_map(UsageRecord::encode).collect();
    UsageBatch { node, epoch, first, records }
}

fn query(window: Window, from: &str, to: &str) -> UsageQuery {
    UsageQuery {
        scope: Scope::default(),
        meter: None,
        window,
        from: window.start_from(at(from)),
        to: window.start_from(at(to)),
        after: None,
        items_max: 1_000,
    }
}
