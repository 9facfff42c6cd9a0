//! What it costs to rate a line of an invoice, by scheme: a period so far, less what was billed.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use tollgate_common::price::Price;
use tollgate_common::rating::{Quantity, Reading, Share, charge};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More than a processor's guesses about the branches of one quantity after another can remember.
const LINES: u64 = 1_000_000;

fn benchmarks(criterion: &mut Criterion) {
    let readings = readings();
    let mut group = criterion.benchmark_group("rate");
    group.throughput(Throughput::Elements(LINES));
    for price in prices() {
        group.bench_function(&price.name, |bencher| {
            bencher.iter(|| {
                let lines = readings.iter().map(|[before, after]| {
                    charge(&price, black_box(&[*before]), black_box(&[*after]))
                });
                lines.sum::<Result<i64, _>>().expect("every amount is small")
            });
        });
    }
}

/// One price of each kind. The tiers are those of `docs/pricing.md`, with flat amounts.
fn prices() -> Vec<Price> {
    let tiers = json!([
        { "up_to": 5_000, "amount": "0.5", "flat_amount": 1000 },
        { "up_to": 10_000, "amount": "0.4", "flat_amount": 2000 },
        { "up_to": 15_000, "amount": "0.3", "flat_amount": 3000 },
        { "up_to": 20_000, "amount": "0.2", "flat_amount": 4000 },
        { "up_to": null, "amount": "0.1", "flat_amount": 5000 },
    ]);
    vec![
        price("licensed", json!({ "usage_type": "licensed", "amount": 4900 })),
        price("per unit", json!({ "amount": "0.445" })),
        price(
            "per unit, included, at least and at most",
            json!({
                "amount": "0.445", "included_units": 1000, "minimum_spend": 500,
                "maximum_spend": 8000,
            }),
        ),
        price("package", json!({ "amount": 1000, "package_size": 60 })),
        price(
            "graduated, 5 tiers",
            json!({ "billing_scheme": "tiered", "tier_mode": "graduated", "tiers": tiers }),
        ),
        price(
            "volume, 5 tiers",
            json!({ "billing_scheme": "tiered", "tier_mode": "volume", "tiers": tiers }),
        ),
    ]
}

fn price(name: &str, fields: Value) -> Price {
    let mut object = json!({
        "name": name, "interval": "month", "usage_type": "metered", "billing_scheme": "flat",
        "currency": "USD",
    });
    for (name, value) in fields.as_object().expect("fields are an object") {
        object[name] = value.clone();
    }
    serde_json::from_value(object).expect("the price is valid")
}

/// Quantities up to 25000 without a pattern, each on some day of a month, seen a day apart.
fn readings() -> Vec<[Reading; 2]> {
    const MONTH_MS: i64 = 30 * 86_400_000;
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let pairs = (0..LINES).map(|_| {
        let (quantity, day) = (next(25_000), next(30) as i64);
        let reading = |quantity, days| Reading {
            quantity: Quantity::of(quantity),
            held: Share::new(days * 86_400_000, MONTH_MS),
        };
        [reading(quantity, day), reading(quantity + next(1_000), day + 1)]
    });
    pairs.collect()
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500)).sample_size(10);
    targets = benchmarks
}
criterion_main!(benches);
