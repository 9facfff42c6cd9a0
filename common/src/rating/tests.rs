//! Worked numbers, and what holds for all numbers. Amounts are in minor units.

#![expect(clippy::inconsistent_digit_grouping, reason = "120_00 is 120.00 in minor units")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::price::currency::Money;
use crate::price::{Charge, Price};

/// A metered price in US dollars with fields on top.
fn price(fields: Value) -> Price {
    let mut object = json!({
        "name": "usage", "interval": "month", "usage_type": "metered", "billing_scheme": "flat",
        "currency": "USD",
    });
    for (name, value) in fields.as_object().unwrap() {
        object[name] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn tiered(mode: &str, tiers: Value) -> Price {
    price(json!({ "billing_scheme": "tiered", "tier_mode": mode, "tiers": tiers }))
}

fn used(quantity: Quantity) -> Reading {
    Reading { quantity, held: Share::WHOLE }
}

fn rate(price: &Price, quantity: Quantity) -> i64 {
    charge(price, &[], &[used(quantity)]).unwrap()
}

/// What each quantity costs.
fn table<const N: usize>(price: &Price, quantities: [u64; N]) -> [i64; N] {
    quantities.map(|quantity| rate(price, Quantity::of(quantity)))
}

#[test]
fn tiers_by_volume_and_graduated() {
    let tiers = json!([
        { "up_to": 5, "amount": 700 }, { "up_to": 10, "amount": 650 },
        { "up_to": null, "amount": 600 },
    ]);

    let volume = table(&tiered("volume", tiers.clone()), [0, 1, 5, 6, 20, 25]);
    let graduated = table(&tiered("graduated", tiers), [0, 1, 5, 6, 20, 25]);

    assert_eq!(volume, [0, 7_00, 35_00, 39_00, 120_00, 150_00]);
    assert_eq!(graduated, [0, 7_00, 35_00, 41_50, 127_50, 157_50]);
}

#[test]
fn tiers_with_flat_amounts() {
    let tiers = json!([
        { "up_to": 5, "amount": 500, "flat_amount": 1000 },
        { "up_to": 10, "amount": 400, "flat_amount": 2000 },
        { "up_to": 15, "amount": 300, "flat_amount": 3000 },
        { "up_to": 20, "amount": 200, "flat_amount": 4000 },
        { "up_to": null, "amount": 100, "flat_amount": 5000 },
    ]);

    let volume = table(&tiered("volume", tiers.clone()), [0, 12, 20, 21]);
    let graduated = table(&tiered("graduated", tiers.clone()), [0, 12, 20, 21]);

    let idle = Reading { quantity: Quantity::ZERO, held: Share::NONE };
    assert_eq!(charge(&tiered("volume", tiers), &[], &[idle]), Ok(0));
    assert_eq!(volume, [10_00, 66_00, 80_00, 71_00]);
    assert_eq!(graduated, [10_00, 111_00, 170_00, 221_00]);
}

#[test]
fn packages_are_rounded_up_after_what_is_included() {
    let per_60 = price(json!({ "amount": 1000, "package_size": 60 }));
    let per_100 = price(json!({ "amount": 500, "package_size": 100, "included_units": 100 }));

    assert_eq!(table(&per_60, [0, 1, 60, 61, 150]), [0, 10_00, 10_00, 20_00, 30_00]);
    assert_eq!(table(&per_100, [0, 100, 101, 200, 201]), [0, 0, 5_00, 5_00, 10_00]);
}

#[test]
fn a_line_is_rounded_once_to_its_currency() {
    let quantity = Quantity::of_millionths(10_625_000);
    let shown = |amount: &str, currency: &str| {
        let price = price(json!({ "amount": amount, "currency": currency }));
        Money { minor_units: rate(&price, quantity), currency: price.currency }.to_string()
    };

    assert_eq!(shown("445.56", "USD"), "47.34 USD");
    assert_eq!(shown("4.4556", "JPY"), "47 JPY");
    assert_eq!(shown("4455.6", "KWD"), "47.341 KWD");
}

#[test]
fn an_amount_far_below_a_cent_adds_up() {
    let price = price(json!({ "amount": "0.000001", "meter": "bytes_out" }));

    assert_eq!(table(&price, [499_999, 500_000, 5_000_000_000_000]), [0, 1, 5_000_000]);
}

#[test]
fn what_is_charged_is_at_least_and_at_most() {
    let price = price(json!({ "amount": 10, "minimum_spend": 500, "maximum_spend": 2000 }));

    assert_eq!(table(&price, [0, 50, 51, 200, 201]), [500, 500, 510, 2000, 2000]);
    let half = |quantity| Reading { quantity: Quantity::of(quantity), held: Share::new(1, 2) };
    let in_half = |quantity| charge(&price, &[], &[half(quantity)]).unwrap();
    assert_eq!([0, 26, 101].map(in_half), [250, 260, 1000]);
}

#[test]
fn a_licence_is_charged_for_the_time_it_was_held() {
    let price = price(json!({ "usage_type": "licensed", "amount": 4900 }));
    let held = |ms| Reading { quantity: Quantity::ZERO, held: Share::new(ms, 30) };

    assert_eq!(charge(&price, &[], &[held(30)]), Ok(4900));
    assert_eq!(charge(&price, &[], &[held(10)]), Ok(1633));
    assert_eq!(charge(&price, &[held(10)], &[held(30)]), Ok(3267));
}

#[test]
fn overflow_is_an_error_that_names_the_price() {
    let price = price(json!({ "amount": 9_007_199_254_740_991_u64, "name": "bytes" }));

    let error = charge(&price, &[], &[used(Quantity::of(1 << 40))]).unwrap_err();

    assert_eq!(error, RatingError::Overflow { price: "bytes".into() });
    insta::assert_snapshot!(
        error, @r#"the price "bytes" leads to an amount that is too large to be kept exactly"#
    );
}

fn any_amount() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0u64..1_000_000).prop_map(Value::from),
        (0u64..1_000, 0u64..1_000_000).prop_map(|(a, b)| Value::from(format!("{a}.{b:06}"))),
    ]
}

