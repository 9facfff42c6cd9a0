//! In which order a call is decided on, and that a refused one has drawn nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tollgate_common::catalog::{ProductStatus, SubscriptionStatus};
use tollgate_common::outcome::Outcome;
use tollgate_common::route::Route;
use tollgate_common::snapshot::{Entry, KeyRules, PlanRules, ProductRules, SubscriptionRules};
use tollgate_common::time::Clock;

use super::*;
use crate::fixture::{
    TestGateway, apply, digest, key, plan, plan_id, product, secret, subscription,
};

/// Two products. Of product 1: plan 1 with both limits; subscription 1 with keys 1 and 2, of which
/// the second has expired; subscription 3, canceled, with key 3. Of product 2: key 4.
fn start() -> TestGateway {
    let limited = PlanRules { quota: Some(5), rate_limit: Some(60), burst: Some(4), ..plan(1) };
    let canceled = SubscriptionRules { status: SubscriptionStatus::Canceled, ..subscription(3, 1) };
    let gateway = TestGateway::start([
        Entry::Product(ProductRules { hosts: vec!["api.example.com".into()], ..product(1) }),
        Entry::Product(product(2)),
        Entry::Plan(limited),
        Entry::Plan(PlanRules { product: product(2).id, ..plan(2) }),
        Entry::Subscription(subscription(1, 1)),
        Entry::Subscription(canceled),
        Entry::Subscription(subscription(4, 2)),
        Entry::Key(key(1, 1)),
        Entry::Key(key(3, 3)),
        Entry::Key(key(4, 4)),
    ]);
    let expired = KeyRules { expires_at: Some(gateway.clock.now().wall), ..key(2, 1) };
    gateway.apply(2, [Entry::Key(expired)]);
    gateway
}

fn head(target: &str, key: Option<&str>) -> RequestHead {
    let mut head = RequestHead::default();
    head.target.read(target.as_bytes()).unwrap();
    if let Some(key) = key {
        head.fields.push(b"X-API-Key", key.as_bytes());
    }
    head
}

#[expect(clippy::result_large_err, reason = "a test makes few of them")]
fn decide_on<'a>(
    gateway: &'a TestGateway,
    head: &mut RequestHead,
) -> Result<Admitted<'a>, Refused> {
    let now = gateway.clock.now();
    let request = RequestId::new(now.wall.0, 1);
    decide(&gateway.gateway, request, now, head, &mut LastCredential::default())
        .now_or_never()
        .expect("counting in memory does not wait")
}

fn refusal(gateway: &TestGateway, head: &mut RequestHead) -> Option<Refusal> {
    decide_on(gateway, head).err().map(|refused| refused.refusal)
}

/// An answered call: it stays drawn.
fn serve(gateway: &TestGateway, head: &mut RequestHead) -> Result<(), Refusal> {
    let mut admitted = decide_on(gateway, head).map_err(|refused| refused.refusal)?;
    admitted.grant.answer.outcome = Outcome::Success;
    admitted.grant.settle().unwrap();
    Ok(())
}

/// Neither limit of subscription 1 was touched, and there is no record.
fn nothing_was_drawn(gateway: &TestGateway) -> bool {
    let subscriber = gateway.gateway.catalog.key(&digest(1)).unwrap().subscriber;
    let tables = gateway.gateway.catalog.tables();
    let plan = tables.plan(subscriber.plan()).unwrap();
    let limits = gateway.gateway.counters.look(&subscriber, plan, gateway.clock.now());
    let rate_is_whole = limits.rate.unwrap().full_ns == 0;
    limits.quota.unwrap().used == 0 && rate_is_whole && gateway.records().is_empty()
}

