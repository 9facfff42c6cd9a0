//! Several control planes on one database.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tollgate_admin::audit::chain::verify;
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::outcome::Outcome;
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use tollgate_config::{PostgresUrl, StoreUrl};
use tollgate_test_support::postgres::{PASSWORD, Postgres, USER};

use crate::nodes::status;
use crate::support::{Admin, PATIENCE, Place};

/// Two control planes that start at the same time on an empty database.
async fn two() -> (Admin, Admin) {
    let place = Place::fresh();
    join(Admin::start_in(place.clone(), |_| {}), Admin::start_in(place, |_| {})).await
}

/// Waits until a control plane has heard of a revision.
async fn heard(admin: &Admin, revision: Revision) {
    let mut newest = admin.control().door.newest();
    let heard = newest.wait_for(|newest| *newest >= revision);
    timeout(PATIENCE, heard).await.expect("the word is passed on").unwrap();
}

/// One gateway speaks to each control plane, and again until both know both: a word that is passed
/// on before the other listens is heard by nobody.
async fn speak_until_known(first: &Admin, second: &Admin) -> Value {
    let known = async {
        loop {
            join(first.beat(&status(1, 0)), second.beat(&status(2, 0))).await;
            let (here, there) = join(first.get("/api/v1/nodes"), second.get("/api/v1/nodes")).await;
            let (here, there) = (here.expect(200), there.expect(200));
            if [&here, &there].iter().all(|list| list["items"].as_array().unwrap().len() == 2) {
                return there;
            }
        }
    };
    timeout(PATIENCE, known).await.expect("gateways are passed on")
}

#[tokio::test]
async fn changes_on_both_at_once_make_one_chain_of_the_audit() {
    let (first, second) = two().await;
    let changes = (0..40).map(|number| {
        let admin = if number % 2 == 0 { &first } else { &second };
        async move { admin.consumer(&format!("consumer {number}")).await }
    });

    join_all(changes).await;

    let export = first.get("/api/v1/audit/export").await;
    assert_eq!(verify(export.text.as_bytes(), None).unwrap().lines, 40);
}

#[tokio::test]
async fn a_change_on_one_is_told_to_gateways_of_the_other() {
    let (first, second) = two().await;
    let mut feed = second.follow(0).await;
    feed.batch().await;

    first.product("weather").await;

    let revision = *first.control().door.newest().borrow();
    heard(&second, revision).await;
    assert_eq!(feed.batch().await.revision, revision);
    assert_eq!(second.count("/api/v1/products").await, 1);
}

#[tokio::test]
async fn changes_on_both_come_to_all_gateways_in_one_order() {
    let (first, second) = two().await;
    first.consumer("Ada").await;
    let (mut here, mut there) = (first.follow(0).await, second.follow(0).await);
    let begin = (here.batch().await.revision, there.batch().await.revision);
    assert_eq!(begin.0, begin.1);

    let changes = (0..20).map(|number| {
        let admin = if number % 2 == 0 { &first } else { &second };
        async move { admin.product(&format!("p{number}")).await }
    });
    join_all(changes).await;

    let mut last = begin.0;
    for _ in 0..20 {
        let (batch, same) = (here.batch().await, there.batch().await);
        assert!(!batch.full && batch.revision > last);
        assert_eq!((batch.revision, &batch.entries), (same.revision, &same.entries));
        last = batch.revision;
    }
    assert_eq!(first.count("/api/v1/audit").await, 21);
}

/// A revocation waits for gateways only as long as it says, so one of some has to be in time.
#[tokio::test]
async fn a_revocation_counts_the_gateways_of_both() {
    let (first, second) = two().await;
    let (_, _, subscription) = first.subscribed().await;
    let keys = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    let nodes = speak_until_known(&first, &second).await;
    assert_eq!(nodes["items"][0]["journal_lag_records"], 7);
    let mut counted = Vec::new();

    for _ in 0..10 {
        let key = first.post(&keys, json!({})).await.expect(201);
        let path = format!("/api/v1/keys/{}", key["id"].as_str().unwrap());
        heard(&second, *first.control().door.newest().borrow()).await;
        let mut feed = second.follow(0).await;
        feed.batch().await;
        let gateways = async {
            let revision = feed.batch().await.revision;
            join(first.beat(&status(1, revision)), second.beat(&status(2, revision))).await;
        };
        let (revoked, ()) = join(first.delete(&path), gateways).await;
        let revoked = revoked.expect(200);
        counted.push((revoked["nodes_current"].clone(), revoked["nodes_total"].clone()));
        if counted.last() == Some(&(json!(2), json!(2))) {
            return;
        }
    }

    panic!("no revocation counted both gateways: {counted:?}");
}

/// Consumers need no name of their own, so only the key can tell a repeat.
#[tokio::test]
async fn a_request_that_is_sent_to_both_is_done_once() {
    let (first, second) = two().await;

    for round in 0..10 {
        let send = async |admin: &Admin| {
            let call = admin.call(Method::POST, "/api/v1/consumers");
            let call = call.header("idempotency-key", &format!("k{round}"));
            call.json(json!({ "name": "Ada" })).send().await
        };
        let (one, other) = join(send(&first), send(&second)).await;
        let done: HashSet<u16> = [one.status.as_u16(), other.status.as_u16()].into();
        assert!(done.contains(&201) && done.iter().all(|status| [201, 409].contains(status)));
    }

    assert_eq!(first.count("/api/v1/consumers").await, 10);
    assert_eq!(second.count("/api/v1/audit").await, 10);
}

