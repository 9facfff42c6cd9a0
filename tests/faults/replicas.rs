//! Control planes on one PostgreSQL server: one of them dies, and the server goes away. No caller
//! notices.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use tollgate_test_support::http;

use crate::asking::eventually;
use crate::book::Book;
use crate::callers::{Callers, QUICK};
use crate::house::House;
use crate::length::outage_seconds;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_of_two_control_planes_dies_the_other_goes_on_with_everything() {
    let mut house = House::open_shared();
    let mut book = Book::open(&house).await;
    let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
    sleep(Duration::from_millis(500)).await;

    house.kill_admin();
    let owner = house.owner();
    let later = owner.sell("later", "http://127.0.0.1:9/", json!({ "monthly_quota": 5 })).await;
    house.knows(&[later]).await;
    let nodes = owner.get("nodes").await.ok();
    sleep(Duration::from_millis(500)).await;
    let heard = callers.stop().await;

    assert_eq!(nodes["items"].as_array().map(Vec::len), Some(1), "{nodes}");
    heard.is_unbroken();
    assert_eq!(heard.refused, 0);
    book.note(heard);
    book.agrees_to_the_call(&house).await;
    book.proves_every_call(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_control_plane_says_so_and_comes_back_by_itself() {
    let mut house = House::open_shared();
    let mut book = Book::open(&house).await;
    let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
    sleep(Duration::from_millis(500)).await;

    house.postgres().stop();
    let owner = house.owner();
    let refused = owner.get("products").await;
    let metrics = house.admin().address("metrics");
    let ready = || http::get(metrics, "/readyz");
    eventually("it is not ready", async || ready().status == 503).await;
    let said = ready().body;
    sleep(Duration::from_secs(outage_seconds())).await;
    let kept_back = house.metric("tollgate_journal_undelivered_records").await;
    house.postgres().start_again();
    eventually("it is ready", async || ready().status == 200).await;
    let heard = callers.stop().await;

    assert_eq!(
        (refused.status.as_u16(), &refused.body["code"]),
        (503, &json!("store-unavailable"))
    );
    assert_eq!(said, "not ready: the database cannot be reached\n");
    assert!(kept_back > 0, "nobody called meanwhile");
    heard.is_unbroken();
    assert_eq!(heard.refused, 0);
    book.note(heard);
    book.agrees_to_the_call(&house).await;
    book.proves_every_call(&house).await;
}
