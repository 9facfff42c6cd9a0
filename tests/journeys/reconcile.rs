//! An operator compares the ledger with what a billing system has.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_admin::ledger::Ledger;
use tollgate_admin::ledger::sweep::Retention;
use tollgate_admin::store::Database;
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use tollgate_test_support::http::send;
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;

const TOKEN: &str = "bootstrap-token-of-the-journey";
const HOUR_MS: i64 = 3_600_000;

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

/// Three calls, in the ledger of a control plane that is not started yet.
pub fn use_some(directory: &TempDir, at: Timestamp) {
    let record = |number: u64| UsageRecord {
        request: RequestId::new(at.0, u128::from(number)),
        part: 0,
        last: true,
        product: ProductId::from_bytes([1; 16]),
        plan: PlanId::from_bytes([2; 16]),
        subscription: SubscriptionId::from_bytes([3; 16]),
        key: KeyId::from_bytes([4; 16]),
        admitted_at: at,
        period_start: at,
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
    };
    let records = (1..=3).flat_map(|number| record(number).encode()).collect();
    let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first: 1, records };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::open_file(&directory.path().join("tollgate.db")).await.unwrap();
        let ledger = Ledger::open(database.clone(), Retention::default()).await.unwrap();
        Arc::new(ledger).apply(batch, now()).await.unwrap();
        database.close().await;
    });
}

#[test]
fn what_a_billing_system_does_not_have_is_shown_in_a_table_and_as_json() {
    let directory = tempfile::tempdir().unwrap();
    use_some(&directory, now().plus_ms(-2 * HOUR_MS));
    let mut run = tollgate::command(BINARY, &["run"]);
    run.envs(on_free_ports(&directory)).env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN);
    let tollgate = Tollgate::start(run, &["admin"]);
    let admin = tollgate.address("admin");
    let destination = json!({
        "name": "billing", "kind": "lago", "secret": "k", "status": "paused",
        "settings": { "url": "https://lago.example" },
        "starts_at": now().plus_ms(-24 * HOUR_MS).to_string(),
    });
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = destination.to_string();
    let made = send(admin, "POST", "/api/v1/destinations", &headers, &body);
    assert_eq!(made.status, 201, "{}", made.body);
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    let url = format!("http://{admin}");
    let token = token_file.to_str().unwrap();
    let command = |more: &[&str]| {
        let arguments = ["reconcile", "--url", &url, "--token-file", token];
        tollgate::command(BINARY, &[&arguments[..], more].concat())
    };
    let reconcile = |more: &[&str]| command(more).output().unwrap();

    let table = reconcile(&["billing"]);
    let lines = reconcile(&["billing", "--json"]);
    let unknown = reconcile(&["payroll"]);
    let (from, to) = (now().to_string(), now().plus_ms(-HOUR_MS).to_string());
    let turned = reconcile(&["billing", "--from", &from, "--to", &to]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = command(&["billing"]).stdout(writer).output().unwrap();

    assert_eq!(table.status.code(), Some(1), "{table:?}");
    let shown = String::from_utf8(table.stdout).unwrap();
    assert!(shown.starts_with("SUBSCRIPTION") && shown.contains("not_sent"), "{shown}");
    let said = String::from_utf8(table.stderr).unwrap();
    assert!(said.contains("1 windows compared, 0 subscriptions left, 1 differences"), "{said}");
    let difference: Value = serde_json::from_slice(&lines.stdout).unwrap();
    assert_eq!((&difference["ledger"], &difference["quantity"]), (&json!(3), &json!(3)));
    assert_eq!((unread.status.code(), unread.stderr.len()), (Some(1), 0), "{unread:?}");
    assert_eq!(turned.status.code(), Some(1));
    let said = String::from_utf8(turned.stderr).unwrap();
    assert!(said.contains("to must not be before from"), "{said}");
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("there is no destination payroll"), "{said}");
}
