//! What a plan's billing mode says about its prices.

use std::collections::HashSet;

use super::fields::Fault;
use super::{PRICES_MAX, Price, UsageType};
use crate::catalog::BillingMode;

/// All that is wrong with the prices of a plan together, with places such as `prices[1].currency`.
///
/// A plan without prices is one that is not charged here, whatever its mode says: what it costs is
/// in its label. A free plan has none; a fixed plan has licensed ones; a metered plan has at least
/// one that is metered. They have one currency, so that an invoice has one sum.
pub fn faults(mode: BillingMode, prices: &[Price]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if prices.len() > PRICES_MAX {
        faults.push(Fault::new("prices", format!("must have at most {PRICES_MAX} items")));
    }
    match mode {
        BillingMode::Free if !prices.is_empty() => {
            faults.push(Fault::new("prices", "must be empty in a free plan"));
        }
        BillingMode::Fixed => faults.extend(metered_places(prices).map(|position| {
            let place = format!("prices[{position}].usage_type");
            Fault::new(place, "must be \"licensed\" in a fixed plan")
        })),
        BillingMode::Metered if !prices.is_empty() && metered_places(prices).next().is_none() => {
            faults.push(Fault::new("prices", "must have a metered price in a metered plan"));
        }
        BillingMode::Free | BillingMode::Metered => {}
    }
    let mut names = HashSet::new();
    for (position, price) in prices.iter().enumerate() {
        if !names.insert(&price.name) {
            let place = format!("prices[{position}].name");
            faults.push(Fault::new(place, "is the name of another price of the plan"));
        }
        if price.currency != prices[0].currency {
            let place = format!("prices[{position}].currency");
            faults.push(Fault::new(place, "must be the same in all prices of a plan"));
        }
    }
    faults
}

fn metered_places(prices: &[Price]) -> impl Iterator<Item = usize> {
    let places = prices.iter().enumerate();
    places.filter(|(_, price)| price.usage_type() == UsageType::Metered).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Aggregate, Amount, Charge, Interval, Metered, Scheme};

    fn licensed(name: &str) -> Price {
        Price {
            name: name.to_owned(),
            interval: Interval::Month,
            currency: "USD".parse().unwrap(),
            charge: Charge::Licensed { amount: Amount::ZERO },
        }
    }

    fn metered(name: &str) -> Price {
        let charge = Charge::Metered(Metered {
            meter: crate::meter::Meter::Units,
            aggregate: Aggregate::Sum,
            included_units: 0,
            scheme: Scheme::PerUnit { amount: Amount::ZERO },
            minimum_spend: None,
            maximum_spend: None,
        });
        Price { charge, ..licensed(name) }
    }

    fn places(mode: BillingMode, prices: &[Price]) -> Vec<String> {
        faults(mode, prices).into_iter().map(|fault| fault.place).collect()
    }

    #[test]
    fn a_billing_mode_says_which_prices_a_plan_has() {
        let none: [&str; 0] = [];
        let (fee, calls) = (licensed("fee"), metered("calls"));

        for mode in [BillingMode::Free, BillingMode::Fixed, BillingMode::Metered] {
            assert_eq!(places(mode, &[]), none);
        }
        assert_eq!(places(BillingMode::Free, std::slice::from_ref(&fee)), ["prices"]);
        assert_eq!(places(BillingMode::Fixed, std::slice::from_ref(&fee)), none);
        assert_eq!(
            places(BillingMode::Fixed, &[fee.clone(), calls.clone()]),
            ["prices[1].usage_type"]
        );
        assert_eq!(places(BillingMode::Metered, std::slice::from_ref(&fee)), ["prices"]);
        assert_eq!(places(BillingMode::Metered, &[fee, calls]), none);
    }

    #[test]
    fn prices_of_a_plan_have_names_of_their_own_and_one_currency() {
        let yen = Price { currency: "JPY".parse().unwrap(), ..licensed("fee") };

        assert_eq!(
            places(BillingMode::Fixed, &[licensed("fee"), yen]),
            ["prices[1].name", "prices[1].currency"]
        );
        let many: Vec<Price> = (0..=PRICES_MAX).map(|n| licensed(&n.to_string())).collect();
        assert_eq!(places(BillingMode::Fixed, &many), ["prices"]);
    }
}
