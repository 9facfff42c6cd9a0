//! A price as it is written down: one flat object, in which a billing scheme says which fields
//! matter.
//!
//! This is the form that owners send and see, and that the store and the audit keep. What matters
//! for a scheme and is missing, and what does not matter and is there, is a fault.

use serde::{Deserialize, Serialize};

use super::tiers::{Tier, Tiers};
use super::{
    Aggregate, Amount, BillingScheme, Charge, Currency, Interval, Metered, Price, Scheme, TierMode,
    UsageType,
};
use crate::meter::Meter;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceFields {
    pub name: String,
    pub interval: Interval,
    pub usage_type: UsageType,
    pub billing_scheme: BillingScheme,
    pub currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier_mode: Option<TierMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<Meter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metered_aggregate: Option<Aggregate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub included_units: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_spend: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_spend: Option<Amount>,
}

/// What is wrong with a field, and where it is, such as `tiers[0].up_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: String,
    pub message: String,
}

impl Fault {
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// All that is wrong with a price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(|f| format!("{} {}", f.place, f.message)).collect::<Vec<_>>().join("; "))]
pub struct Faults(pub Vec<Fault>);

impl TryFrom<PriceFields> for Price {
    type Error = Faults;

    fn try_from(mut fields: PriceFields) -> Result<Self, Faults> {
        let mut faults = Faults(Vec::new());
        let charge = match fields.usage_type {
            UsageType::Licensed => licensed(&mut fields, &mut faults),
            UsageType::Metered => metered(&mut fields, &mut faults),
        };
        let PriceFields { name, interval, currency, .. } = fields;
        match charge {
            Some(charge) if faults.0.is_empty() => Ok(Self { name, interval, currency, charge }),
            _ => Err(faults),
        }
    }
}

fn licensed(fields: &mut PriceFields, faults: &mut Faults) -> Option<Charge> {
    const ONLY: &str = "belongs to a metered price";
    if fields.billing_scheme == BillingScheme::Tiered {
        faults.add("billing_scheme", "must be \"flat\" in a licensed price");
    }
    faults.refuse("package_size", fields.package_size.is_some(), ONLY);
    faults.refuse("tier_mode", fields.tier_mode.is_some(), ONLY);
    faults.refuse("tiers", fields.tiers.is_some(), ONLY);
    faults.refuse("meter", fields.meter.is_some(), ONLY);
    faults.refuse("metered_aggregate", fields.metered_aggregate.is_some(), ONLY);
    faults.refuse("included_units", fields.included_units.is_some_and(|units| units > 0), ONLY);
    faults.refuse("minimum_spend", fields.minimum_spend.is_some(), ONLY);
    faults.refuse("maximum_spend", fields.maximum_spend.is_some(), ONLY);
    Some(Charge::Licensed { amount: faults.need("amount", fields.amount)? })
}

fn metered(fields: &mut PriceFields, faults: &mut Faults) -> Option<Charge> {
    if let (Some(minimum), Some(maximum)) = (fields.minimum_spend, fields.maximum_spend)
        && minimum > maximum
    {
        faults.add("maximum_spend", "must not be below minimum_spend");
    }
    let scheme = match fields.billing_scheme {
        BillingScheme::Flat => flat(fields, faults),
        BillingScheme::Tiered => tiered(fields, faults),
    };
    Some(Charge::Metered(Metered {
        meter: fields.meter.unwrap_or(Meter::Units),
        aggregate: fields.metered_aggregate.unwrap_or(Aggregate::Sum),
        included_units: fields.included_units.unwrap_or(0),
        scheme: scheme?,
        minimum_spend: fields.minimum_spend,
        maximum_spend: fields.maximum_spend,
    }))
}

fn flat(fields: &PriceFields, faults: &mut Faults) -> Option<Scheme> {
    const ONLY: &str = "belongs to billing_scheme \"tiered\"";
    faults.refuse("tier_mode", fields.tier_mode.is_some(), ONLY);
    faults.refuse("tiers", fields.tiers.is_some(), ONLY);
    let amount = faults.need("amount", fields.amount)?;
    match fields.package_size {
        None => Some(Scheme::PerUnit { amount }),
        Some(0) => {
            faults.add("package_size", "must be above 0");
            None
        }
        Some(size) => Some(Scheme::Package { amount, size }),
    }
}

fn tiered(fields: &mut PriceFields, faults: &mut Faults) -> Option<Scheme> {
    const ONLY: &str = "belongs to billing_scheme \"flat\"";
    faults.refuse("amount", fields.amount.is_some(), ONLY);
    faults.refuse("package_size", fields.package_size.is_some(), ONLY);
    let mode = faults.need("tier_mode", fields.tier_mode);
    let tiers = faults.need("tiers", fields.tiers.take())?;
    let tiers = Tiers::new(tiers).map_err(|found| faults.0.extend(found)).ok()?;
    Some(match mode? {
        TierMode::Graduated => Scheme::Graduated(tiers),
        TierMode::Volume => Scheme::Volume(tiers),
    })
}

impl Faults {
    fn add(&mut self, place: &str, message: &str) {
        self.0.push(Fault::new(place, message));
    }

