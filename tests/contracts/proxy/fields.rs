//! Which fields pass, in each direction.

use serde_json::json;

use super::house::House;

#[tokio::test]
async fn what_concerns_only_the_callers_connection_stays_there() {
    let house = House::open().await;
    let lines = "Connection: keep-alive, X-Tied, x-tied-too\r\nX-Tied: 1\r\nX-Tied-Too: 1\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\
        TE: trailers, deflate\r\nTrailer: X-T\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\
        Accept: */*\r\nX-Free: 1\r\n";

    let answer = house.ask(house.request("GET", "/x", lines)).await;

    assert_eq!(answer.status, 200);
    let (seen, _) = house.accepted(1).await;
    for gone in [
        "X-Tied",
        "X-Tied-Too",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
        "Connection",
    ] {
        assert!(seen[0].values(gone).is_empty(), "{gone} in {}", seen[0].head);
    }
    assert!(seen[0].values("TE").iter().all(|te| *te == "trailers"));
    assert_eq!((seen[0].values("Accept"), seen[0].values("X-Free")), (vec!["*/*"], vec!["1"]));
}

#[tokio::test]
async fn what_concerns_only_the_upstreams_connection_stays_there() {
    let house = House::open().await;
    house.origin.answer(
        "/x",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Tied\r\nX-Tied: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nTrailer: X\r\nUpgrade: h2c\r\nX-Free: 1\r\nX-Free: 2\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: theirs\r\nContent-Length: 0\r\n\r\n",
    );

    let answer = house.get("/x").await;

    for gone in ["x-tied", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "connection"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    let all = |name: &str| answer.headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    assert_eq!(all("x-free"), ["1", "2"]);
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.header("server"), Some("theirs"));
    assert!(answer.header("date").is_some());
}