prop_compose! {
    fn any_tiers()(
        steps in prop::collection::vec((1u64..1_000, any_amount(), any_amount()), 1..6),
    ) -> Value {
        let last = steps.len() - 1;
        let mut end = 0;
        let tiers = steps.iter().enumerate().map(|(position, (step, amount, flat_amount))| {
            end += step;
            let up_to = (position != last).then_some(end);
            json!({ "up_to": up_to, "amount": amount, "flat_amount": flat_amount })
        });
        tiers.collect()
    }
}

fn any_price() -> impl Strategy<Value = Price> {
    let scheme = prop_oneof![
        any_amount().prop_map(|amount| json!({ "amount": amount })),
        (any_amount(), 1u64..500)
            .prop_map(|(amount, size)| json!({ "amount": amount, "package_size": size })),
        any_tiers().prop_map(|tiers| json!({
            "billing_scheme": "tiered", "tier_mode": "graduated", "tiers": tiers,
        })),
        any_tiers().prop_map(|tiers| json!({
            "billing_scheme": "tiered", "tier_mode": "volume", "tiers": tiers,
        })),
        any_amount().prop_map(|amount| json!({ "usage_type": "licensed", "amount": amount })),
    ];
    let bounds = (0u64..200, prop::option::of(0u64..1_000), prop::option::of(1_000u64..99_000));
    (scheme, bounds).prop_map(|(mut fields, (included, minimum, maximum))| {
        if fields["usage_type"] != "licensed" {
            fields["included_units"] = included.into();
            fields["minimum_spend"] = minimum.into();
            fields["maximum_spend"] = maximum.into();
        }
        price(fields)
    })
}

proptest! {
    /// However a period is cut, and wherever in it usage comes, its parts add up to the whole.
    #[test]
    fn splitting_a_period_into_parts_never_changes_its_sum(
        price in any_price(),
        steps in prop::collection::vec((0u64..400_000_000, 0i64..100_000), 1..12),
    ) {
        let length: i64 = steps.iter().map(|(_, ms)| ms).sum::<i64>() + 1;
        let (mut used, mut gone) = (0, 0);
        let mut moments = vec![Reading { quantity: Quantity::ZERO, held: Share::NONE }];
        for (quantity, ms) in steps {
            used += quantity;
            gone += ms;
            let quantity = Quantity::of_millionths(used);
            moments.push(Reading { quantity, held: Share::new(gone, length) });
        }
        let whole = charge(&price, &moments[..1], &moments[moments.len() - 1..]).unwrap();

        let parts = moments.windows(2).map(|pair| charge(&price, &pair[..1], &pair[1..]).unwrap());

        prop_assert_eq!(parts.sum::<i64>(), whole);
    }

    /// Another way to the same number: units one by one, each at the amount of its own tier.
    #[test]
    fn graduated_tiers_are_what_each_unit_costs_by_itself(
        tiers in any_tiers(), quantity in 0u64..3_000,
    ) {
        let price = tiered("graduated", tiers);
        let Charge::Metered(metered) = &price.charge else { unreachable!() };
        let crate::price::Scheme::Graduated(tiers) = &metered.scheme else { unreachable!() };
        let tiers = tiers.as_slice();
        let tier_of = |unit: u64| tiers.iter().position(|tier| tier.up_to.is_none_or(|end| unit <= end));
        let reached = tier_of(quantity).unwrap();
        let mut expected = Exact::ZERO;
        for tier in &tiers[..=reached] {
            expected = expected.plus(Exact::of(tier.flat_amount).unwrap()).unwrap();
        }
        for unit in 1..=quantity {
            let amount = tiers[tier_of(unit).unwrap()].amount;
            expected = expected.plus(Exact::of(amount).unwrap()).unwrap();
        }

        prop_assert_eq!(accrued(&price, used(Quantity::of(quantity))).unwrap(), expected);
    }

    /// A staircase of one step is no staircase.
    #[test]
    fn one_tier_is_the_same_in_both_modes_and_flat(
        amount in any_amount(), quantity in 0u64..1_000_000_000,
    ) {
        let tiers = json!([{ "up_to": null, "amount": amount }]);
        let quantity = Quantity::of_millionths(quantity);

        let flat = rate(&price(json!({ "amount": amount })), quantity);

        prop_assert_eq!(rate(&tiered("volume", tiers.clone()), quantity), flat);
        prop_assert_eq!(rate(&tiered("graduated", tiers), quantity), flat);
    }
}
