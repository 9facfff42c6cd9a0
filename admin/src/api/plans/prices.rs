//! What an owner may say of a plan's prices.

use serde_json::Value;
use tollgate_common::catalog::BillingMode;
use tollgate_common::price::amount::AmountError;
use tollgate_common::price::{
    self, Amount, BillingScheme, Currency, Interval, PriceFields, Tier, UsageType, mode,
};
use utoipa::ToSchema;

use crate::api::words;
use crate::json::{Fields, INTEGER_MAX, Text};

pub const NAME: Text = Text::line(1, 100);

/// One charge of a plan. Which fields there are depends on `usage_type` and `billing_scheme`; null
/// is the same as nothing.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read reads and the vocabulary writes")]
pub struct Price {
    /// Unique in its plan. Left out, it is the price's place in the list, such as `price-1`.
    #[schema(required = false, min_length = 1, max_length = 100)]
    name: String,
    /// What the charge is for: tiers, included units and bounds begin anew in each.
    #[schema(required = false, default = "month")]
    interval: words::Interval,
    #[schema(required = false, default = "licensed")]
    usage_type: words::UsageType,
    #[schema(required = false, default = "flat")]
    billing_scheme: words::BillingScheme,
    /// ISO 4217, read in any case. The same in all prices of a plan.
    #[schema(example = "USD")]
    currency: String,
    /// For the interval, for each unit, or for each package. Not for tiered prices.
    amount: Option<MinorUnits>,
    /// Units in a package; one that is begun is paid whole. For flat metered prices.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    package_size: Option<u64>,
    /// For tiered prices.
    tier_mode: Option<words::TierMode>,
    /// For tiered prices: rising, the last without end.
    #[schema(min_items = 1, max_items = 100)]
    tiers: Option<Vec<PriceTier>>,
    /// `units` when left out. For metered prices, as all that follows.
    meter: Option<words::Meter>,
    /// `sum` when left out.
    metered_aggregate: Option<words::MeteredAggregate>,
    /// Units that cost nothing; the rest is charged as if it were all.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    included_units: Option<u64>,
    minimum_spend: Option<MinorUnits>,
    maximum_spend: Option<MinorUnits>,
}

/// From where the tier before ends, to `up_to`, included.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read_tier reads and the vocabulary writes")]
pub struct PriceTier {
    /// Null in the last tier, and only there.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    up_to: Option<u64>,
    /// For each unit.
    #[schema(required = false)]
    amount: MinorUnits,
    /// Once, when the tier is charged at all.
    #[schema(required = false)]
    flat_amount: MinorUnits,
}

/// Minor units, such as cents: a whole number, or a decimal number of at most 12 places in a string.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum MinorUnits {
    #[schema(title = "whole")]
    Whole(u64),
    #[schema(title = "decimal")]
    Decimal(String),
}

/// Reads the prices of a plan and holds them against its billing mode, where that can be read.
pub fn read(fields: &mut Fields, billing_mode: Option<BillingMode>) -> Vec<price::Price> {
    let mut position = 0;
    let read = fields.list_of("prices", |inner| {
        position += 1;
        read_price(inner, position)
    });
    let Some(prices) = read.unwrap_or_default().into_iter().collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let faults = billing_mode.map(|billing_mode| mode::faults(billing_mode, &prices));
    for fault in faults.into_iter().flatten() {
        fields.reject(&fault.place, fault.message);
    }
    prices
}

/// None when something is wrong, which is noted. Where a field cannot be read, a stand-in goes on in
/// its place, so that all other mistakes are named too.
fn read_price(fields: &mut Fields, position: usize) -> Option<price::Price> {
    fields.forget_nulls();
    let name = fields.text_defaulted("name", NAME);
    let interval = fields.word_or("interval", Interval::Month);
    let usage_type = fields.word_or("usage_type", UsageType::Licensed);
    let billing_scheme = fields.word_or("billing_scheme", BillingScheme::Flat);
    let currency = fields.parsed_required("currency", |text| {
        text.parse().map_err(|error: price::currency::CurrencyError| error.to_string())
    });
    let amount = fields.value_defaulted("amount", read_amount);
    let package_size = fields.integer_defaulted("package_size", 1, INTEGER_MAX);
    let tier_mode = fields.word_defaulted("tier_mode");
    let tiers = fields.list_of("tiers", read_tier);
    let meter = fields.word_defaulted("meter");
    let metered_aggregate = fields.word_defaulted("metered_aggregate");
    let included_units = fields.integer_defaulted("included_units", 0, INTEGER_MAX);
    let minimum_spend = fields.value_defaulted("minimum_spend", read_amount);
    let maximum_spend = fields.value_defaulted("maximum_spend", read_amount);
    let price = PriceFields {
        name: name.unwrap_or_else(|| format!("price-{position}")),
        interval: interval.unwrap_or(Interval::Month),
        usage_type: usage_type?,
        billing_scheme: billing_scheme?,
        currency: currency.unwrap_or(Currency::NONE),
        amount,
        package_size,
        tier_mode,
        tiers,
        meter,
        metered_aggregate,
        included_units,
        minimum_spend,
        maximum_spend,
    };
    // A field that cannot be read is missing now, which is not what is wrong with it.
    match price::Price::try_from(price) {
        Ok(price) => (!fields.has_errors()).then_some(price),
        Err(faults) => {
            for fault in faults.0 {
                if !fields.has_error_at(&fault.place) {
                    fields.reject(&fault.place, fault.message);
                }
            }
            None
        }
    }
}

fn read_tier(fields: &mut Fields) -> Tier {
    let amount = fields.value_defaulted("amount", read_amount);
    let flat_amount = fields.value_defaulted("flat_amount", read_amount);
    Tier {
        up_to: fields.integer_optional("up_to", 1, INTEGER_MAX),
        amount: amount.unwrap_or_default(),
        flat_amount: flat_amount.unwrap_or_default(),
    }
}

/// No number with a point is read: a reader of JSON has made a float of it by then.
fn read_amount(value: &Value) -> Result<Amount, AmountError> {
    match value {
        Value::Number(number) => {
            let units = number.as_u64().ok_or(AmountError::Form)?;
            Amount::of_minor_units(units)
        }
        Value::String(text) => text.parse(),
        _ => Err(AmountError::Form),
    }
}
