//! What a client says of a product.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_common::catalog::offer::{Behavior, ListPrice};
use tollgate_common::ids::PriceId;
use tollgate_common::price::{Aggregate, BillingScheme, Interval, TierMode, UsageType};
use tollgate_common::time::Timestamp;
use uuid::Uuid;

use super::settings::Settings;
use crate::frontier::features::body::{FeatureBody, check_metadata};
use crate::frontier::message::Message;
use crate::frontier::violation::{
    Violation, at_least, at_most, bounded, not_negative, word, word_or,
};
use crate::json::Text;
use crate::problem::Problem;

pub const INTERVALS: [&str; 4] = ["day", "week", "month", "year"];
const BEHAVIORS: [&str; 3] = ["basic", "credits", "per_seat"];

const NAME_LENGTH_MIN: usize = 3;

/// Bounds of ours, where Frontier has none.
pub const NAME: Text = Text::line(0, 255);
pub const TITLE: Text = Text::line(0, 200);
const CURRENCY: Text = Text::line(0, 32);
pub const PRICES_MAX: usize = 100;
const FEATURES_MAX: usize = 100;

/// A product whose form is right.
#[derive(Clone, Debug, Default)]
pub struct ProductBody {
    /// In small letters.
    pub name: String,
    name_length_min: usize,
    pub title: String,
    pub description: String,
    pub plan_id: String,
    pub prices: Vec<PriceBody>,
    behavior: String,
    pub features: Vec<FeatureBody>,
    pub credit_amount: i64,
    pub seat_limit: i64,
    pub min_quantity: i64,
    pub max_quantity: i64,
    pub metadata: BTreeMap<String, Value>,
}

#[derive(Clone, Debug)]
pub struct PriceBody {
    pub name: String,
    interval: String,
    usage_type: String,
    billing_scheme: String,
    currency: String,
    amount: i64,
    metered_aggregate: String,
    tier_mode: String,
    metadata: BTreeMap<String, Value>,
}

/// A product that breaks no rule.
#[derive(Clone, Debug, Default)]
pub struct ProductTerms {
    pub body: ProductBody,
    pub behavior: Behavior,
    pub prices: Vec<PriceTerms>,
    pub settings: Settings,
}

/// A price that breaks no rule.
#[derive(Clone, Debug)]
pub struct PriceTerms {
    pub name: String,
    interval: Interval,
    usage_type: UsageType,
    billing_scheme: BillingScheme,
    currency: String,
    amount: i64,
    metered_aggregate: Aggregate,
    tier_mode: TierMode,
    metadata: BTreeMap<String, Value>,
}

impl ProductBody {
    /// A `ProductRequestBody`.
    pub fn read(message: &mut Message) -> Result<Self, Problem> {
        let plan_id = message.text("plan_id")?;
        Ok(Self { plan_id, name_length_min: NAME_LENGTH_MIN, ..Self::read_common(message)? })
    }

    /// A `Product` inside a plan: its plans are known, and its name has no rule but to be there.
    pub fn read_in_plan(message: &mut Message) -> Result<Self, Problem> {
        message.skip_texts(&["id", "state"])?;
        message.texts("plan_ids")?;
        message.skip_times()?;
        Ok(Self { name_length_min: 1, ..Self::read_common(message)? })
    }

    fn read_common(message: &mut Message) -> Result<Self, Problem> {
        let mut body = Self {
            name: message.text("name")?.to_lowercase(),
            title: message.text("title")?,
            description: message.text("description")?,
            prices: message.messages("prices", PriceBody::read)?,
            behavior: message.text("behavior")?,
            features: message.messages("features", FeatureBody::read)?,
            metadata: message.object("metadata")?,
            ..Default::default()
        };
        if let Some(mut config) = message.message("behavior_config")? {
            body.credit_amount = config.integer("credit_amount")?;
            body.seat_limit = config.integer("seat_limit")?;
            body.min_quantity = config.integer("min_quantity")?;
            body.max_quantity = config.integer("max_quantity")?;
        }
        Ok(body)
    }

