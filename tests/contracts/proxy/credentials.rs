//! Where a key may stand, and that it goes no further.

use serde_json::json;

use super::house::{House, refused};

fn request(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_key_is_taken_where_it_may_stand_and_is_never_seen_upstream() {
    let house = House::with_product(json!({ "key_query_parameter": "api_key" })).await;
    let key = house.key();
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let spelled: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();

    for (target, lines) in [
        ("/orders/x".to_owned(), format!("X-API-Key: {key}\r\n")),
        ("/orders/x".to_owned(), format!("x_api_key: tg_other\r\nX-API-KEY: {key}\r\n")),
        ("/orders/x".to_owned(), bearer.clone()),
        ("/orders/x".to_owned(), format!("authorization: bearer {key}\r\n")),
        ("/orders/x".to_owned(), format!("{bearer}X-API-Key: {key}\r\n")),
        (format!("/orders/x?api_key={key}"), String::new()),
        (format!("/orders/x?a=1&api%5Fkey={key}&b=2"), String::new()),
        (format!("/orders/x?api_key={key}&api_key={key}"), bearer.clone()),
        ("/orders/x".to_owned(), format!("{bearer}Cookie: a=1; key={key}\r\n")),
        (
            "/orders/x".to_owned(),
            format!("{bearer}Referer: https://shop.example/?api_key={key}&a=1\r\n"),
        ),
        ("/orders/x".to_owned(), format!("{bearer}Proxy-Authorization: Bearer {key}\r\n")),
        ("/orders/x".to_owned(), format!("{bearer}X-Mine: {key} and {key}\r\n")),
        ("/orders/x".to_owned(), format!("{bearer}Referer: https://b/?key={spelled}%20\r\n")),
        (format!("/orders/x?mine={key}"), bearer.clone()),
        (format!("/orders/x?a=%7&mine={spelled}&b=%20"), bearer.clone()),
        (format!("/orders/{key}/x"), bearer.clone()),
    ] {
        let answer = house.ask(request(&target, &lines)).await;

        if lines.contains("tg_other") {
            refused(&answer, 400, "request-malformed");
            continue;
        }
        assert_eq!(answer.status, 200, "{target} {lines}: {}", answer.text());
        let seen = house.origin.seen().pop().unwrap();
        assert!(!seen.head.contains(key) && !seen.head.contains(&spelled), "{}", seen.head);
        assert!(seen.values("X-API-Key").is_empty() && seen.values("Authorization").is_empty());
    }
}

#[tokio::test]
async fn what_is_not_the_key_goes_on() {
    let house = House::with_product(json!({ "key_query_parameter": "api_key" })).await;
    let key = house.key();
    let lines = format!(
        "X-API-Key: {key}\r\nAuthorization: Basic dXNlcjpwYXNz\r\nCookie: a=1; b=2\r\nReferer: https://b/\r\n"
    );

    let answer = house.ask(request("/orders/x?a=1&api_key_=2&b=%20", &lines)).await;

    assert_eq!(answer.status, 200);
    let (seen, _) = house.accepted(1).await;
    assert_eq!(seen[0].target(), "/x?a=1&api_key_=2&b=%20");
    assert_eq!(seen[0].values("Authorization"), ["Basic dXNlcjpwYXNz"]);
    assert_eq!(seen[0].values("Cookie"), ["a=1; b=2"]);
    assert_eq!(seen[0].values("Referer"), ["https://b/"]);
}

#[tokio::test]
async fn a_key_in_the_query_is_none_unless_the_product_allows_it() {
    let house = House::open().await;

    let answer = house.ask(request(&format!("/orders/x?api_key={}", house.key()), "")).await;

    refused(&answer, 401, "credential-missing");
    house.accepted(0).await;
}

#[tokio::test]
async fn two_credentials_that_differ_are_refused() {
    let house = House::with_product(json!({ "key_query_parameter": "api_key" })).await;
    let key = house.key();

    for (target, lines) in [
        ("/orders/x", format!("X-API-Key: {key}\r\nX-API-Key: tg_b\r\n")),
        ("/orders/x", format!("X-API-Key: {key}\r\nAuthorization: Bearer tg_b\r\n")),
        ("/orders/x", format!("Authorization: Bearer {key}\r\nAuthorization: Bearer tg_b\r\n")),
        ("/orders/x?api_key=tg_b", format!("X-API-Key: {key}\r\n")),
        ("/orders/x?api_key=tg_b&api_key=tg_c", String::new()),
    ] {
        refused(&house.ask(request(target, &lines)).await, 400, "request-malformed");
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn unknown_malformed_and_missing_keys_are_told_how_to_authenticate() {
    let house = House::open().await;
    let key = house.key();
    // The last letter is part of a checksum; with another one no look-up is needed to refuse.
    let (stem, end) = key.split_at(key.len() - 1);
    let mistyped = format!("{stem}{}", if end == "a" { "b" } else { "a" });

    for (lines, code) in [
        (String::new(), "credential-missing"),
        ("X-API-Key: \r\n".to_owned(), "credential-missing"),
        ("Authorization: Bearer \r\n".to_owned(), "credential-missing"),
        ("Authorization: Basic abc\r\n".to_owned(), "credential-missing"),
        ("X-API-Key: x\r\n".to_owned(), "credential-invalid"),
        (format!("X-API-Key: {mistyped}\r\n"), "credential-invalid"),
        (format!("X-API-Key: {key}x\r\n"), "credential-invalid"),
        (format!("X-API-Key: {}\r\n", key.to_uppercase()), "credential-invalid"),
        (format!("X-API-Key: {key},{key}\r\n"), "credential-invalid"),
        (format!("X-API-Key: {}\r\n", "k".repeat(20_000)), "credential-invalid"),
    ] {
        let answer = house.ask(request("/orders/x", &lines)).await;

        refused(&answer, 401, code);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert_eq!(answer.header("ratelimit"), None);
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn nothing_that_was_tried_as_a_key_is_in_the_log() {
    let house = House::with_settings(&[("TOLLGATE_LOG__FILTER", "debug")]).await;
    let tried = "tg_this-is-no-key-but-it-might-have-been-one";

    house.ask(request("/orders/x", &format!("X-API-Key: {tried}\r\n"))).await;
    house.get("/x").await;
    house.accepted(1).await;

    let log = house.tollgate.log();
    assert!(!log.contains(tried) && !log.contains(house.key()), "{log}");
}