#[test]
fn each_refusal_comes_in_its_order_and_draws_nothing() {
    let gateway = start();
    let [good, expired, canceled, other] = [1, 2, 3, 4].map(secret);
    let unknown = secret(9);
    let two_keys = {
        let mut head = head("/product-1/a", Some(&good));
        head.fields.push(b"Authorization", format!("Bearer {expired}").as_bytes());
        head
    };
    let large =
        |key| RequestHead { framing: Framing::Length(1_001), ..head("/product-1/a", Some(key)) };
    let cases = [
        // The route first, whoever calls.
        (head("/nothing/a", Some(&good)), Refusal::ProductNotFound),
        (head("/nothing/a", None), Refusal::ProductNotFound),
        (head("/", Some(&good)), Refusal::ProductNotFound),
        (head("/Product-1/a", Some(&good)), Refusal::ProductNotFound),
        // Then the credential.
        (head("/product-1/a", None), Refusal::CredentialMissing),
        (two_keys, Refusal::RequestMalformed),
        (head("/product-1/a", Some("x")), Refusal::CredentialInvalid),
        (head("/product-1/a", Some(&unknown)), Refusal::CredentialInvalid),
        (head("/product-1/a", Some(&expired)), Refusal::CredentialInvalid),
        (large(&unknown), Refusal::CredentialInvalid),
        // Then what the caller may.
        (head("/product-1/a", Some(&other)), Refusal::NotSubscribed),
        (head("/product-2/a", Some(&good)), Refusal::NotSubscribed),
        (head("/product-1/a", Some(&canceled)), Refusal::SubscriptionInactive),
        (large(&canceled), Refusal::SubscriptionInactive),
        // Then the body.
        (large(&good), Refusal::ContentTooLarge),
    ];
    for (number, (mut head, expected)) in cases.into_iter().enumerate() {
        assert_eq!(refusal(&gateway, &mut head), Some(expected), "case {number}");

        assert!(nothing_was_drawn(&gateway), "case {number}");
    }
}

#[test]
fn unknown_and_expired_keys_look_alike() {
    let gateway = start();
    let [unknown, expired] = [9, 2].map(|number| {
        let refused = decide_on(&gateway, &mut head("/product-1", Some(&secret(number))));
        let Err(Refused { refusal, product, limits }) = refused else { panic!("admitted") };
        (refusal, product.map(|product| product.id()), limits.is_some())
    });

    assert_eq!(unknown, expired);
}

#[test]
fn a_key_expires_at_its_moment() {
    let gateway = start();
    let at = gateway.clock.now().wall.plus_ms(1);
    gateway.apply(3, [Entry::Key(KeyRules { expires_at: Some(at), ..key(2, 1) })]);
    let mut head = head("/product-1", Some(&secret(2)));

    assert_eq!(refusal(&gateway, &mut head), None);
    gateway.clock.pass(Duration::from_millis(1));

    assert_eq!(refusal(&gateway, &mut head), Some(Refusal::CredentialInvalid));
}

#[test]
fn over_a_limit_the_caller_is_told_which() {
    let gateway = start();
    let mut head = head("/product-1/a", Some(&secret(1)));
    for _ in 0..4 {
        assert_eq!(serve(&gateway, &mut head), Ok(()));
    }
    assert_eq!(serve(&gateway, &mut head), Err(Refusal::RateLimitExceeded));
    gateway.clock.pass(Duration::from_secs(60));
    assert_eq!(serve(&gateway, &mut head), Ok(()));

    let Err(refused) = decide_on(&gateway, &mut head) else { panic!("admitted") };

    assert_eq!(refused.refusal, Refusal::QuotaExceeded);
    assert_eq!(refused.limits.unwrap().limits.quota.unwrap().used, 5);
    assert_eq!(gateway.records().len(), 5);
}

#[test]
fn two_keys_of_a_subscription_share_one_balance() {
    let gateway = start();
    gateway.apply(3, [Entry::Key(key(5, 1))]);
    let mut heads = [1, 5].map(|number| head("/product-1/a", Some(&secret(number))));

    for call in 0..4 {
        assert_eq!(serve(&gateway, &mut heads[call % 2]), Ok(()));
    }

    for head in &mut heads {
        assert_eq!(serve(&gateway, head), Err(Refusal::RateLimitExceeded));
    }
    assert_eq!(gateway.used(1), 4);
}

