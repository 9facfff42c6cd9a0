//! What holds of the catalog in memory, whatever batches come.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tollgate_common::catalog::SubscriptionStatus;
use tollgate_common::refusal::Refusal;
use tollgate_common::snapshot::{Entry, SubscriptionRules};
use tollgate_common::time::Clock;

use super::*;
use crate::counters::Counters;
use crate::counters::local::LocalCounters;
use crate::fixture::{
    TestClock, apply, catalog, catalog_with, compiled, digest, key, plan, plan_id, product,
    subscription, subscription_id,
};
use crate::snapshot::batch::Batch;

/// Product 1 with plan 1, subscription 1 on it, and its key 1.
fn one_of_each() -> [Entry; 4] {
    [
        Entry::Product(product(1)),
        Entry::Plan(plan(1)),
        Entry::Subscription(subscription(1, 1)),
        Entry::Key(key(1, 1)),
    ]
}

fn with_one_of_each() -> Catalog {
    let catalog = catalog();
    apply(&catalog, true, 1, one_of_each()).unwrap();
    catalog
}

/// Which plan a key's calls are decided by.
fn plan_of_key(catalog: &Catalog, number: u8) -> Option<PlanId> {
    let subscriber = catalog.key(&digest(number))?.subscriber;
    catalog.tables().plan(subscriber.plan()).map(|plan| plan.id())
}

/// One of each, and what Prometheus reads of it.
fn observed() -> (Catalog, Registry) {
    let mut registry = Registry::default();
    let catalog = catalog_with(Metrics::register(&mut registry));
    apply(&catalog, true, 1, one_of_each()).unwrap();
    (catalog, registry)
}

