//! What a refusal says, reason by reason.

use serde_json::json;

use super::house::{House, Plan, problem, refused};

#[tokio::test]
async fn a_body_over_the_cap_is_refused_before_and_while_it_comes() {
    let house = House::open_with(Plan {
        product: Some(json!({ "body_bytes_max": 1_000 })),
        terms: Some(json!({ "rate_limit": 1_000 })),
        ..Plan::default()
    })
    .await;
    let stated = house.request("POST", "/x", "Content-Length: 1001\r\n");
    let endless = house.request("POST", "/endless", "Transfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 400, "x".repeat(400));

    let at_once = house.ask(stated).await;
    refused(&at_once, 413, "content-too-large");
    assert_eq!(at_once.header("x-ratelimit-limit"), Some("1000"));
    let mut client = house.connect().await;
    client.send(endless + &chunk.repeat(8)).await;
    let answer = client.answer().await.unwrap();

    refused(&answer, 413, "content-too-large");
    assert!(client.is_closed().await);
    // What was stated too large was never accepted; what turned out too large was.
    let records = house.has_recorded(1).await;
    assert_eq!((records.len(), records[0].status, records[0].billed), (1, 413, false));
    assert!((1_000..=1_000 + 16 * 1_024).contains(&records[0].bytes_in), "{records:?}");
    for seen in house.origin.seen() {
        assert!(!seen.body.ends_with(b"0\r\n\r\n"), "{seen:?}");
    }
    let exact = house.request("POST", "/x", "Content-Length: 1000\r\n") + &"x".repeat(1_000);
    assert_eq!(house.ask(exact).await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let house = House::open().await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let there = format!("http://{nobody}");
    let offer = house.owner.sell("nobody", &there, json!({ "monthly_quota": 5 })).await;
    house.knows(&offer.key).await;

    let mut client = house.connect().await;
    let answer = client.get("/nobody/x", &offer.key).await.unwrap();

    refused(&answer, 502, "upstream-unreachable");
    // It does not count, so nothing of the quota is gone.
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("5"));
    let records = house.has_recorded(1).await;
    assert_eq!((records.len(), records[0].status), (1, 502));
    assert!(!records[0].counted && !records[0].billed);
    // The connection is of use still.
    assert_eq!(client.get("/orders/x", house.key()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_bad_gateway_and_others_are_served() {
    let house = House::open().await;
    let offer = house.owner.sell("nowhere", "http://nowhere.invalid", json!({})).await;
    house.knows(&offer.key).await;
    let mut client = house.connect().await;
    let key = &offer.key;
    client.send(format!("GET /nowhere/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n")).await;

    assert_eq!(house.get("/x").await.status, 200);
    refused(&client.answer().await.unwrap(), 502, "upstream-unreachable");
}

#[tokio::test]
async fn an_upstream_that_stays_silent_is_a_gateway_timeout() {
    let house = House::with_product(json!({ "upstream": { "response_timeout_ms": 300 } })).await;
    house.origin.play("/silent", [super::origin::Step::ReadBody, super::origin::Step::Wait]);

    let answer = house.get("/silent").await;

    refused(&answer, 504, "upstream-timeout");
    let (_, records) = house.accepted(1).await;
    assert_eq!((records[0].status, records[0].attempts, records[0].billed), (504, 1, false));
}

#[tokio::test]
async fn too_many_unknown_keys_from_one_address_are_turned_away_for_a_while() {
    let settings = vec![("TOLLGATE_PROXY__LIMITS__UNKNOWN_KEY_RATE", "5".to_owned())];
    let house = House::open_with(Plan { settings, ..Plan::default() }).await;
    let mut client = house.connect().await;
    let mut statuses = Vec::new();
    for path in ["/orders/x", "/.tollgate/usage"] {
        for _ in 0..100 {
            let answer = client.get(path, "tg_wrong").await.unwrap();
            if answer.status == 503 {
                assert_eq!(problem(&answer)["code"], "overloaded");
                assert!(answer.header("retry-after").is_some());
            }
            statuses.push(answer.status);
        }
    }

    let (of_a_product, own) = statuses.split_at(100);
    assert!(of_a_product.contains(&401) && of_a_product.contains(&503), "{statuses:?}");
    assert!(own.contains(&503), "{statuses:?}");
    // Who has a key is served all the same, on the same connection and address.
    assert_eq!(client.get("/orders/x", house.key()).await.unwrap().status, 200);
    house.accepted(1).await;
}

#[tokio::test]
async fn each_answer_has_a_request_id_of_its_own_and_the_caller_cannot_choose_it() {
    let house = House::open().await;
    let mine = house.request("GET", "/x", "X-Request-Id: mine\r\nx_request_id: mine\r\n");

    let first = house.ask(&mine).await;
    let second = house.ask(&mine).await;

    let ids = [&first, &second].map(|answer| answer.header("x-request-id").unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    let (seen, records) = house.accepted(2).await;
    for (seen, id) in seen.iter().zip(&ids) {
        assert_eq!(seen.values("X-Request-Id"), [id.as_str()]);
        assert!(!seen.head.contains("mine"), "{}", seen.head);
    }
    let recorded = [0, 1].map(|at: usize| records[at].request.to_string());
    assert_eq!(recorded, ids);
}
