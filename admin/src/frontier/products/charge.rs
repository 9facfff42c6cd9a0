//! What a product's prices make of its plan: how it is billed, and what it charges.

use tollgate_common::catalog::BillingMode;
use tollgate_common::catalog::offer::{Behavior, ListPrice, Terms};
use tollgate_common::price::{Amount, Price, PriceFields, UsageType, mode};

use crate::api::plans::prices::NAME;

/// A price of nothing asks for nothing.
pub fn billing_mode(terms: &Terms) -> BillingMode {
    let mut asked = asked(terms).map(|(_, price)| price).peekable();
    if asked.peek().is_none() {
        BillingMode::Free
    } else if asked.any(|price| price.usage_type == UsageType::Metered) {
        BillingMode::Metered
    } else {
        BillingMode::Fixed
    }
}

/// All that is asked, or nothing: a part of it would be another price.
///
/// Frontier accepts what nothing can be charged by: tiers that nobody gave, a currency that is none.
/// Prices of different intervals are a choice there, and here they would all be charged. Seats and
/// credits are not counted here.
pub fn prices(terms: &Terms) -> Vec<Price> {
    let mut intervals = asked(terms).map(|(_, price)| price.interval);
    let first = intervals.next();
    let is_one_choice = intervals.all(|interval| Some(interval) == first);
    if terms.behavior != Behavior::Basic || !is_one_choice {
        return Vec::new();
    }
    let charged = asked(terms).map(|(position, price)| charge(position, price));
    let prices: Vec<Price> = charged.collect::<Option<_>>().unwrap_or_default();
    let is_plan = mode::faults(billing_mode(terms), &prices).is_empty();
    if is_plan { prices } else { Vec::new() }
}

fn asked(terms: &Terms) -> impl Iterator<Item = (usize, &ListPrice)> {
    terms.prices.iter().enumerate().filter(|(_, price)| price.amount > 0)
}

/// None where the price cannot be one of a plan.
fn charge(position: usize, price: &ListPrice) -> Option<Price> {
    let is_metered = price.usage_type == UsageType::Metered;
    let unnamed = || format!("default_{position}");
    let fields = PriceFields {
        name: if price.name.is_empty() { unnamed() } else { price.name.clone() },
        interval: price.interval,
        usage_type: price.usage_type,
        billing_scheme: price.billing_scheme,
        currency: price.currency.parse().ok()?,
        amount: Some(Amount::of_minor_units(price.amount.try_into().ok()?).ok()?),
        package_size: None,
        tier_mode: None,
        tiers: None,
        meter: None,
        metered_aggregate: is_metered.then_some(price.metered_aggregate),
        included_units: None,
        minimum_spend: None,
        maximum_spend: None,
    };
    NAME.check(&fields.name).ok()?;
    fields.try_into().ok()
}
