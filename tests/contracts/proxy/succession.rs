//! A process that relieves another: calls in flight, and what they count.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use super::house::{House, PATIENCE};
use super::origin::{Step, send};

/// What is left of the quota, as the caller is told.
async fn left(house: &House) -> Value {
    let mut client = house.connect().await;
    let answer = client.get("/.tollgate/usage", house.key()).await.unwrap();
    let usage: Value = serde_json::from_slice(&answer.body).unwrap();
    usage["limits"][0]["remaining"].clone()
}

async fn until_left(house: &House, calls: u64) {
    let start = Instant::now();
    while left(house).await != calls {
        assert!(start.elapsed() < PATIENCE, "{} are left", left(house).await);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_the_old_process_counts_last_is_in_the_quota_of_the_new_one() {
    let mut house = House::with_terms(json!({ "monthly_quota": 5 })).await;
    let slow = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";
    house.origin.play("/slow", [Step::ReadBody, Step::Wait, send(slow)]);
    house.get("/x").await;
    let mut in_flight = house.connect().await;
    in_flight.send(house.request("GET", "/slow", "")).await;
    house.origin.has_seen(2).await;

    let mut old = house.upgrade();
    // The call in flight is the old process's, which may still answer for a moment: in the new one
    // only the call before it is counted so far.
    house.knows(house.key()).await;
    until_left(&house, 4).await;
    assert_eq!(house.get("/x").await.status, 200);
    house.origin.go_on();
    assert_eq!(in_flight.answer().await.unwrap().text(), "slow");
    assert_eq!(old.wait().code(), Some(0));

    until_left(&house, 2).await;
    house.has_recorded(3).await;
}