    fn refuse(&mut self, place: &str, is_there: bool, message: &str) {
        if is_there {
            self.add(place, message);
        }
    }

    fn need<T>(&mut self, place: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(place, "is required");
        }
        value
    }
}

impl From<Price> for PriceFields {
    fn from(price: Price) -> Self {
        let usage_type = price.usage_type();
        let Price { name, interval, currency, charge } = price;
        let empty = Self {
            name,
            interval,
            usage_type,
            billing_scheme: BillingScheme::Flat,
            currency,
            amount: None,
            package_size: None,
            tier_mode: None,
            tiers: None,
            meter: None,
            metered_aggregate: None,
            included_units: None,
            minimum_spend: None,
            maximum_spend: None,
        };
        match charge {
            Charge::Licensed { amount } => Self { amount: Some(amount), ..empty },
            Charge::Metered(metered) => empty.with_metered(metered),
        }
    }
}

impl PriceFields {
    fn with_metered(self, metered: Metered) -> Self {
        let usage = Self {
            meter: Some(metered.meter),
            metered_aggregate: Some(metered.aggregate),
            included_units: Some(metered.included_units),
            minimum_spend: metered.minimum_spend,
            maximum_spend: metered.maximum_spend,
            ..self
        };
        match metered.scheme {
            Scheme::PerUnit { amount } => Self { amount: Some(amount), ..usage },
            Scheme::Package { amount, size } => {
                Self { amount: Some(amount), package_size: Some(size), ..usage }
            }
            Scheme::Graduated(tiers) => usage.with_tiers(TierMode::Graduated, tiers),
            Scheme::Volume(tiers) => usage.with_tiers(TierMode::Volume, tiers),
        }
    }

    fn with_tiers(self, mode: TierMode, tiers: Tiers) -> Self {
        Self {
            billing_scheme: BillingScheme::Tiered,
            tier_mode: Some(mode),
            tiers: Some(tiers.into_vec()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The base with fields on top, read; what is wrong with it as text.
    fn read(fields: Value) -> Result<Price, Vec<String>> {
        let mut object = json!({
            "name": "calls", "interval": "month", "usage_type": "metered",
            "billing_scheme": "flat", "currency": "usd", "amount": 5,
        });
        for (name, value) in fields.as_object().unwrap() {
            object[name] = value.clone();
        }
        let fields: PriceFields = serde_json::from_value(object).unwrap();
        Price::try_from(fields).map_err(|faults| {
            faults.0.iter().map(|fault| format!("{} {}", fault.place, fault.message)).collect()
        })
    }

    #[test]
    fn every_price_is_read_as_it_was_written() {
        for fields in [
            json!({}),
            json!({ "usage_type": "licensed", "interval": "year" }),
            json!({ "package_size": 100, "included_units": 100, "metered_aggregate": "max" }),
            json!({ "meter": "bytes_out", "minimum_spend": 1, "maximum_spend": "2.5" }),
            json!({ "amount": null, "billing_scheme": "tiered", "tier_mode": "volume",
                "tiers": [{ "up_to": 5, "amount": "0.5" }, { "up_to": null, "flat_amount": 3 }] }),
            json!({ "amount": null, "billing_scheme": "tiered", "tier_mode": "graduated",
                "tiers": [{ "up_to": null }] }),
        ] {
            let price = read(fields).unwrap();

            let json = serde_json::to_string(&price).unwrap();

            assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price, "{json}");
        }
    }

    #[test]
    fn every_field_that_does_not_fit_the_scheme_is_named() {
        insta::assert_snapshot!(
            [
                json!({ "amount": null }),
                json!({ "package_size": 0 }),
                json!({ "minimum_spend": 2, "maximum_spend": 1 }),
                json!({ "tier_mode": "volume", "tiers": [] }),
                json!({ "billing_scheme": "tiered", "package_size": 1 }),
                json!({ "billing_scheme": "tiered", "amount": null, "tier_mode": "volume",
                    "tiers": [{ "up_to": null }, { "up_to": 5 }] }),
                json!({ "usage_type": "licensed", "billing_scheme": "tiered", "amount": null,
                    "package_size": 1, "tier_mode": "volume", "tiers": [], "meter": "calls",
                    "metered_aggregate": "sum", "included_units": 1, "minimum_spend": 1,
                    "maximum_spend": 1 }),
            ]
            .map(|fields| read(fields).unwrap_err().join("\n"))
            .join("\n\n"),
            @r#"
        amount is required

        package_size must be above 0

        maximum_spend must not be below minimum_spend

        tier_mode belongs to billing_scheme "tiered"
        tiers belongs to billing_scheme "tiered"

        amount belongs to billing_scheme "flat"
        package_size belongs to billing_scheme "flat"
        tier_mode is required
        tiers is required

        tiers[0].up_to must be a number in all but the last tier
        tiers[1].up_to must be null in the last tier

        billing_scheme must be "flat" in a licensed price
        package_size belongs to a metered price
        tier_mode belongs to a metered price
        tiers belongs to a metered price
        meter belongs to a metered price
        metered_aggregate belongs to a metered price
        included_units belongs to a metered price
        minimum_spend belongs to a metered price
        maximum_spend belongs to a metered price
        amount is required
        "#
        );
    }
}