#[test]
fn a_draft_goes_on_serving_those_who_have_subscribed() {
    let gateway = start();
    let draft = ProductRules { status: ProductStatus::Draft, ..product(1) };
    gateway.apply(3, [Entry::Product(draft)]);

    assert_eq!(serve(&gateway, &mut head("/product-1/a", Some(&secret(1)))), Ok(()));
}

#[test]
fn the_keys_of_a_deleted_product_open_nothing() {
    let gateway = start();
    gateway.apply(3, [Entry::ProductRemoved(product(1).id)]);

    for target in ["/product-1/a", "/product-2/a"] {
        assert!(refusal(&gateway, &mut head(target, Some(&secret(1)))).is_some());
    }
    assert!(gateway.records().is_empty());
}

#[test]
fn a_product_is_found_by_host_in_any_case_and_with_any_port() {
    let gateway = start();
    for host in ["api.example.com", "API.Example.com:443", "api.EXAMPLE.com:"] {
        let mut head = RequestHead { host: host.into(), ..head("/nothing/a", Some(&secret(1))) };

        let admitted = decide_on(&gateway, &mut head);

        assert!(admitted.is_ok_and(|admitted| admitted.path_start == 0), "{host}");
    }
    let mut other = RequestHead { host: "example.com".into(), ..head("/nothing", None) };
    assert_eq!(refusal(&gateway, &mut other), Some(Refusal::ProductNotFound));
}

#[test]
fn while_the_journal_takes_nothing_no_call_passes_and_none_is_drawn() {
    let gateway = start();
    gateway.gateway.journal.close().unwrap();

    let refused = refusal(&gateway, &mut head("/product-1/a", Some(&secret(1))));

    assert_eq!(refused, Some(Refusal::MeteringUnavailable));
    assert!(nothing_was_drawn(&gateway));
}

#[test]
fn a_route_has_its_own_cost_and_body_limit() {
    let gateway = start();
    let report = Route {
        method: Some("POST".into()),
        path: "/reports/{id}".into(),
        cost: 3,
        units_header: None,
        body_bytes_max: Some(10),
    };
    gateway.apply(3, [Entry::Product(ProductRules { routes: vec![report], ..product(1) })]);
    let target = "/product-1/reports/7";
    let post = |length| RequestHead {
        method: http::Method::POST,
        framing: Framing::Length(length),
        ..head(target, Some(&secret(1)))
    };

    assert_eq!(serve(&gateway, &mut post(11)), Err(Refusal::ContentTooLarge));
    assert_eq!(serve(&gateway, &mut post(10)), Ok(()));
    assert_eq!(gateway.used(1), 3);
    // Two units are left: too few for another report, enough to read one.
    assert_eq!(serve(&gateway, &mut post(10)), Err(Refusal::QuotaExceeded));
    assert_eq!(serve(&gateway, &mut head(target, Some(&secret(1)))), Ok(()));
    assert_eq!(gateway.used(1), 4);
}

#[test]
fn routes_of_one_shape_are_told_apart_by_method_whatever_their_parameters_are_called() {
    let gateway = start();
    let route = |method: &str, path: &str, cost| Route {
        method: Some(method.to_owned()),
        path: path.to_owned(),
        cost,
        units_header: None,
        body_bytes_max: None,
    };
    let routes = vec![route("GET", "/a/{x}", 1), route("POST", "/a/{y}", 3)];
    gateway.apply(3, [Entry::Product(ProductRules { routes, ..product(1) })]);
    let mut post =
        RequestHead { method: http::Method::POST, ..head("/product-1/a/7", Some(&secret(1))) };

    assert_eq!(serve(&gateway, &mut post), Ok(()));
    assert_eq!(gateway.used(1), 3);
    assert_eq!(serve(&gateway, &mut head("/product-1/a/7", Some(&secret(1)))), Ok(()));
    assert_eq!(gateway.used(1), 4);
}