    /// Looks at the fields in the order in which Frontier does. `message` is what it calls them.
    pub fn checked(self, message: &str) -> Result<ProductTerms, Violation> {
        let field = |name: &str| format!("{message}.{name}");
        at_least(&field("Name"), self.name_length_min, &self.name)?;
        bounded(&field("Name"), &self.name, NAME)?;
        bounded(&field("PlanId"), &self.plan_id, NAME)?;
        at_most(&field("Prices"), PRICES_MAX, self.prices.len())?;
        let mut prices = Vec::new();
        for (position, price) in self.prices.iter().enumerate() {
            let checked = price.clone().checked();
            let place = field(&format!("Prices[{position}]"));
            prices.push(checked.map_err(|violation| violation.within(&place))?);
        }
        let behavior =
            word_or(&field("Behavior"), &self.behavior, &BEHAVIORS, Behavior::default())?;
        at_most(&field("Features"), FEATURES_MAX, self.features.len())?;
        for (position, feature) in self.features.iter().enumerate() {
            let place = field(&format!("Features[{position}]"));
            feature.check_nested().map_err(|violation| violation.within(&place))?;
        }
        for (name, quantity) in
            [("MinQuantity", self.min_quantity), ("MaxQuantity", self.max_quantity)]
        {
            not_negative(&format!("Product_BehaviorConfig.{name}"), quantity)
                .map_err(|violation| violation.within(&field("BehaviorConfig")))?;
        }
        let mut body = self;
        let settings = Settings::take(&mut body.metadata)
            .map_err(|violation| violation.within(&field("Metadata")))?;
        // Credits that are given make a product one that gives credits, whatever else it was said
        // to be.
        let behavior = if body.credit_amount > 0 { Behavior::Credits } else { behavior };
        Ok(ProductTerms { body, behavior, prices, settings })
    }
}

impl PriceBody {
    fn read(message: &mut Message) -> Result<Self, Problem> {
        message.skip_texts(&["id", "product_id", "provider_id", "state"])?;
        message.skip_times()?;
        Ok(Self {
            name: message.text("name")?.to_lowercase(),
            interval: message.text("interval")?,
            usage_type: message.text("usage_type")?,
            billing_scheme: message.text("billing_scheme")?,
            currency: message.text("currency")?,
            amount: message.integer("amount")?,
            metered_aggregate: message.text("metered_aggregate")?,
            tier_mode: message.text("tier_mode")?,
            metadata: message.object("metadata")?,
        })
    }

    fn checked(self) -> Result<PriceTerms, Violation> {
        bounded("Price.Name", &self.name, NAME)?;
        let interval = word("Price.Interval", &self.interval, &INTERVALS)?;
        let usage_type = word_or(
            "Price.UsageType",
            &self.usage_type,
            &["licensed", "metered"],
            UsageType::Licensed,
        )?;
        let billing_scheme = word_or(
            "Price.BillingScheme",
            &self.billing_scheme,
            &["tiered", "flat"],
            BillingScheme::Flat,
        )?;
        bounded("Price.Currency", &self.currency, CURRENCY)?;
        let amount = not_negative("Price.Amount", self.amount)?;
        let metered_aggregate = word_or(
            "Price.MeteredAggregate",
            &self.metered_aggregate,
            &["sum", "max", "last_during_period"],
            Aggregate::Sum,
        )?;
        let tier_mode = word_or(
            "Price.TierMode",
            &self.tier_mode,
            &["graduated", "volume"],
            TierMode::Graduated,
        )?;
        check_metadata("Price.Metadata", &self.metadata)?;
        let currency = if self.currency.is_empty() { "usd".to_owned() } else { self.currency };
        Ok(PriceTerms {
            name: self.name,
            interval,
            usage_type,
            billing_scheme,
            currency,
            amount,
            metered_aggregate,
            tier_mode,
            metadata: self.metadata,
        })
    }
}

impl PriceTerms {
    pub fn into_price(self, id: Uuid, now: Timestamp) -> ListPrice {
        ListPrice {
            id: PriceId(id),
            name: self.name,
            interval: self.interval,
            usage_type: self.usage_type,
            billing_scheme: self.billing_scheme,
            currency: self.currency,
            amount: self.amount,
            metered_aggregate: self.metered_aggregate,
            tier_mode: self.tier_mode,
            metadata: self.metadata,
            created_at: now,
            updated_at: now,
        }
    }
}
