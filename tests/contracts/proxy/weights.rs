//! What a call weighs: by its route, and by the upstream's own count. All who are told are told the same.

use serde_json::{Value, json};
use tollgate_test_support::raw_http1::Answer;
use tollgate_test_support::upstream::Upstream;

use super::house::{House, Plan};

const QUOTA: i64 = 1_000;

/// What the route says.
const COST: i64 = 5;

fn routes() -> Value {
    json!({ "routes": [{ "path": "/{*path}", "cost": COST, "units_header": "X-Units" }] })
}

fn remaining(answer: &Answer) -> i64 {
    answer.header("x-ratelimit-remaining").unwrap().parse().unwrap()
}

/// What the caller is told where it asks.
async fn left(house: &House) -> i64 {
    let mut client = house.connect().await;
    let answer = client.get("/.tollgate/usage", house.key()).await.unwrap();
    let usage: Value = serde_json::from_slice(&answer.body).unwrap();
    usage["limits"][0]["remaining"].as_i64().unwrap()
}

#[tokio::test]
async fn the_upstreams_own_count_is_drawn_stated_recorded_and_in_the_ledger() {
    let terms = Some(json!({ "monthly_quota": QUOTA }));
    let mut house =
        House::open_with(Plan { product: Some(routes()), terms, ..Plan::default() }).await;
    // What the upstream says, the units of the record, and what of them is drawn from the quota and billed.
    let cases = [
        ("/stated", "200 OK", "X-Units: 12\r\n", 12, 12),
        ("/in-any-case", "200 OK", "x-uNITS:   7  \r\n", 7, 7),
        ("/nothing", "200 OK", "X-Units: 0\r\n", 0, 0),
        ("/not-stated", "200 OK", "", COST, COST),
        ("/wrong-call", "404 Not Found", "X-Units: 3\r\n", 3, 3),
        ("/failed", "500 Oh", "X-Units: 12\r\n", 12, 0),
        ("/failed-unstated", "503 Oh", "", COST, 0),
        ("/word", "200 OK", "X-Units: many\r\n", COST, COST),
        ("/fraction", "200 OK", "X-Units: 1.5\r\n", COST, COST),
        ("/negative", "200 OK", "X-Units: -1\r\n", COST, COST),
        ("/too-large", "200 OK", "X-Units: 4294967296\r\n", COST, COST),
        ("/twice", "200 OK", "X-Units: 12\r\nX-Units: 12\r\n", COST, COST),
        ("/list", "200 OK", "X-Units: 1, 2\r\n", COST, COST),
    ];

    let mut expected_left = QUOTA;
    for (path, status, field, _, drawn) in cases {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n{field}\r\nok");
        house.origin.answer(path, head);
        let answer = house.get(path).await;
        expected_left -= drawn;
        assert_eq!(remaining(&answer), expected_left, "{path}: {answer:?}");
        assert_eq!(left(&house).await, expected_left, "{path}");
    }

    let records = house.records();
    let units: Vec<(i64, bool)> =
        records.iter().map(|record| (record.units, record.counted && record.billed)).collect();
    let expected = cases.map(|(_, status, _, units, _)| (units, !status.starts_with('5')));
    assert_eq!(units, expected);
    let drawn: i64 = cases.iter().map(|case| case.4).sum();
    let in_ledger = async || {
        let used = house.owner.used(&house.offer.subscription, "units").await;
        (used == drawn).then_some(())
    };
    house.owner.eventually("the ledger has the same", in_ledger).await;
    house.tollgate.wait_for_log("the upstream states units that are no number", 1);
}

#[tokio::test]
async fn an_upstream_over_http_2_states_its_units_too() {
    let house = House::open().await;
    let upstream = Upstream::start_http2().await;
    let offer =
        house.owner.sell("tokens", &upstream.url(), json!({ "monthly_quota": QUOTA })).await;
    let mut product = routes();
    product["upstream"] = json!({ "protocol": "http2" });
    house.owner.patch("products/tokens", product).await.ok();
    // Changes arrive in order, so one that is known says that those before it are.
    let (_, known) = house.owner.subscribe("known", &offer.plan).await;
    house.knows(&known).await;
    let mut client = house.connect().await;

    let answer = client.get("/tokens/units/12", &offer.key).await.unwrap();

    assert_eq!((answer.status, answer.header("x-units")), (200, Some("12")));
    assert_eq!(remaining(&answer), QUOTA - 12);
    assert_eq!(house.has_recorded(1).await[0].units, 12);
}
