//! A charge as a row of FOCUS 1.2 (FinOps Open Cost and Usage Specification).
//!
//! All columns that are mandatory there, and the conditional ones whose condition is met. Columns of
//! our own begin with `x_`, as the specification asks. Unit prices are left out: with tiers, packages,
//! included units and rounding once per line there is no single one that a cost is a multiple of.

use jiff::civil::Date;
use sha2::{Digest, Sha256};
use tollgate_common::catalog::{Consumer, Product, Subscription};
use tollgate_common::ids::DestinationId;
use tollgate_common::meter::Meter;
use tollgate_common::period::Period;
use tollgate_common::price::Currency;
use tollgate_common::price::currency::Money;
use tollgate_common::time::Timestamp;

use super::costs::charge::{Cause, Charge, Kind};
use super::datum::{Cell, Datum};
use crate::sending::item::uuid_of;

/// What the charges of a period have in common.
pub struct Bill<'a> {
    pub destination: DestinationId,
    /// Who sells.
    pub provider: &'a str,
    /// Without a name once it was deleted.
    pub consumer: Option<&'a Consumer>,
    /// The consumer as the destination knows it.
    pub customer: Option<String>,
    pub product: Option<&'a Product>,
    pub subscription: &'a Subscription,
    pub month: Date,
    pub period: Period,
    /// How often the period was written before.
    pub version: u32,
    /// Of charges that have none: what nothing is charged for.
    pub currency: Currency,
}

impl Bill<'_> {
    /// What is written after the first time corrects it. It stays in its billing period, since it is
    /// the invoice of that period that has changed.
    pub fn row(&self, charge: &Charge) -> Vec<Cell> {
        let Charge { cause, quantity, amount } = charge;
        let currency = cause.currency.unwrap_or(self.currency);
        let cost = || Datum::Cost(Money { minor_units: *amount, currency });
        // A change of plan may be within a second, which a time there cannot say.
        let time = |at: Timestamp| Datum::WholeSecond(Timestamp(at.0 - at.0.rem_euclid(1_000)));
        let terms = Terms::of(cause.kind);
        let used = cause.meter.filter(|_| terms.is_metered);
        let priced = used.map(unit).or(terms.unit);
        let is_correction = self.version > 0;
        vec![
            ("BilledCost", cost()),
            ("BillingAccountId", self.subscription.consumer_id.to_string().into()),
            ("BillingAccountName", self.account_name().into()),
            ("BillingCurrency", currency.to_string().into()),
            ("BillingPeriodEnd", time(self.period.end)),
            ("BillingPeriodStart", time(self.period.start)),
            ("ChargeCategory", terms.category.into()),
            ("ChargeClass", is_correction.then(|| "Correction".to_owned()).into()),
            ("ChargeDescription", description(cause).into()),
            ("ChargeFrequency", terms.frequency.into()),
            ("ChargePeriodEnd", time(cause.end)),
            ("ChargePeriodStart", time(cause.start)),
            ("ConsumedQuantity", used.map(|_| *quantity).into()),
            ("ConsumedUnit", used.map(|meter| unit(meter).to_owned()).into()),
            ("ContractedCost", cost()),
            ("EffectiveCost", cost()),
            ("InvoiceIssuerName", self.provider.into()),
            ("ListCost", cost()),
            ("PricingCategory", priced.map(|_| "Standard".to_owned()).into()),
            ("PricingQuantity", priced.map(|_| *quantity).into()),
            ("PricingUnit", priced.map(str::to_owned).into()),
            ("ProviderName", self.provider.into()),
            ("PublisherName", self.provider.into()),
            ("ResourceId", self.subscription.id.to_string().into()),
            ("ResourceName", Datum::TextOption(None)),
            ("ResourceType", "Subscription".into()),
            ("ServiceCategory", "Other".into()),
            ("ServiceName", self.service().into()),
            ("ServiceSubcategory", "Other (Other)".into()),
            ("SkuId", cause.plan.to_string().into()),
            ("SkuMeter", cause.meter.map(|meter| meter.label().to_owned()).into()),
            ("SkuPriceId", price_id(cause).into()),
            ("SubAccountId", self.subscription.id.to_string().into()),
            ("SubAccountName", Datum::TextOption(None)),
            ("x_ChargeId", self.charge_id(cause).into()),
            ("x_Customer", self.customer.clone().into()),
            ("x_InvoiceMonth", self.month.strftime("%Y-%m").to_string().into()),
            ("x_LineKind", terms.label.into()),
            ("x_ProductId", self.subscription.product_id.to_string().into()),
            ("x_Version", i64::from(self.version + 1).into()),
        ]
    }

    fn account_name(&self) -> Option<String> {
        self.consumer.map(|consumer| consumer.name.clone()).filter(|name| !name.is_empty())
    }

    /// What people call it, or else its name in addresses.
    fn service(&self) -> String {
        match self.product {
            Some(product) if product.title.is_empty() => product.name.clone(),
            Some(product) => product.title.clone(),
            None => self.subscription.product_id.to_string(),
        }
    }

    /// Made of what the charge is, so that whoever has it twice can tell.
    fn charge_id(&self, cause: &Cause) -> String {
        let mut hash = Sha256::new();
        hash.update(self.destination.as_bytes());
        hash.update(self.subscription.id.as_bytes());
        hash.update(self.period.start.0.to_be_bytes());
        hash.update(self.version.to_be_bytes());
        hash.update(cause.plan.as_bytes());
        hash.update([cause.kind as u8, cause.meter.map_or(u8::MAX, |meter| meter as u8)]);
        hash.update(cause.start.0.to_be_bytes());
        hash.update(cause.end.0.to_be_bytes());
        hash.update(cause.currency.unwrap_or(Currency::NONE).code().as_bytes());
        hash.update(cause.plan_name.as_bytes());
        hash.update(cause.price.as_deref().unwrap_or_default().as_bytes());
        uuid_of(hash).simple().to_string()
    }
}

