//! Sums by product and plan.

use super::*;
use crate::ledger::Minute;
use crate::ledger::plan_day::{Grouping, SummaryPage, SummaryQuery};
use crate::store::catalog::{CatalogStore, CommitRecord};
use crate::store::{SqlCatalog, tests as catalog};
use tollgate_common::internal::{RefusalCount, RefusalReport};
use tollgate_common::refusal::Refusal;

fn asked(grouping: Grouping, window: Window) -> SummaryQuery {
    SummaryQuery {
        product: None,
        plan: None,
        grouping,
        window,
        from: Minute::of(at("2026-10-01T00:00:00Z")),
        to: Minute::of(at("2026-12-01T00:00:00Z")),
        after: None,
        items_max: 1_000,
    }
}

/// `product plan day calls units unbilled refused`, an item each.
fn shown(page: &SummaryPage) -> Vec<String> {
    let item = |item: &crate::ledger::plan_day::SummaryItem| {
        let plan = item.plan.map_or("-".to_owned(), |plan| plan.as_bytes()[0].to_string());
        let day = item.window_start.start().to_string();
        let product = item.product.as_bytes()[0];
        let counts = item.counts;
        format!(
            "{product} {plan} {} {} {} {} {}",
            &day[..10],
            counts.calls,
            counts.units,
            counts.calls_unbilled,
            item.refused,
        )
    };
    page.items.iter().map(item).collect()
}

async fn used(kind: Kind) -> Books {
    let books = Books::new(kind).await;
    let of = |product, plan_number, number, day: &str| UsageRecord {
        product: ProductId::from_bytes([product; 16]),
        plan: plan(plan_number),
        subscription: subscription(plan_number),
        units: 5,
        ..call(number, &format!("2026-{day}T10:00:00Z"))
    };
    let unbilled = UsageRecord { billed: false, ..of(2, 3, 6, "11-03") };
    let records = [
        of(1, 1, 1, "10-31"),
        of(1, 1, 2, "11-01"),
        of(1, 2, 3, "11-01"),
        of(1, 2, 4, "11-01"),
        of(2, 3, 5, "11-03"),
        unbilled,
    ];
    books.apply(1, &records).await.unwrap();
    // A repeat adds nothing here either.
    books.apply(1, &records).await.unwrap();
    books
}

#[rstest]
#[tokio::test]
async fn usage_is_summed_by_plan_and_by_product(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = used(kind).await;
    let sums = async |query: SummaryQuery| shown(&books.ledger.plan_days(&query).await.unwrap());

    assert_eq!(
        sums(asked(Grouping::Plan, Window::Day)).await,
        [
            "1 1 2026-10-31 1 5 0 0",
            "1 1 2026-11-01 1 5 0 0",
            "1 2 2026-11-01 2 10 0 0",
            "2 3 2026-11-03 1 5 1 0",
        ]
    );
    assert_eq!(
        sums(asked(Grouping::Product, Window::Day)).await,
        ["1 - 2026-10-31 1 5 0 0", "1 - 2026-11-01 3 15 0 0", "2 - 2026-11-03 1 5 1 0"]
    );
    assert_eq!(
        sums(asked(Grouping::Product, Window::Month)).await,
        ["1 - 2026-10-01 1 5 0 0", "1 - 2026-11-01 3 15 0 0", "2 - 2026-11-01 1 5 1 0"]
    );
    let of_plan = SummaryQuery { plan: Some(plan(2)), ..asked(Grouping::Plan, Window::Month) };
    assert_eq!(sums(of_plan).await, ["1 2 2026-11-01 2 10 0 0"]);
    let of_product = ProductId::from_bytes([2; 16]);
    let of_product =
        SummaryQuery { product: Some(of_product), ..asked(Grouping::Product, Window::Day) };
    assert_eq!(sums(of_product).await, ["2 - 2026-11-03 1 5 1 0"]);
}

#[rstest]
#[tokio::test]
async fn pages_put_together_are_the_whole(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = used(kind).await;
    for grouping in [Grouping::Plan, Grouping::Product] {
        for window in [Window::Day, Window::Month] {
            let whole = books.ledger.plan_days(&asked(grouping, window)).await.unwrap();
            for items_max in 1..=4 {
                let mut query = SummaryQuery { items_max, ..asked(grouping, window) };
                let mut items = Vec::new();
                loop {
                    let page = books.ledger.plan_days(&query).await.unwrap();
                    assert!(page.items.len() <= items_max);
                    items.extend(page.items);
                    query.after = page.next;
                    if page.next.is_none() {
                        break;
                    }
                }
                assert_eq!(items, whole.items, "{grouping:?} {window:?} {items_max}");
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn refusals_count_for_the_plan_that_the_subscription_has(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let store = SqlCatalog::open(books.database.clone()).await.unwrap();
    let mut writer = store.write().await.unwrap();
    let terms = catalog::plan(7, 3);
    writer.save_product(&catalog::product(3)).await.unwrap();
    writer.save_plan(&terms).await.unwrap();
    writer.save_consumer(&catalog::consumer(1)).await.unwrap();
    let subscribed = catalog::subscription(1, &terms);
    writer.save_subscription(&subscribed).await.unwrap();
    let record = CommitRecord { revision: 1, at: Timestamp(0), frames: vec![], audit: vec![] };
    writer.commit(record).await.unwrap();
    let count = |subscription, minute: &str, reason, count| RefusalCount {
        subscription,
        minute: at(minute),
        reason,
        count,
    };
    let report = RefusalReport {
        counts: vec![
            count(subscribed.id, "2026-11-01T23:59:00Z", Refusal::RateLimitExceeded, 2),
            count(subscribed.id, "2026-11-02T00:00:00Z", Refusal::RateLimitExceeded, 3),
            count(subscribed.id, "2026-11-02T05:00:00Z", Refusal::QuotaExceeded, 4),
            count(subscription(200), "2026-11-02T05:00:00Z", Refusal::QuotaExceeded, 100),
        ],
        named: Vec::new(),
    };
    books.ledger.report(NODE, 0, &report).await.unwrap();
    books.ledger.report(NODE, 0, &report).await.unwrap();

    let page = books.ledger.plan_days(&asked(Grouping::Plan, Window::Day)).await.unwrap();

    assert_eq!(shown(&page), ["3 7 2026-11-01 0 0 0 4", "3 7 2026-11-02 0 0 0 14"]);
}
