//! What the console reads of the API's answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Code, Problem};

#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    pub id: String,
    pub name: String,
    pub title: String,
    pub description: String,
    pub gateway_endpoint: Option<String>,
    pub status: String,
    pub hosts: Vec<String>,
    pub routes: Vec<Route>,
    pub key_query_parameter: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Route {
    pub method: Option<String>,
    pub path: String,
    pub cost: u32,
    pub units_header: Option<String>,
    pub body_bytes_max: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    pub id: String,
    pub product_id: String,
    pub name: String,
    pub billing_mode: String,
    pub price_label: String,
    pub monthly_quota: Option<i64>,
    pub rate_limit: Option<i64>,
    pub burst: Option<i64>,
    pub quota_mode: String,
    pub period: String,
    pub time_zone: String,
    pub outage_mode: String,
    pub counted_outcomes: Vec<String>,
    pub prices: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Consumer {
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    pub external_ids: BTreeMap<String, String>,
    pub created_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    pub id: String,
    pub consumer_id: String,
    pub product_id: String,
    pub plan_id: String,
    pub status: String,
    pub started_at: String,
    pub canceled_at: Option<String>,
}

impl Subscription {
    pub fn is_live(&self) -> bool {
        self.status == "active"
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Quota {
    pub period_end: String,
    pub quota: Option<i64>,
    pub used: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    pub id: String,
    pub subscription_id: String,
    pub prefix: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    pub last_used_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    pub period: String,
    pub period_start: String,
    pub period_end: String,
    pub ended: bool,
    pub lines: Vec<InvoiceLine>,
    pub totals: Vec<InvoiceTotal>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceLine {
    pub kind: String,
    pub plan_name: String,
    pub price: Option<String>,
    pub meter: Option<String>,
    pub quantity: i64,
    pub amount: i64,
    pub currency: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceTotal {
    pub text: String,
}

/// What an invoice is made of.
#[derive(Clone, Debug, Deserialize)]
pub struct Explanation {
    pub period: String,
    pub period_start: String,
    pub period_end: String,
    pub lines: Vec<InvoiceLine>,
    pub items: Vec<WindowOfCalls>,
    pub next: Option<String>,
    pub records_kept_since: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WindowOfCalls {
    pub window_start: String,
    pub billed: Billed,
    pub records: Vec<CallRecord>,
    pub cut: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Billed {
    pub calls: i64,
    pub units: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CallRecord {
    pub request_id: String,
    pub admitted_at: String,
    pub billed: bool,
    pub calls: i64,
    pub units: i64,
}

/// Billed usage of a subscription in a window.
#[derive(Clone, Debug, Deserialize)]
pub struct Usage {
    pub window_start: String,
    pub quantity: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    pub id: String,
    pub status: String,
    pub address: String,
    pub version: String,
    pub revision: u64,
    pub revision_lag: i64,
    pub journal_lag_records: i64,
    pub leases_outstanding: i64,
    pub started_at: String,
    pub last_seen: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    pub product_id: String,
    pub plan_id: Option<String>,
    pub window_start: String,
    pub calls: i64,
    pub units: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
    pub calls_unbilled: i64,
    pub refused: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    pub verdict: String,
    pub reason: String,
    pub subscription_id: Option<String>,
    pub admitted: Option<AdmittedCall>,
    pub lines: Vec<InvoiceLine>,
    pub deliveries: Vec<CallDelivery>,
}

/// Where a call was sent as part of a window.
#[derive(Clone, Debug, Deserialize)]
pub struct CallDelivery {
    pub destination_id: String,
    pub destination_name: String,
    pub delivery: i64,
    pub state: String,
    pub meter: String,
    pub window_start: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct AdmittedCall {
    pub admitted_at: String,
    pub window_start: String,
    pub outcome: String,
    pub status: u16,
}

#[derive(Clone, Debug, Deserialize)]
pub struct AuditEntry {
    pub at: String,
    pub actor: String,
    pub actor_name: String,
    pub action: String,
    pub resource: String,
    pub resource_id: String,
    pub request_id: String,
    pub from: Value,
    pub to: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub role: String,
    pub created_at: String,
    pub expires_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Destination {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub settings: Value,
    pub has_secret: bool,
    pub meters: Vec<String>,
    pub window: String,
    pub starts_at: String,
    pub status: String,
    pub pause_reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Standing {
    pub deliveries: BTreeMap<String, i64>,
    pub lag_seconds: i64,
    pub held_since: Option<String>,
    pub held_reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    pub number: i64,
    pub state: String,
    pub attempts: i64,
    pub reason: Option<String>,
    pub attempted_at: Option<String>,
    pub due_at: Option<String>,
    pub items: Vec<DeliveryItem>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeliveryItem {
    pub customer: String,
    pub meter: String,
    pub window_start: String,
    pub quantity: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Reconciliation {
    pub items: Vec<Difference>,
    pub next: Option<String>,
    pub windows: i64,
    pub subscriptions_left: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Difference {
    pub subscription_id: String,
    pub plan_id: String,
    pub meter: String,
    pub window_start: String,
    pub cause: String,
    pub quantity: i64,
    pub ledger: i64,
    pub acknowledged: i64,
    pub read_back: Option<i64>,
    pub reason: Option<String>,
    pub repairs: Vec<String>,
}

/// What is kept as it was answered too, read.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    T::deserialize(value).map_err(|error| Problem {
        cause: Some(error.to_string()),
        ..Problem::new(Code::Internal, "the page could not be made")
    })
}

/// The id of what was made.
pub fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap_or_default()
}

/// The state of the catalog that a change led to.
pub fn revision(changed: &Value) -> String {
    count(changed, "revision").to_string()
}

pub fn count(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or(0)
}