#[test]
fn to_move_subscribers_to_new_plans_refuses_no_call() {
    const CHANGES: u8 = 100;
    let gateway = start();
    let is_over = AtomicBool::new(false);
    gateway.apply(
        3,
        [Entry::Plan(plan(9)), Entry::Subscription(subscription(1, 9)), Entry::Key(key(1, 1))],
    );
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut refused = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let refusal = refusal(&gateway, &mut head("/product-1", Some(&secret(1))));
                // The disk may be slower than calls that nobody waits for.
                refused.extend(refusal.filter(|why| *why != Refusal::MeteringUnavailable));
            }
            refused
        });
        for number in 10..10 + CHANGES {
            let full = number % 2 == 0;
            let moved = [
                Entry::Product(product(1)),
                Entry::Plan(plan(number)),
                Entry::Subscription(subscription(1, number)),
                Entry::Key(key(1, 1)),
            ];
            // What a full batch does not name is gone; a small one says so.
            let gone = (!full).then_some(Entry::PlanRemoved(plan_id(number - 1)));
            let entries = moved.into_iter().chain(gone);
            apply(&gateway.gateway.catalog, full, u64::from(number), entries).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        let refused = calls.join().unwrap();
        assert!(refused.is_empty(), "{refused:?}");
    });
}

#[test]
fn no_spelling_of_a_path_makes_a_call_cheaper() {
    let gateway = start();
    let route = |path: &str, cost| Route {
        method: None,
        path: path.to_owned(),
        cost,
        units_header: None,
        body_bytes_max: None,
    };
    let metered = Route {
        units_header: Some("X-Units".to_owned()),
        body_bytes_max: Some(10),
        ..route("/models/gpt%3A4", 1)
    };
    let routes = vec![
        metered,
        route("/report", 5),
        route("/models:gen", 5),
        route("/cheap", 0),
        route("/{*any}", 1),
    ];
    let without_limits = Entry::Plan(plan(1));
    gateway.apply(3, [Entry::Product(ProductRules { routes, ..product(1) }), without_limits]);

    for (path, cost) in [
        ("/report", 5),
        ("/report;x", 5),
        ("/rep%6Frt;x=1;y", 5),
        ("/report%3bx", 5),
        ("/models:gen", 5),
        ("/models%3Agen", 5),
        ("/cheap", 0),
        ("/cheap;x", 1),
        ("/other;x", 1),
    ] {
        let mut head = head(&format!("/product-1{path}"), Some(&secret(1)));
        let admitted = decide_on(&gateway, &mut head).unwrap_or_else(|_| panic!("{path}"));
        assert_eq!(admitted.weight.cost, cost, "{path}");
    }
    let mut as_written = head("/product-1/models/gpt%3A4", Some(&secret(1)));
    let Ok(admitted) = decide_on(&gateway, &mut as_written) else { panic!("refused") };
    let Weight { units_header, body_bytes_max, .. } = &admitted.weight;
    assert_eq!((units_header.as_deref(), *body_bytes_max), (Some("X-Units"), Some(10)));
}

#[test]
fn no_spelling_of_a_method_makes_a_call_cheaper() {
    let gateway = start();
    let route = |method: Option<&str>, cost| Route {
        method: method.map(str::to_owned),
        path: "/reports".to_owned(),
        cost,
        units_header: None,
        body_bytes_max: None,
    };
    let routes = vec![route(Some("POST"), 3), route(None, 1)];
    let without_limits = Entry::Plan(plan(1));
    gateway.apply(3, [Entry::Product(ProductRules { routes, ..product(1) }), without_limits]);

    for (method, cost) in [("POST", 3), ("post", 3), ("pOST", 3), ("get", 1), ("PUT", 1)] {
        let method = method.parse().unwrap();
        let mut head = RequestHead { method, ..head("/product-1/reports", Some(&secret(1))) };
        let admitted = decide_on(&gateway, &mut head).unwrap_or_else(|_| panic!("refused"));
        assert_eq!(admitted.weight.cost, cost, "{}", head.method);
    }
}

#[test]
fn a_key_in_the_place_of_the_host_is_told_to_nobody() {
    let gateway = start();
    let key = secret(1);
    let mut head = RequestHead { host: key.clone(), ..head("/product-1", Some(&key)) };

    assert_eq!(refusal(&gateway, &mut head), Some(Refusal::RequestMalformed));
}
