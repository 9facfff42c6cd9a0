//! Costs of real subscriptions, at moments of the test's choosing. Amounts are in minor units.

mod crashes;
mod sums;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_common::catalog::{Consumer, Plan, SubscriptionStatus};
use tollgate_common::ids::DestinationId;

use super::*;
use crate::invoice::tests::{A, B, Office, SUBSCRIPTION, at, call, fee, per_unit, plan};
use crate::ledger::tests::Kind as Database;
use crate::ledger::window::Window;
use crate::sending::kind::Kind;
use crate::sending::outbox::lease::{self, Fence};
use crate::sending::registration::{Registration, Status};

/// November is over, and what was under way has had its time.
const NOW: &str = "2026-12-01T01:00:00Z";

/// When late usage is seen, and when it is corrected.
const SEEN: &str = "2026-12-02T00:00:00Z";
const CORRECTED: &str = "2026-12-02T01:00:00Z";

/// A destination of costs.
struct Desk {
    office: Office,
    root: TempDir,
    registration: Registration,
    fence: Fence,
    format: Format,
}

impl Desk {
    async fn open(office: Office) -> Self {
        let held = lease::hold(&office.database, &[1], at(NOW)).await.unwrap();
        let registration = Registration {
            id: DestinationId::from_bytes([8; 16]),
            name: "billing".into(),
            kind: Kind::File,
            settings: BTreeMap::new(),
            meters: vec![],
            window: Window::Hour,
            starts_at: at("2026-11-01T00:00:00Z"),
            status: Status::Active,
            pause_reason: None,
            has_secret: false,
            created_at: at(NOW),
            updated_at: at(NOW),
        };
        let root = tempfile::tempdir().unwrap();
        Self { office, root, registration, fence: held.unwrap(), format: Format::Jsonl }
    }

    async fn with(plans: &[Plan]) -> Self {
        Self::open(Office::open(plans, "2026-10-10T00:00:00Z").await).await
    }

    async fn turn(&self, now: &str) -> Result<(), BooksError> {
        let books = Books {
            store: &self.office.store,
            ledger: &self.office.ledger,
            database: &self.office.database,
            registration: &self.registration,
            fence: self.fence,
        };
        let directory = self.root.path().join("out");
        let name = self.registration.name.clone();
        let costs = Costs::new(&directory, self.format, name, "Ada Inc.".into());
        costs.take(&books, at(now)).await
    }

    /// So many turns that nothing is left to be done.
    async fn turns(&self, now: &str) {
        for _ in 0..6 {
            self.turn(now).await.unwrap();
        }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("out/costs")
    }

    /// The files, in order.
    fn files(&self) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.directory()) else { return BTreeMap::new() };
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
    }

    fn rows(&self) -> Vec<Value> {
        let files = self.files();
        let lines = files.values().flat_map(|text| text.lines());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `category class description from..to quantity unit cost`, a row each.
    fn shown(&self) -> String {
        let day = |value: &Value| value.as_str().unwrap()[..10].to_owned();
        let shown = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let line = |row: &Value| {
            format!(
                "{} {} {} {}..{} {} {} {} {}",
                shown(&row["ChargeCategory"]),
                shown(&row["ChargeClass"]),
                shown(&row["ChargeDescription"]),
                day(&row["ChargePeriodStart"]),
                day(&row["ChargePeriodEnd"]),
                shown(&row["PricingQuantity"]),
                shown(&row["PricingUnit"]),
                row["BilledCost"],
                shown(&row["BillingCurrency"]),
            )
        };
        self.rows().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What all rows of a month come to, in minor units.
    fn sums(&self, month: &str) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for row in self.rows().iter().filter(|row| row["x_InvoiceMonth"] == month) {
            if row["BillingCurrency"] == Currency::NONE.code() {
                assert_eq!(row["BilledCost"], 0);
                continue;
            }
            let currency: Currency = row["BillingCurrency"].as_str().unwrap().parse().unwrap();
            let one = f64::from(10_u32.pow(currency.exponent().into()));
            let cost = (row["BilledCost"].as_f64().unwrap() * one).round() as i64;
            *sums.entry(currency.to_string()).or_default() += cost;
        }
        sums
    }

    /// What the invoice of a month comes to now.
    async fn owed(&self, month: &str) -> BTreeMap<String, i64> {
        let invoice = self.office.preview(month, "2027-01-02T00:00:00Z").await;
        let totals = invoice.totals.iter();
        totals.map(|total| (total.currency.to_string(), total.minor_units)).collect()
    }

    async fn due(&self, now: &str) -> Vec<Due> {
        let mut db = self.office.database.read().await.unwrap();
        outbox::due(&mut db, self.registration.id, at(now), 10).await.unwrap()
    }
}

fn tiers(mode: &str) -> Value {
    json!({
        "name": "use", "usage_type": "metered", "billing_scheme": "tiered", "tier_mode": mode,
        "tiers": [
            { "up_to": 15, "amount": "2.5", "flat_amount": 700 },
            { "up_to": null, "amount": 1, "flat_amount": 50 },
        ],
    })
}