/// The plan that calls of subscription 1 are decided by.
fn held_plan(catalog: &Catalog) -> Arc<PlanEntry> {
    let subscriber = catalog.subscriber(subscription_id(1)).unwrap();
    catalog.tables().plan(subscriber.plan()).unwrap().clone()
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

/// How many series have this label.
fn series(registry: &Registry, label: &str) -> usize {
    shown(registry).lines().filter(|line| line.contains(label)).count()
}

fn product_at(catalog: &Catalog, host: &str) -> Option<ProductId> {
    catalog.tables().product_by_host(host).map(|product| product.id())
}

fn product_named(catalog: &Catalog, name: &str) -> Option<ProductId> {
    catalog.tables().product_by_name(name).map(|product| product.id())
}

fn with_hosts(number: u8, hosts: &[&str]) -> Entry {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Entry::Product(ProductRules { hosts, ..product(number) })
}

#[test]
fn a_batch_has_no_effect_until_its_commit() {
    for full in [true, false] {
        let catalog = with_one_of_each();
        let mut batch = catalog.begin(full);
        for entry in [
            Entry::Product(product(1)),
            Entry::Plan(plan(1)),
            Entry::Plan(plan(2)),
            Entry::Subscription(subscription(1, 2)),
            Entry::Key(key(2, 1)),
            Entry::KeyRemoved(digest(1)),
        ] {
            batch.entry(entry).unwrap();
        }

        assert_eq!(plan_of_key(&catalog, 1), Some(plan_id(1)));
        assert!(catalog.key(&digest(2)).is_none());
        assert_eq!(catalog.revision(), 1);
        batch.commit(2).unwrap();

        assert!(catalog.key(&digest(1)).is_none());
        assert_eq!(plan_of_key(&catalog, 2), Some(plan_id(2)));
        assert_eq!(catalog.revision(), 2);
    }
}

#[test]
fn a_batch_that_is_dropped_never_was() {
    for full in [true, false] {
        let catalog = with_one_of_each();
        let mut batch = catalog.begin(full);
        for entry in [
            Entry::Product(product(1)),
            Entry::Plan(plan(2)),
            Entry::Subscription(subscription(1, 2)),
            Entry::ProductRemoved(product(1).id),
            Entry::SubscriptionRemoved(subscription_id(1)),
        ] {
            batch.entry(entry).unwrap();
        }

        drop(batch);

        assert_eq!(plan_of_key(&catalog, 1), Some(plan_id(1)));
        assert!(catalog.subscriber(subscription_id(1)).unwrap().is_active());
        assert_eq!(product_named(&catalog, "product-1"), Some(product(1).id));
        assert_eq!(catalog.revision(), 1);
    }
}

#[test]
fn a_full_batch_removes_what_it_does_not_name() {
    let catalog = with_one_of_each();
    let more = [
        Entry::Product(product(2)),
        Entry::Plan(plan(2)),
        Entry::Subscription(subscription(2, 2)),
        Entry::Key(key(2, 2)),
    ];
    apply(&catalog, false, 2, more).unwrap();

    apply(&catalog, true, 3, one_of_each()).unwrap();

    let tables = catalog.tables();
    assert_eq!((tables.index().keys_len(), tables.index().subscriptions_len()), (1, 1));
    assert_eq!(plan_of_key(&catalog, 1), Some(plan_id(1)));
    assert!(catalog.key(&digest(2)).is_none());
    assert_eq!(product_named(&catalog, "product-2"), None);
}

#[test]
fn a_full_batch_keeps_the_balance_of_what_it_names_again() {
    let catalog = with_one_of_each();
    let before = catalog.subscriber(subscription_id(1)).unwrap();

    apply(&catalog, true, 2, one_of_each()).unwrap();

    let after = catalog.key(&digest(1)).unwrap().subscriber;
    assert!(std::ptr::eq(before.balance(), after.balance()));
}

#[test]
fn what_a_subscription_has_used_stays_used_when_it_is_away_for_a_while() {
    let catalog = with_one_of_each();
    let subscriber = || catalog.subscriber(subscription_id(1)).unwrap();
    let used = || subscriber().balance().is_used();
    assert!(!used());
    let plan_with_quota = compiled(PlanRules { quota: Some(9), ..plan(1) });
    let now = TestClock::at("2026-03-10T12:00:00Z").now();
    let counters = LocalCounters::default();
    let _ = counters.draw(&subscriber(), &plan_with_quota, 3, now);
    assert!(used());

    // A control plane that was put back to an earlier state, and what came after that.
    apply(&catalog, true, 1, []).unwrap();
    apply(&catalog, true, 1, [Entry::Product(product(1)), Entry::Plan(plan(1))]).unwrap();
    apply(&catalog, false, 2, [Entry::Subscription(subscription(1, 1))]).unwrap();
    assert!(used());
    apply(&catalog, true, 1, []).unwrap();
    apply(&catalog, true, 3, one_of_each()).unwrap();
    assert!(used());

    // What was deleted is over.
    apply(&catalog, false, 4, [Entry::SubscriptionRemoved(subscription_id(1))]).unwrap();
    apply(&catalog, false, 5, [Entry::Subscription(subscription(1, 1))]).unwrap();
    assert!(!used());
}

#[test]
fn a_changed_plan_keeps_the_balance_and_is_in_force_at_once() {
    let catalog = with_one_of_each();
    let before = catalog.subscriber(subscription_id(1)).unwrap();

    let raised = PlanRules { quota: Some(9), ..plan(1) };
    apply(&catalog, false, 2, [Entry::Plan(raised)]).unwrap();
    assert_eq!(catalog.tables().plan(before.plan()).unwrap().rules.quota, Some(9));

    let other = [Entry::Plan(plan(2)), Entry::Subscription(subscription(1, 2))];
    apply(&catalog, false, 3, other).unwrap();
    let after = catalog.key(&digest(1)).unwrap().subscriber;
    assert!(std::ptr::eq(before.balance(), after.balance()));
    assert_eq!(plan_of_key(&catalog, 1), Some(plan_id(2)));
}

#[test]
fn a_removed_key_is_unknown_and_the_other_of_the_subscription_is_not() {
    let catalog = with_one_of_each();
    apply(&catalog, false, 2, [Entry::Key(key(2, 1))]).unwrap();

    apply(&catalog, false, 3, [Entry::KeyRemoved(digest(1))]).unwrap();

    assert!(catalog.key(&digest(1)).is_none());
    assert!(catalog.key(&digest(2)).is_some());
}

#[test]
fn a_removed_subscription_is_not_active_for_those_who_still_hold_it() {
    let catalog = with_one_of_each();
    let held = catalog.key(&digest(1)).unwrap().subscriber;

    apply(&catalog, false, 2, [Entry::SubscriptionRemoved(subscription_id(1))]).unwrap();

    assert!(!held.is_active());
    assert!(catalog.subscriber(subscription_id(1)).is_none());
}

#[test]
fn a_canceled_subscription_is_not_active_and_one_that_is_taken_up_again_is() {
    let catalog = with_one_of_each();
    let held = catalog.subscriber(subscription_id(1)).unwrap();
    for (revision, status) in [(2, SubscriptionStatus::Canceled), (3, SubscriptionStatus::Active)] {
        let rules = SubscriptionRules { status, ..subscription(1, 1) };

        apply(&catalog, false, revision, [Entry::Subscription(rules)]).unwrap();

        assert_eq!(held.is_active(), status == SubscriptionStatus::Active);
    }
}

#[test]
fn what_is_missing_is_named_and_nothing_changes() {
    let of_no_product = PlanRules { product: ProductId::from_bytes([9; 16]), ..plan(2) };
    let cases = [
        (
            Entry::Plan(of_no_product.clone()),
            ApplyError::ProductMissing(plan_id(2), of_no_product.product),
        ),
        (
            Entry::Subscription(subscription(2, 9)),
            ApplyError::PlanMissing(subscription_id(2), plan_id(9)),
        ),
        (Entry::Key(key(2, 9)), ApplyError::SubscriptionMissing(subscription_id(9))),
    ];
    for (entry, error) in cases {
        for full in [true, false] {
            let catalog = with_one_of_each();
            let changed = Entry::Plan(PlanRules { quota: Some(9), ..plan(1) });
            let entries = [Entry::Product(product(1)), changed, entry.clone()];

            assert_eq!(apply(&catalog, full, 2, entries), Err(error), "full: {full}");

            assert_eq!(catalog.revision(), 1);
            let held = catalog.key(&digest(1)).unwrap().subscriber;
            assert_eq!(catalog.tables().plan(held.plan()).unwrap().rules.quota, None);
        }
    }
}

#[test]
fn a_key_may_come_with_its_subscription_in_one_batch() {
    let catalog = with_one_of_each();

    let both = [Entry::Subscription(subscription(2, 1)), Entry::Key(key(2, 2))];
    apply(&catalog, false, 2, both).unwrap();

    assert_eq!(plan_of_key(&catalog, 2), Some(plan_id(1)));
}

#[test]
fn the_slot_of_a_removed_plan_is_never_given_to_another() {
    let catalog = with_one_of_each();
    let held = catalog.subscriber(subscription_id(1)).unwrap();

    apply(&catalog, false, 2, [Entry::PlanRemoved(plan_id(1))]).unwrap();
    apply(&catalog, false, 3, [Entry::Plan(plan(2))]).unwrap();
    assert!(catalog.tables().plan(held.plan()).is_none());

    apply(&catalog, true, 4, [Entry::Product(product(1)), Entry::Plan(plan(3))]).unwrap();
    assert!(catalog.tables().plan(held.plan()).is_none());
}

#[test]
fn hosts_are_known_in_any_case() {
    let catalog = catalog();
    apply(&catalog, true, 1, [with_hosts(1, &["Api.Example.com"])]).unwrap();

    for host in ["api.example.com", "API.EXAMPLE.COM", "Api.Example.com"] {
        assert_eq!(product_at(&catalog, host), Some(product(1).id), "{host}");
    }
    assert_eq!(product_at(&catalog, "example.com"), None);
}

#[test]
fn a_host_moves_to_another_product_in_whichever_order_they_come() {
    let host = "api.example.com";
    let [given, taken] = [with_hosts(1, &[]), with_hosts(2, &[host])];
    for moved in [[given.clone(), taken.clone()], [taken, given]] {
        let catalog = catalog();
        apply(&catalog, true, 1, [with_hosts(1, &[host]), with_hosts(2, &[])]).unwrap();

        apply(&catalog, false, 2, moved).unwrap();

        assert_eq!(product_at(&catalog, host), Some(product(2).id));
    }
}

#[test]
fn two_products_can_swap_their_names() {
    let catalog = catalog();
    apply(&catalog, true, 1, [1, 2].map(|number| Entry::Product(product(number)))).unwrap();

    let named =
        |number, name: &str| Entry::Product(ProductRules { name: name.into(), ..product(number) });
    apply(&catalog, false, 2, [named(1, "product-2"), named(2, "product-1")]).unwrap();

    assert_eq!(product_named(&catalog, "product-1"), Some(product(2).id));
    assert_eq!(product_named(&catalog, "product-2"), Some(product(1).id));
}

#[test]
fn the_name_of_a_removed_product_can_be_taken_in_the_same_batch() {
    let catalog = with_one_of_each();
    let heir = ProductRules { name: "product-1".into(), ..product(2) };

    let entries = [Entry::Product(heir), Entry::ProductRemoved(product(1).id)];
    apply(&catalog, false, 2, entries).unwrap();

    assert_eq!(product_named(&catalog, "product-1"), Some(product(2).id));
}

#[test]
fn an_upstream_that_others_do_not_get_is_retired() {
    let catalog = with_one_of_each();
    let upstream = || {
        let tables = catalog.tables();
        tables.product_by_name("product-1").unwrap().upstream.clone().unwrap()
    };
    let first = upstream();
    apply(&catalog, false, 2, [Entry::Plan(plan(2))]).unwrap();
    assert!(!first.is_retired());

    let moved = Some("http://192.0.2.9:81".to_owned());
    let moved = ProductRules { gateway_endpoint: moved, ..product(1) };
    apply(&catalog, false, 3, [Entry::Product(moved)]).unwrap();
    assert!(first.is_retired());
    let second = upstream();
    apply(&catalog, false, 4, [Entry::ProductRemoved(product(1).id)]).unwrap();
    assert!(second.is_retired());
}

#[test]
fn an_upstream_lives_as_long_as_nothing_about_it_changes() {
    let catalog = with_one_of_each();
    let upstream = || {
        let tables = catalog.tables();
        tables.product_by_name("product-1").unwrap().upstream.as_ref().unwrap().id()
    };
    let first = upstream();

    apply(&catalog, true, 2, one_of_each()).unwrap();
    assert_eq!(upstream(), first);
    apply(&catalog, false, 3, [with_hosts(1, &["a.example"])]).unwrap();
    assert_eq!(upstream(), first);

    let elsewhere = Some("http://192.0.2.2/".to_owned());
    let moved = ProductRules { gateway_endpoint: elsewhere, ..product(1) };
    apply(&catalog, false, 4, [Entry::Product(moved)]).unwrap();
    assert_ne!(upstream(), first);
}

#[test]
fn a_changed_product_is_that_of_its_plans() {
    let catalog = with_one_of_each();
    let held = catalog.subscriber(subscription_id(1)).unwrap();

    let renamed = ProductRules { name: "renamed".into(), ..product(1) };
    apply(&catalog, false, 2, [Entry::Product(renamed)]).unwrap();

    let tables = catalog.tables();
    let plan = tables.plan(held.plan()).unwrap();
    assert!(Arc::ptr_eq(&plan.product, tables.product_by_name("renamed").unwrap()));
}

#[test]
fn the_series_of_what_is_removed_go_with_the_last_call() {
    let (catalog, registry) = observed();
    let in_flight = held_plan(&catalog);

    let removed = [
        Entry::SubscriptionRemoved(subscription_id(1)),
        Entry::PlanRemoved(plan_id(1)),
        Entry::ProductRemoved(product(1).id),
    ];
    apply(&catalog, false, 2, removed).unwrap();
    in_flight.metrics.usage_calls.inc();
    let counted = r#"tollgate_usage_calls_total{product="product-1",plan="plan-1"} 1"#;
    assert_eq!(series(&registry, counted), 1);
    drop(in_flight);

    assert_eq!(series(&registry, r#"product="product-1""#), 0, "{}", shown(&registry));
    apply(&catalog, false, 3, one_of_each()).unwrap();
    let anew = r#"tollgate_usage_calls_total{product="product-1",plan="plan-1"} 0"#;
    assert_eq!(series(&registry, anew), 1, "{}", shown(&registry));
}

#[test]
fn the_series_of_what_a_full_batch_does_not_name_go() {
    let (catalog, registry) = observed();
    let more = [Entry::Product(product(2)), Entry::Plan(plan(2))];
    apply(&catalog, false, 2, more).unwrap();
    assert!(series(&registry, r#"product="product-2""#) > 0);

    apply(&catalog, true, 3, one_of_each()).unwrap();

    assert_eq!(series(&registry, r#"product="product-2""#), 0, "{}", shown(&registry));
    assert_eq!(series(&registry, r#"plan="plan-2""#), 0, "{}", shown(&registry));
    assert!(series(&registry, r#"plan="plan-1""#) > 0);
}

#[test]
fn the_series_of_a_renamed_product_have_its_new_name() {
    let (catalog, registry) = observed();
    let before = series(&registry, r#"product="product-1""#);

    let renamed = ProductRules { name: "renamed".into(), ..product(1) };
    apply(&catalog, false, 2, [Entry::Product(renamed)]).unwrap();

    assert_eq!(series(&registry, r#"product="product-1""#), 0, "{}", shown(&registry));
    assert_eq!(series(&registry, r#"product="renamed""#), before);
}

#[test]
fn an_edit_keeps_the_series_and_what_they_count() {
    let (catalog, registry) = observed();
    let edits = [
        (false, vec![Entry::Plan(PlanRules { quota: Some(9), ..plan(1) })]),
        (false, vec![with_hosts(1, &["api.example.com"])]),
        (true, one_of_each().to_vec()),
        (false, vec![Entry::PlanRemoved(plan_id(1)), Entry::Plan(plan(1))]),
    ];
    for (count, (full, edit)) in (1..).zip(edits) {
        let plan = held_plan(&catalog);
        plan.metrics.usage_calls.inc();
        plan.product.metrics.refused(Refusal::QuotaExceeded);
        drop(plan);

        apply(&catalog, full, count + 1, edit.clone()).unwrap();

        for counted in [
            r#"tollgate_usage_calls_total{product="product-1",plan="plan-1"}"#,
            r#"tollgate_refusals_total{product="product-1",reason="quota-exceeded"}"#,
        ] {
            let counted = format!("{counted} {count}");
            assert_eq!(series(&registry, &counted), 1, "{edit:?}: {}", shown(&registry));
        }
    }
}

#[test]
fn a_batch_that_is_dropped_leaves_no_series() {
    let (catalog, registry) = observed();
    let before = shown(&registry);
    let mut batch = catalog.begin(false);
    for entry in [Entry::Product(product(2)), Entry::Plan(plan(2))] {
        batch.entry(entry).unwrap();
    }
    assert!(series(&registry, r#"product="product-2""#) > 0);

    drop(batch);

    assert_eq!(shown(&registry).lines().count(), before.lines().count());
}