/// What the specification calls a kind of charge.
struct Terms {
    label: &'static str,
    category: &'static str,
    frequency: &'static str,
    /// Whether it is for a quantity of what a meter counts.
    is_metered: bool,
    /// What it is priced by, where that is no meter.
    unit: Option<&'static str>,
}

impl Terms {
    const fn of(kind: Kind) -> Self {
        let usage = Self {
            label: "usage",
            category: "Usage",
            frequency: "Usage-Based",
            is_metered: true,
            unit: None,
        };
        match kind {
            Kind::Usage => usage,
            Kind::Overage => Self { label: "overage", ..usage },
            Kind::Licensed => Self {
                label: "licensed",
                category: "Purchase",
                frequency: "Recurring",
                is_metered: false,
                unit: Some("Licenses"),
            },
            Kind::Bounds => Self {
                label: "bounds",
                category: "Adjustment",
                frequency: "Recurring",
                is_metered: false,
                unit: None,
            },
        }
    }
}

fn description(cause: &Cause) -> String {
    let Cause { plan_name, price, .. } = cause;
    let meter = cause.meter.map_or("usage", Meter::label);
    let price = price.as_ref().map_or_else(String::new, |price| format!(", price \"{price}\""));
    match cause.kind {
        Kind::Licensed => format!("plan \"{plan_name}\"{price}"),
        Kind::Usage => format!("{meter} on plan \"{plan_name}\"{price}"),
        Kind::Overage => format!("{meter} beyond the quota of plan \"{plan_name}\"{price}"),
        Kind::Bounds => format!("minimum or maximum spend of plan \"{plan_name}\"{price}"),
    }
}

/// A price has no id of its own; its name is unique in its plan.
fn price_id(cause: &Cause) -> String {
    match &cause.price {
        Some(price) => format!("{}/{price}", cause.plan),
        None => cause.plan.to_string(),
    }
}

/// By FOCUS's format of units.
pub const fn unit(meter: Meter) -> &'static str {
    match meter {
        Meter::Calls => "Requests",
        Meter::Units => "Units",
        Meter::BytesIn | Meter::BytesOut => "B",
    }
}