#[rstest]
#[tokio::test]
async fn a_period_that_is_over_is_written_to_the_cent(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let bounded = json!({
        "name": "calls", "usage_type": "metered", "meter": "calls", "amount": 3,
        "minimum_spend": 5000,
    });
    let first = json!([{ "name": "fee", "amount": 2999 }, tiers("graduated"), bounded]);
    let second = json!([{ "name": "fee", "amount": 9000 }, tiers("volume")]);
    let plans = [plan(A, first), plan(B, second)];
    let mut office = Office::open_on(database, &plans, "2026-10-10T00:00:00Z").await;
    office.move_to(B, "2026-11-11T00:00:00Z").await;
    let calls = [call(A, "2026-11-02T00:00:00Z"), call(A, "2026-11-03T00:00:00Z")];
    office.use_up(&calls).await;
    office.use_up(&[call(B, "2026-11-30T23:59:00Z")]).await;
    let desk = Desk::open(office).await;

    desk.turns("2026-12-01T00:59:59Z").await;
    assert_eq!(desk.files().len(), 0);
    desk.turns(NOW).await;

    insta::allow_duplicates! {
        insta::assert_snapshot!(desk.shown(), @r#"
        Usage - calls on plan "plan 1", price "calls" 2026-11-01..2026-11-11 2 Requests 0.06 USD
        Adjustment - minimum or maximum spend of plan "plan 1", price "calls" 2026-11-01..2026-11-11 - - 16.61 USD
        Purchase - plan "plan 1", price "fee" 2026-11-01..2026-11-11 1 Licenses 10.0 USD
        Usage - units on plan "plan 1", price "use" 2026-11-01..2026-11-11 20 Units 7.93 USD
        Purchase - plan "plan 2", price "fee" 2026-11-11..2026-12-01 1 Licenses 60.0 USD
        Usage - units on plan "plan 2", price "use" 2026-11-11..2026-12-01 10 Units 7.25 USD
        "#);
    }
    assert_eq!(desk.sums("2026-11"), desk.owed("2026-11").await);
    assert_eq!(desk.sums("2026-10"), BTreeMap::new());
    desk.turns("2026-12-31T23:00:00Z").await;
    assert_eq!(desk.files().len(), 1);
}

#[rstest]
#[tokio::test]
async fn late_usage_is_corrected_once_and_by_the_difference(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let price = json!([{ "usage_type": "metered", "amount": 7, "minimum_spend": 100 }]);
    let mut office = Office::open_on(database, &[plan(A, price)], "2026-10-10T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-02T00:00:00Z")]).await;
    let mut desk = Desk::open(office).await;
    desk.turns(NOW).await;
    assert_eq!(desk.due("2026-12-31T00:00:00Z").await, []);

    let late = [call(A, "2026-11-02T00:00:00Z"), call(A, "2026-11-30T23:59:00Z")];
    desk.office.use_up(&late).await;
    desk.turns(SEEN).await;
    assert_eq!(desk.files().len(), 1);
    desk.turns(CORRECTED).await;
    desk.turns("2026-12-03T00:00:00Z").await;

    insta::allow_duplicates! {
        insta::assert_snapshot!(desk.shown(), @r#"
        Usage - units on plan "plan 1", price "price" 2026-11-01..2026-12-01 10 Units 0.7 USD
        Adjustment - minimum or maximum spend of plan "plan 1", price "price" 2026-11-01..2026-12-01 - - 0.3 USD
        Usage Correction units on plan "plan 1", price "price" 2026-11-01..2026-12-01 20 Units 1.4 USD
        Adjustment Correction minimum or maximum spend of plan "plan 1", price "price" 2026-11-01..2026-12-01 - - -0.3 USD
        "#);
    }
    assert_eq!(desk.sums("2026-11"), desk.owed("2026-11").await);
    let ids: BTreeSet<String> =
        desk.rows().iter().map(|row| row["x_ChargeId"].to_string()).collect();
    assert_eq!(ids.len(), desk.rows().len());
}

#[tokio::test]
async fn usage_of_a_free_plan_is_shown_and_costs_nothing() {
    let mut office = Office::open(&[plan(A, json!([]))], "2026-10-10T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-02T00:00:00Z")]).await;
    let desk = Desk::open(office).await;

    desk.turns(NOW).await;

    let row = r#"Usage - units on plan "plan 1" 2026-11-01..2026-12-01 10 Units 0 XXX"#;
    assert_eq!(desk.shown(), row);
}

