//! What the owner is told of each call: counted once, not counted, or refused.

use serde_json::{Value, json};

use super::house::House;
use super::origin::{Step, send};

/// What the ledger says of a call, once it knows of it.
async fn explained(house: &House, request: &str) -> Value {
    let path = format!("usage/requests/{request}");
    let ask = async || {
        let said = house.owner.get(&path).await;
        (said.status == 200).then_some(said.body)
    };
    house.owner.eventually("the ledger knows of the call", ask).await
}

#[tokio::test]
async fn a_call_is_one_record_whatever_became_of_it_and_a_refused_one_is_none() {
    let house = House::with_terms(json!({ "monthly_quota": 4 })).await;
    let half = send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    house.origin.play("/half", [Step::ReadBody, half, Step::Close]);
    house.origin.answer("/500", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let mut expected = Vec::new();

    for (path, verdict, outcome, truncated) in [
        ("/x", "counted", "success", false),
        ("/500", "not_counted", "server_error", false),
        ("/half", "counted", "success", true),
        ("/x", "counted", "success", false),
        ("/x", "counted", "success", false),
    ] {
        let mut client = house.connect().await;
        client.send(house.request("GET", path, "Connection: close\r\n")).await;
        let (_, headers) = client.head().await.unwrap();
        let request = headers["x-request-id"].to_str().unwrap().to_owned();
        client.rest().await;
        expected.push((request, verdict, outcome, truncated));
    }
    let refused = house.get("/x").await;
    assert_eq!(refused.status, 429);

    for (request, verdict, outcome, truncated) in expected {
        let said = explained(&house, &request).await;
        assert_eq!(said["verdict"], verdict, "{said}");
        let admitted = &said["admitted"];
        assert_eq!((&admitted["outcome"], &admitted["attempts"]), (&json!(outcome), &json!(1)));
        assert_eq!(
            (&admitted["truncated"], &admitted["complete"]),
            (&json!(truncated), &json!(true))
        );
        assert_eq!(admitted["records"].as_array().unwrap().len(), 1, "{said}");
    }
    let said = explained(&house, refused.header("x-request-id").unwrap()).await;
    assert_eq!((&said["verdict"], &said["refusal"]), (&json!("refused"), &json!("quota-exceeded")));
    assert_eq!(said["admitted"], Value::Null);
    assert_eq!(house.owner.used(&house.offer.subscription, "calls").await, 4);
    assert_eq!(house.origin.seen().len(), 5);
}
