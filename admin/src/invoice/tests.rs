//! Invoices from a real ledger, at moments of the test's choosing. Amounts are in minor units.

use std::collections::BTreeMap;
use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_common::catalog::{
    BillingMode, Consumer, OutageMode, PeriodKind, Plan, Product, ProductStatus, QuotaMode,
    Subscription, SubscriptionStatus,
};
use tollgate_common::ids::{ConsumerId, KeyId, NodeId, ProductId, RequestId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::outcome::{Outcome, OutcomeSet};
use tollgate_common::usage::UsageRecord;

use super::*;
use crate::ledger::sweep::Retention;
use crate::ledger::tests::Kind as Books;
use crate::store::catalog::CommitRecord;
use crate::store::{CatalogWrite, Database, SqlCatalog};

pub(crate) const SUBSCRIPTION: SubscriptionId = SubscriptionId::from_bytes([7; 16]);
pub(crate) const A: u8 = 1;
pub(crate) const B: u8 = 2;

pub(crate) struct Office {
    pub(crate) database: Database,
    pub(crate) store: SqlCatalog,
    pub(crate) ledger: Arc<Ledger>,
    _directory: TempDir,
    records: u64,
    revision: u64,
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub(crate) fn plan(id: u8, prices: Value) -> Plan {
    let is_metered =
        prices.as_array().unwrap().iter().any(|price| price["usage_type"] == "metered");
    Plan {
        id: PlanId::from_bytes([id; 16]),
        product_id: ProductId::from_bytes([9; 16]),
        name: format!("plan {id}"),
        billing_mode: if is_metered { BillingMode::Metered } else { BillingMode::Fixed },
        price_label: String::new(),
        monthly_quota: None,
        rate_limit: None,
        burst: None,
        quota_mode: QuotaMode::Hard,
        period: PeriodKind::CalendarMonth,
        time_zone: "UTC".into(),
        counted_outcomes: OutcomeSet::ANSWERED,
        billed_outcomes: OutcomeSet::ANSWERED,
        outage_mode: OutageMode::Share,
        prices: prices.as_array().unwrap().iter().map(price).collect(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn price(fields: &Value) -> tollgate_common::price::Price {
    let mut object = json!({
        "name": "price", "interval": "month", "usage_type": "licensed", "billing_scheme": "flat",
        "currency": "USD",
    });
    for (name, value) in fields.as_object().unwrap() {
        object[name] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

pub(crate) fn fee(amount: u64) -> Value {
    json!([{ "amount": amount }])
}

pub(crate) fn per_unit(amount: u64) -> Value {
    json!([{ "usage_type": "metered", "amount": amount }])
}

/// One call of ten units by its moment.
pub(crate) fn call(plan: u8, admitted_at: &str) -> UsageRecord {
    UsageRecord {
        request: RequestId::new(at(admitted_at).0, 1),
        part: 0,
        last: true,
        product: ProductId::from_bytes([9; 16]),
        plan: PlanId::from_bytes([plan; 16]),
        subscription: SUBSCRIPTION,
        key: KeyId::from_bytes([1; 16]),
        admitted_at: at(admitted_at),
        period_start: at("2026-11-01T00:00:00Z"),
        duration_us: 1,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 10,
        bytes_in: 1,
        bytes_out: 100,
    }
}

impl Office {
    /// A subscription on the first of the plans, since a moment.
    pub(crate) async fn open(plans: &[Plan], started_at: &str) -> Self {
        Self::open_on(Books::Sqlite, plans, started_at).await
    }

    pub(crate) async fn open_on(kind: Books, plans: &[Plan], started_at: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let ledger = Ledger::open(database.clone(), Retention::default()).await.unwrap();
        let mut office = Self {
            store: SqlCatalog::open(database.clone()).await.unwrap(),
            database,
            ledger: Arc::new(ledger),
            _directory: directory,
            records: 0,
            revision: 0,
        };
        let consumer = Consumer {
            id: ConsumerId::from_bytes([1; 16]),
            name: "Ada".into(),
            email: None,
            external_ids: BTreeMap::new(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let subscription = Subscription {
            id: SUBSCRIPTION,
            consumer_id: consumer.id,
            product_id: plans[0].product_id,
            plan_id: plans[0].id,
            status: SubscriptionStatus::Active,
            started_at: at(started_at),
            canceled_at: None,
            created_at: at(started_at),
            updated_at: at(started_at),
        };
        office
            .change(async |catalog| {
                catalog.save_product(&product()).await?;
                for plan in plans {
                    catalog.save_plan(plan).await?;
                }
                catalog.save_consumer(&consumer).await?;
                catalog.save_subscription(&subscription).await
            })
            .await;
        office
    }

    pub(crate) async fn change(
        &mut self,
        edit: impl AsyncFnOnce(&mut dyn CatalogWrite) -> Result<(), StoreError>,
    ) {
        let mut catalog = self.store.write().await.unwrap();
        edit(&mut *catalog).await.unwrap();
        self.revision += 1;
        let (revision, at) = (self.revision, Timestamp(0));
        let record = CommitRecord { revision, at, frames: vec![], audit: vec![] };
        catalog.commit(record).await.unwrap();
    }

    pub(crate) async fn edit_subscription(&mut self, edit: impl FnOnce(&mut Subscription)) {
        self.change(async |catalog| {
            let mut subscription = catalog.subscription(SUBSCRIPTION).await?.unwrap();
            edit(&mut subscription);
            catalog.save_subscription(&subscription).await
        })
        .await;
    }

    pub(crate) async fn move_to(&mut self, plan: u8, moment: &str) {
        let until = at(moment);
        self.change(async |catalog| {
            let subscription = catalog.subscription(SUBSCRIPTION).await?.unwrap();
            catalog.keep_plan_left(SUBSCRIPTION, subscription.plan_id, until).await?;
            let plan_id = PlanId::from_bytes([plan; 16]);
            catalog.save_subscription(&Subscription { plan_id, ..subscription }).await
        })
        .await;
    }

    /// Calls that a gateway delivers.
    pub(crate) async fn use_up(&mut self, calls: &[UsageRecord]) {
        let records: Vec<u8> = calls.iter().flat_map(|record| record.encode()).collect();
        let (node, first) = (NodeId::from_bytes([1; 16]), self.records + 1);
        self.records += calls.len() as u64;
        let batch = UsageBatch { node, epoch: 1, first, records };
        self.ledger.apply(batch, at("2026-11-22T00:00:00Z")).await.unwrap();
    }

    async fn try_preview(&self, month: Option<&str>, now: &str) -> Result<Invoice, InvoiceError> {
        let month = month.map(|month| format!("{month}-01").parse().unwrap());
        self.ask(month.map_or(Asked::Current, Asked::Month), now).await
    }

    async fn ask(&self, asked: Asked, now: &str) -> Result<Invoice, InvoiceError> {
        preview(&self.store, &self.ledger, SUBSCRIPTION, asked, at(now)).await
    }

    pub(crate) async fn preview(&self, month: &str, now: &str) -> Invoice {
        self.try_preview(Some(month), now).await.unwrap()
    }

    /// What the months of 2026 come to, from `first` to `last`.
    async fn months(&self, first: u8, last: u8) -> Vec<i64> {
        let mut amounts = Vec::new();
        for month in first..=last {
            let invoice = self.preview(&format!("2026-{month:02}"), "2027-01-02T00:00:00Z").await;
            amounts.push(invoice.lines.iter().map(|line| line.amount).sum());
        }
        amounts
    }
}

fn product() -> Product {
    Product {
        id: ProductId::from_bytes([9; 16]),
        name: "weather".into(),
        title: String::new(),
        description: String::new(),
        gateway_endpoint: None,
        status: ProductStatus::Active,
        hosts: vec![],
        routes: vec![],
        upstream: Default::default(),
        key_query_parameter: None,
        body_bytes_max: None,
        metadata: BTreeMap::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

/// `kind plan price meter from..to quantity amount`, a line each.
fn shown(invoice: &Invoice) -> String {
    let line = |line: &Line| {
        format!(
            "{} {} {} {} {}..{} {} {}",
            line.kind.label(),
            line.plan_name,
            line.price.as_deref().unwrap_or("-"),
            line.meter.map_or("-", |meter| meter.label()),
            line.span.start,
            line.span.end,
            line.quantity,
            line.amount,
        )
    };
    invoice.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn totals_shown(invoice: &Invoice) -> Vec<String> {
    invoice.totals.iter().map(ToString::to_string).collect()
}

const NOW: &str = "2026-11-22T12:00:00Z";

/// Days with calls that say what time it is, so that what is too old for the ledger is.
const LATELY: [&str; 3] = ["2026-11-19T10:00:00Z", "2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"];

mod changes;
mod periods;
mod usage;
