//! What callers are told of their limits, and that it is true.

use std::time::Duration;

use serde_json::{Value, json};
use sfv::{BareItem, ListEntry, Parser};
use tokio::time::sleep;
use tollgate_test_support::raw_http1::Answer;

use super::house::{House, problem, refused};

/// The members of a list of items, each with its name and parameters.
fn members(answer: &Answer, field: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let text = answer.header(field).unwrap_or_else(|| panic!("{field} in {answer:?}"));
    let list: sfv::List = Parser::new(text).parse().unwrap();
    list.into_iter()
        .map(|member| match member {
            ListEntry::Item(item) => {
                let BareItem::String(name) = item.bare_item else { panic!("{text}") };
                let parameters = item.params.into_iter();
                let number = |value: BareItem| match value {
                    BareItem::Integer(number) => i64::from(number),
                    other => panic!("{other:?} in {text}"),
                };
                let parameters =
                    parameters.map(|(key, value)| (key.as_str().to_owned(), number(value)));
                (name.as_str().to_owned(), parameters.collect())
            }
            ListEntry::InnerList(_) => panic!("{text}"),
        })
        .collect()
}

fn parameter(members: &[(String, Vec<(String, i64)>)], name: &str, key: &str) -> i64 {
    let (_, parameters) = members.iter().find(|(own, _)| own == name).unwrap();
    parameters.iter().find(|(own, _)| own == key).unwrap().1
}

fn number(answer: &Answer, field: &str) -> i64 {
    answer.header(field).unwrap().parse().unwrap()
}

#[tokio::test]
async fn limits_are_structured_fields_that_count_down() {
    let house = House::with_terms(json!({ "rate_limit": 60, "monthly_quota": 5 })).await;

    let answer = house.get("/x").await;

    let policy = members(&answer, "ratelimit-policy");
    assert_eq!(parameter(&policy, "minute", "q"), 60);
    assert_eq!(parameter(&policy, "minute", "w"), 60);
    assert_eq!(parameter(&policy, "month", "q"), 5);
    assert!((28 * 86_400..=31 * 86_400).contains(&parameter(&policy, "month", "w")));
    let state = members(&answer, "ratelimit");
    assert_eq!(parameter(&state, "minute", "r"), 59);
    assert!((0..=60).contains(&parameter(&state, "minute", "t")));
    assert_eq!(parameter(&state, "month", "r"), 4);
    assert!((1..=31 * 86_400).contains(&parameter(&state, "month", "t")));
    // The tighter one.
    assert_eq!(number(&answer, "x-ratelimit-limit"), 5);
    assert_eq!(number(&answer, "x-ratelimit-remaining"), 4);
    assert_eq!(number(&answer, "x-ratelimit-reset"), parameter(&state, "month", "t"));
    let next = house.get("/x").await;
    assert_eq!(parameter(&members(&next, "ratelimit"), "month", "r"), 3);
}

#[tokio::test]
async fn a_used_up_quota_refuses_and_says_until_when() {
    let house = House::with_terms(json!({ "monthly_quota": 2 })).await;
    for _ in 0..2 {
        assert_eq!(house.get("/x").await.status, 200);
    }

    let answer = house.get("/x").await;

    refused(&answer, 429, "quota-exceeded");
    let problem = problem(&answer);
    assert_eq!((&problem["limit"], &problem["remaining"]), (&json!(2), &json!(0)));
    let resets_at = problem["resets_at"].as_str().unwrap();
    assert!(resets_at.ends_with("-01T00:00:00Z") || resets_at.contains("-01T00:00:00"));
    let wait = number(&answer, "retry-after");
    assert!((1..=31 * 86_400).contains(&wait), "{wait}");
    assert!(parameter(&members(&answer, "ratelimit"), "month", "t") >= wait);
    assert_eq!(house.records().len(), 2);
    assert_eq!(house.origin.seen().len(), 2);
}