#[tokio::test]
async fn only_the_gateway_says_who_calls_and_from_where() {
    let house = House::with_terms(json!({ "name": "gold" })).await;
    let forged = [
        "X-Tollgate-Consumer: forged",
        "x_tollgate_consumer: forged",
        "X-TOLLGATE-Plan: forged",
        "X_Tollgate-Product: forged",
        "X.Tollgate!Consumer: forged",
        "X-Tollgate-Subscription: forged",
        "X-Tollgate-Anything: forged",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-For: 7.7.7.7",
        "x_forwarded_for: 6.6.6.6",
        "X-Forwarded-Proto: forged",
        "X-Forwarded-Host: forged",
        "X-Forwarded-Port: forged",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "x_real_ip: 6.6.6.6",
        "X-Request-ID: forged",
    ]
    .join("\r\n")
        + "\r\n";

    let answer = house.ask(house.request("GET", "/x", &forged)).await;

    assert_eq!(answer.status, 200);
    let (seen, _) = house.accepted(1).await;
    let seen = &seen[0];
    assert!(!seen.head.contains("forged") && !seen.head.contains("6.6.6.6"), "{}", seen.head);
    assert_eq!(seen.values("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.values("X-Forwarded-Proto"), ["http"]);
    assert_eq!(seen.values("X-Forwarded-Host"), ["a"]);
    assert_eq!(seen.values("Forwarded"), ["for=127.0.0.1;host=\"a\";proto=http"]);
    assert_eq!(seen.values("X-Tollgate-Product"), ["orders"]);
    assert_eq!(seen.values("X-Tollgate-Plan"), ["gold"]);
    assert_eq!(seen.values("X-Tollgate-Subscription"), [house.offer.subscription.as_str()]);
    assert_eq!(seen.values("X-Tollgate-Consumer").len(), 1);
    assert_eq!(seen.values("Host"), [house.origin.address.to_string()]);
}

#[tokio::test]
async fn a_caller_cannot_untie_what_the_gateway_says() {
    let house = House::open().await;
    let tied = "Connection: X-Tollgate-Plan, X-Forwarded-For, Host, X-Request-Id, Content-Length\r\n\
        Content-Length: 5\r\n";

    let answer = house.ask(house.request("POST", "/x", tied) + "hello").await;

    assert_eq!(answer.status, 200);
    let (seen, _) = house.accepted(1).await;
    for name in ["X-Tollgate-Plan", "X-Forwarded-For", "Host", "X-Request-Id"] {
        assert_eq!(seen[0].values(name).len(), 1, "{name} in {}", seen[0].head);
    }
    assert_eq!(seen[0].body, b"hello");
}

#[tokio::test]
async fn the_chain_of_a_trusted_proxy_is_continued() {
    let trusted = ("TOLLGATE_PROXY__TRUSTED_PROXIES", "127.0.0.0/8");
    let one_line = "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.0.0.8\r\n";
    let two_lines = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.8\r\n";
    for (hops, believed) in [("1", "10.0.0.8"), ("2", "203.0.113.7, 10.0.0.8")] {
        let house = House::with_settings(&[trusted, ("TOLLGATE_PROXY__TRUSTED_HOPS", hops)]).await;

        for lines in [one_line, two_lines] {
            house.ask(house.request("GET", "/x", lines)).await;
        }

        let (seen, _) = house.accepted(2).await;
        for seen in seen {
            let chain = format!("{believed}, 127.0.0.1");
            assert_eq!(seen.values("X-Forwarded-For"), [chain], "{hops}");
        }
    }
}

/// What was said of the call before is kept for the next on the connection, so each part of it varies.
#[tokio::test]
async fn each_call_of_a_connection_is_introduced_as_what_it_is() {
    let house = House::with_settings(&[("TOLLGATE_PROXY__TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let (other, other_key) = house.owner.subscribe("other", &house.offer.plan).await;
    house.knows(&other_key).await;
    let mut client = house.connect().await;
    let mut call = async |key: &str, host: &str, chain: &str| {
        let text = format!(
            "GET /orders/x HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\
             X-Forwarded-For: {chain}\r\n\r\n"
        );
        client.send(text).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    };
    let key = house.key();

    call(key, "a", "192.0.2.1").await;
    call(key, "a", "192.0.2.1").await;
    call(&other_key, "a", "192.0.2.1").await;
    call(key, "b", "192.0.2.1").await;
    call(key, "b", "192.0.2.2").await;
    let terms = json!({ "name": "renamed" });
    house.owner.patch(&format!("plans/{}", house.offer.plan), terms).await.ok();
    let seen_first = house.accepted(5).await.0;
    let plan = |seen: &super::origin::Seen| seen.values("X-Tollgate-Plan")[0].to_owned();
    let old_name = plan(&seen_first[0]);
    let start = tokio::time::Instant::now();
    while plan(house.origin.seen().last().unwrap()) == old_name {
        assert!(start.elapsed() < super::house::PATIENCE, "the new name is not in force");
        call(key, "b", "192.0.2.2").await;
    }

    let seen = house.origin.seen();
    let said: Vec<_> = seen[..5]
        .iter()
        .map(|seen| {
            let one = |name: &str| seen.values(name)[0].to_owned();
            (one("X-Tollgate-Subscription"), one("X-Forwarded-Host"), one("X-Forwarded-For"))
        })
        .collect();
    let own = house.offer.subscription.as_str();
    let expected = [
        (own, "a", "192.0.2.1, 127.0.0.1"),
        (own, "a", "192.0.2.1, 127.0.0.1"),
        (&*other, "a", "192.0.2.1, 127.0.0.1"),
        (own, "b", "192.0.2.1, 127.0.0.1"),
        (own, "b", "192.0.2.2, 127.0.0.1"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(said, expected);
    assert_eq!(seen[0].values("X-Tollgate-Consumer"), seen[1].values("X-Tollgate-Consumer"));
    assert_ne!(seen[1].values("X-Tollgate-Consumer"), seen[2].values("X-Tollgate-Consumer"));
    assert_eq!(plan(seen.last().unwrap()), "renamed");
}

#[tokio::test]
async fn a_redirect_is_the_callers_to_follow() {
    let house = House::open().await;
    house.origin.answer(
        "/x",
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n",
    );

    let answer = house.get("/x").await;

    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("http://169.254.169.254/latest"));
    house.accepted(1).await;
}

#[tokio::test]
async fn an_upstream_cannot_put_words_into_the_gateways_mouth() {
    let house = House::open().await;
    house.origin.answer(
        "/x",
        "HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nX-Tollgate-Plan: theirs\r\nContent-Length: 0\r\n\r\n",
    );

    let answer = house.get("/x").await;

    assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
    assert_eq!(answer.header("x-tollgate-plan"), None);
}