#[tokio::test]
async fn a_row_has_the_columns_of_focus() {
    let yen = json!([{ "usage_type": "metered", "amount": 7, "currency": "JPY" }]);
    let mut office = Office::open(&[plan(A, yen)], "2026-10-10T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-02T00:00:00Z")]).await;
    let desk = Desk::open(office).await;

    desk.turns(NOW).await;

    let (files, rows) = (desk.files(), desk.rows());
    let cells = rows[0].as_object().unwrap().iter().filter(|(name, _)| *name != "x_ChargeId");
    let cells: Vec<String> = cells.map(|(name, value)| format!("{name}: {value}")).collect();
    insta::assert_snapshot!(cells.join("\n"), @r#"
    BilledCost: 70
    BillingAccountId: "01010101-0101-0101-0101-010101010101"
    BillingAccountName: "Ada"
    BillingCurrency: "JPY"
    BillingPeriodEnd: "2026-12-01T00:00:00Z"
    BillingPeriodStart: "2026-11-01T00:00:00Z"
    ChargeCategory: "Usage"
    ChargeClass: null
    ChargeDescription: "units on plan \"plan 1\", price \"price\""
    ChargeFrequency: "Usage-Based"
    ChargePeriodEnd: "2026-12-01T00:00:00Z"
    ChargePeriodStart: "2026-11-01T00:00:00Z"
    ConsumedQuantity: 10
    ConsumedUnit: "Units"
    ContractedCost: 70
    EffectiveCost: 70
    InvoiceIssuerName: "Ada Inc."
    ListCost: 70
    PricingCategory: "Standard"
    PricingQuantity: 10
    PricingUnit: "Units"
    ProviderName: "Ada Inc."
    PublisherName: "Ada Inc."
    ResourceId: "07070707-0707-0707-0707-070707070707"
    ResourceName: null
    ResourceType: "Subscription"
    ServiceCategory: "Other"
    ServiceName: "weather"
    ServiceSubcategory: "Other (Other)"
    SkuId: "01010101-0101-0101-0101-010101010101"
    SkuMeter: "units"
    SkuPriceId: "01010101-0101-0101-0101-010101010101/price"
    SubAccountId: "07070707-0707-0707-0707-070707070707"
    SubAccountName: null
    x_Customer: "01010101-0101-0101-0101-010101010101"
    x_InvoiceMonth: "2026-11"
    x_LineKind: "usage"
    x_ProductId: "09090909-0909-0909-0909-090909090909"
    x_Version: 1
    "#);
    let name = files.keys().next().unwrap();
    assert!(name.starts_with("000000000001-") && name.ends_with(".jsonl"), "{name}");
}

#[tokio::test]
async fn a_consumer_that_was_deleted_is_named_by_its_ids() {
    let mut office = Office::open(&[plan(A, per_unit(7))], "2026-10-10T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-02T00:00:00Z")]).await;
    office
        .change(async |catalog| {
            let subscription = catalog.subscription(SUBSCRIPTION).await?.unwrap();
            let consumer = catalog.consumer(subscription.consumer_id).await?.unwrap();
            let external_ids = BTreeMap::from([("billing".to_owned(), "cus_1".to_owned())]);
            catalog.save_consumer(&Consumer { external_ids, ..consumer.clone() }).await?;
            catalog.delete_consumer(consumer.id, at("2026-11-20T00:00:00Z")).await
        })
        .await;
    let desk = Desk::open(office).await;

    desk.turns(NOW).await;

    let rows = desk.rows();
    let names = ["BillingAccountId", "BillingAccountName", "x_Customer"];
    let known = names.map(|name| rows[0][name].clone());
    assert_eq!(json!(known), json!(["01010101-0101-0101-0101-010101010101", null, "cus_1"]));
}

#[tokio::test]
async fn a_subscription_that_was_canceled_is_looked_at_no_more_unless_it_is_used() {
    let mut desk = Desk::with(&[plan(A, per_unit(7))]).await;
    desk.office
        .edit_subscription(|subscription| {
            subscription.status = SubscriptionStatus::Canceled;
            subscription.canceled_at = Some(at("2026-11-05T00:00:00Z"));
        })
        .await;
    for now in [NOW, "2027-01-01T01:00:00Z", "2027-02-01T01:00:00Z"] {
        desk.turns(now).await;
    }
    assert_eq!(desk.due("2028-01-01T00:00:00Z").await, []);

    desk.office.use_up(&[call(A, "2027-02-01T00:30:00Z")]).await;
    for now in ["2027-02-02T00:00:00Z", "2027-02-02T01:00:00Z", "2027-03-01T01:00:00Z"] {
        desk.turns(now).await;
    }

    assert_eq!(desk.sums("2027-02"), BTreeMap::from([("USD".to_owned(), 70)]));
}

#[tokio::test]
async fn what_is_too_old_to_be_rated_is_passed_over() {
    let mut desk = Desk::with(&[plan(A, fee(100))]).await;
    desk.registration.starts_at = at("2020-01-01T00:00:00Z");
    let lately = ["2028-01-28T10:00:00Z", "2028-01-29T10:00:00Z", "2028-01-30T10:00:00Z"];
    desk.office.use_up(&lately.map(|moment| call(A, moment))).await;

    for _ in 0..4 {
        desk.turns("2028-02-01T01:00:00Z").await;
    }

    let months: BTreeSet<String> =
        desk.rows().iter().map(|row| row["x_InvoiceMonth"].as_str().unwrap().to_owned()).collect();
    assert_eq!(months.first().unwrap(), "2027-01");
    assert_eq!(months.last().unwrap(), "2028-01");
}