#[tokio::test]
async fn waiting_as_long_as_retry_after_says_is_enough() {
    let terms = json!({ "rate_limit": 60, "burst": 2, "monthly_quota": 100 });
    let house = House::with_terms(terms).await;
    let mut client = house.connect().await;
    let mut admitted = 0;
    let refusal = loop {
        let answer = client.get("/orders/x", house.key()).await.unwrap();
        match answer.status {
            200 => admitted += 1,
            _ => break answer,
        }
        assert!(admitted < 50, "the limit is never reached");
    };

    refused(&refusal, 429, "rate-limit-exceeded");
    assert_eq!(problem(&refusal)["limit"], 60);
    assert_eq!(problem(&refusal)["remaining"], 0);
    // A refusal uses nothing of the quota.
    let left = parameter(&members(&refusal, "ratelimit"), "month", "r");
    assert_eq!(left, 100 - admitted);
    let wait = number(&refusal, "retry-after");
    assert!((1..=2).contains(&wait), "{wait}");
    sleep(Duration::from_secs(wait.unsigned_abs())).await;
    let answer = client.get("/orders/x", house.key()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(parameter(&members(&answer, "ratelimit"), "month", "r"), left - 1);
}

#[tokio::test]
async fn a_caller_can_ask_for_its_own_limits_without_using_them() {
    let house = House::with_terms(json!({ "rate_limit": 60, "monthly_quota": 5 })).await;
    house.get("/x").await;
    let ask = |method: &str| {
        let key = house.key();
        format!("{method} /.tollgate/usage HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n")
    };

    let answer = house.ask(ask("GET")).await;
    let usage: Value = serde_json::from_slice(&answer.body).unwrap();

    assert_eq!(answer.status, 200);
    assert_eq!(usage["product"], "orders");
    assert_eq!(usage["subscription_id"], house.offer.subscription);
    let limits = &usage["limits"];
    assert_eq!(
        (&limits[0]["name"], &limits[0]["limit"]),
        (&json!("minute"), &json!(60)),
        "{usage}"
    );
    assert_eq!((&limits[1]["name"], &limits[1]["limit"]), (&json!("month"), &json!(5)), "{usage}");
    assert_eq!(limits[1]["remaining"], 4, "{usage}");
    assert!(limits[1]["resets_at"].as_str().is_some_and(|at| at.contains("-01T00:00:00")));
    for (method, status) in [("HEAD", 200), ("POST", 404)] {
        let mut client = house.connect().await;
        client.send(ask(method)).await;
        let head = method == "HEAD";
        let answer =
            if head { client.answer_to_head().await } else { client.answer().await }.unwrap();
        assert_eq!(answer.status, status, "{method}");
    }
    refused(
        &house.ask("GET /.tollgate/usage HTTP/1.1\r\nHost: a\r\n\r\n").await,
        401,
        "credential-missing",
    );
    house.accepted(1).await;
}

#[tokio::test]
async fn what_an_upstream_says_of_limits_is_not_passed_on_and_without_limits_nothing_is_said() {
    let house = House::open().await;
    house.origin.answer(
        "/x",
        "HTTP/1.1 200 OK\r\nRateLimit: \"theirs\";r=1\r\nX-RateLimit-Limit: 7\r\nContent-Length: 0\r\n\r\n",
    );

    let answer = house.get("/x").await;

    for field in ["ratelimit", "ratelimit-policy", "x-ratelimit-limit"] {
        assert_eq!(answer.header(field), None, "{field}");
    }
}

#[tokio::test]
async fn what_the_upstream_answers_decides_what_counts() {
    let house = House::with_terms(json!({ "monthly_quota": 10 })).await;
    for status in [204, 302, 404, 500, 503] {
        let answer = format!("HTTP/1.1 {status} S\r\nContent-Length: 0\r\n\r\n");
        house.origin.answer(&format!("/{status}"), answer);
    }

    for path in ["/204", "/302", "/404", "/500", "/503"] {
        house.get(path).await;
    }

    let records = house.records();
    let counts = records.iter().map(|record| (record.status, record.counted && record.billed));
    let billed: Vec<(u16, bool)> = counts.collect();
    assert_eq!(billed, [(204, true), (302, true), (404, true), (500, false), (503, false)]);
    let last = house.get("/x").await;
    assert_eq!(number(&last, "x-ratelimit-remaining"), 10 - 3 - 1);
}