#[tokio::test]
async fn a_repeat_at_the_other_gets_the_answer_of_the_first() {
    let (first, second) = two().await;
    let body = json!({ "name": "Ada" });
    let send = async |admin: &Admin| {
        let call = admin.call(Method::POST, "/api/v1/consumers").header("idempotency-key", "k");
        call.json(body.clone()).send().await
    };

    let (one, again) = (send(&first).await, send(&second).await);

    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body, one.body);
    assert_eq!(second.count("/api/v1/consumers").await, 1);
}

fn call(number: u64) -> UsageRecord {
    let admitted_at = Timestamp(1_795_300_000_000);
    UsageRecord {
        request: RequestId::new(admitted_at.0, u128::from(number)),
        part: 0,
        last: true,
        product: ProductId::from_bytes([9; 16]),
        plan: PlanId::from_bytes([1; 16]),
        subscription: SubscriptionId::from_bytes([1; 16]),
        key: KeyId::from_bytes([1; 16]),
        admitted_at,
        period_start: Timestamp(1_793_491_200_000),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_that_is_delivered_to_both_counts_once() {
    let (first, second) = two().await;
    let node = NodeId::from_bytes([1; 16]);
    let records: Vec<UsageRecord> = (1..=400).map(call).collect();

    for (number, some) in records.chunks(20).enumerate() {
        let encoded = some.iter().flat_map(UsageRecord::encode).collect();
        let first_record = number as u64 * 20 + 1;
        let batch = UsageBatch { node, epoch: 1, first: first_record, records: encoded };
        let deliver = |admin: &Admin| {
            let (ledger, now) = (Arc::clone(&admin.control().ledger), admin.control().now());
            let batch = batch.clone();
            tokio::spawn(async move { ledger.apply(batch, now).await })
        };
        let (one, other) = join(deliver(&first), deliver(&second)).await;
        let through = (one.unwrap().unwrap().through, other.unwrap().unwrap().through);
        assert_eq!(through, (first_record + 19, first_record + 19));
    }

    for admin in [&first, &second] {
        let totals = admin.control().ledger.totals(node, Timestamp(1_795_300_000_000)).await;
        let totals = totals.unwrap();
        assert_eq!(totals.through, [(1, 400)]);
        assert_eq!(totals.totals.iter().map(|total| total.units).sum::<i64>(), 400);
    }
}

#[tokio::test]
async fn one_that_stops_leaves_the_others_at_work() {
    let (first, second) = two().await;
    first.product("weather").await;

    first.stop().await;

    second.plan("weather", "free").await;
    assert_eq!(second.count("/api/v1/products/weather/plans").await, 1);
}

#[tokio::test]
async fn a_database_that_goes_away_is_said_and_waited_for() {
    let mut server = Postgres::start();
    let url = StoreUrl::Postgres(PostgresUrl::parse(&server.database()).unwrap());
    let admin = Admin::start_in(url.into(), |_| {}).await;
    admin.product("weather").await;
    let mut is_there = admin.control().replicas.store_is_there();
    assert!(*is_there.borrow());

    server.stop();

    admin.get("/api/v1/products").await.expect_problem(503, "store-unavailable");
    let body = json!({ "name": "maps" });
    admin.post("/api/v1/products", body).await.expect_problem(503, "store-unavailable");
    timeout(PATIENCE, is_there.wait_for(|is_there| !is_there)).await.unwrap().unwrap();

    server.start_again();

    timeout(PATIENCE, is_there.wait_for(|is_there| *is_there)).await.unwrap().unwrap();
    admin.product("maps").await;
    assert_eq!(admin.count("/api/v1/products").await, 2);
    let newest = *admin.control().door.newest().borrow();
    assert_eq!(admin.follow(0).await.batch().await.revision, newest);
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_said_without_the_password() {
    let server = Postgres::shared();
    let refused = async |url: String| {
        let url = StoreUrl::Postgres(PostgresUrl::parse(&url).unwrap());
        let said = tollgate_admin::store::Database::open(&url).await.unwrap_err().to_string();
        assert!(!said.contains(PASSWORD) && !said.contains("hunter2"), "{said}");
        said
    };

    let password = refused(server.url(USER, "hunter2", "postgres")).await;
    let user = refused(server.url("nobody", "hunter2", "postgres")).await;
    let database = refused(server.url(USER, PASSWORD, "nowhere")).await;
    let address = refused(format!("postgres://{USER}:{PASSWORD}@127.0.0.1:1/tollgate")).await;

    assert!(
        password.contains("password authentication failed for user \"postgres\""),
        "{password}"
    );
    assert!(user.contains("password authentication failed for user \"nobody\""), "{user}");
    assert!(database.contains("database \"nowhere\" does not exist"), "{database}");
    assert!(address.contains("127.0.0.1:1/tollgate: ") && address.contains("refused"), "{address}");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let place = Place::fresh();
    let admin = Admin::start_in(place.clone(), |_| {}).await;
    admin.stop().await;
    let StoreUrl::Postgres(url) = &place.url else { panic!("this binary is for PostgreSQL") };
    let name = url.expose().rsplit('/').next().unwrap();
    let newer = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    Postgres::shared().sql(name, newer);

    let said = tollgate_admin::store::Database::open(&place.url).await.unwrap_err().to_string();

    assert!(said.contains("has schema version 9999; this program knows "), "{said}");
    assert!(!said.contains(PASSWORD));
}
