//! Stripe's billing meters through `/v1`: one event per request.
//!
//! It recognises a repeat for a day by `identifier`; after that, the hour's total tells whether an
//! event arrived, so there is at most one in doubt per customer and meter. A meter that keeps the
//! newest event of an hour takes the hour's total instead, and repeats do no harm at all.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

use super::names::Names;
use super::{Answer, Destination, Frozen, customer, http};
use crate::json::{Fields, Text};
use crate::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::Outcome;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Response, Wire};

const HOUR_MS: i64 = 3_600_000;

/// "At least 24 hours".
pub const DEDUPE_MS: i64 = 24 * HOUR_MS;

/// 35 days, less an hour for clocks and retries.
pub const AGE_MS_MAX: i64 = (35 * 24 - 1) * HOUR_MS;

/// Summaries are "eventually consistent", without a bound; an hour was never reported to be short.
const LAG_MS: i64 = HOUR_MS;

/// Well below the limit of 1000 calls a second.
const AT_ONCE: usize = 16;

/// What events are called that have no name of their own.
const PREFIX: &str = "tollgate_";

const KEY: Text = Text::line(1, 100);

/// An integer that a floating point number holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub struct StripeV1 {
    url: String,
    bearer: String,
    name: String,
    event_names: Names,
    sums: Sums,
    customer_key: String,
    value_key: String,
    is_hourly: bool,
}

impl StripeV1 {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, Some("https://api.stripe.com"));
        let bearer = setup.bearer_required(fields);
        let event_names = Names::read(fields, "event_names", Some(PREFIX));
        let sums = Sums::read(fields);
        let customer_key = fields.text_defaulted("customer_key", KEY);
        let value_key = fields.text_defaulted("value_key", KEY);
        let is_hourly = fields.boolean_defaulted("hourly_totals").unwrap_or(false);
        if let Some(kept) = setup.kept {
            check_totals_stay(fields, kept, is_hourly, &event_names);
        }
        Some(Self {
            url: url?,
            bearer: bearer?,
            name: setup.name.to_owned(),
            event_names,
            sums,
            customer_key: customer_key.unwrap_or_else(|| "stripe_customer_id".to_owned()),
            value_key: value_key.unwrap_or_else(|| "value".to_owned()),
            is_hourly,
        })
    }
}

/// An hour is stated as a whole: at another meter it would count there with what the first one has of it.
fn check_totals_stay(
    fields: &mut Fields,
    kept: &BTreeMap<String, Value>,
    is_hourly: bool,
    event_names: &Names,
) {
    let mut kept = Fields::new(kept.clone().into_iter().collect());
    let was_hourly = kept.boolean_defaulted("hourly_totals").unwrap_or(false);
    let had = Names::read(&mut kept, "event_names", Some(PREFIX));
    let message = "cannot be changed where hours are stated as totals: make another destination";
    if is_hourly != was_hourly {
        fields.reject("hourly_totals", message);
    }
    if was_hourly && Meter::ALL.into_iter().any(|meter| had.of(meter) != event_names.of(meter)) {
        fields.reject("event_names", message);
    }
}

/// The sums of meters: the only way to see what arrived.
pub struct Sums {
    meter_ids: Names,
}

impl Sums {
    pub fn read(fields: &mut Fields) -> Self {
        Self { meter_ids: Names::read(fields, "meter_ids", None) }
    }

    pub fn read_back(&self) -> ReadBack {
        match Meter::ALL.into_iter().any(|meter| self.meter_ids.of(meter).is_some()) {
            true => ReadBack::Totals { lag_ms: LAG_MS },
            false => ReadBack::Never,
        }
    }

    /// Whether there is a sum of an item's meter.
    pub fn shows(&self, item: &Item) -> bool {
        self.meter_ids.of(item.place.meter).is_some()
    }

    /// The sum of an item's customer, meter and hour.
    pub async fn total(
        &self,
        url: &str,
        bearer: &str,
        item: &Item,
        wire: &dyn Wire,
    ) -> Result<i64, String> {
        let meter = item.place.meter;
        let id = self.meter_ids.of(meter);
        let id = id.ok_or_else(|| format!("meter_ids has none for {}", meter.label()))?;
        let from = item.hour() * 3_600;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("customer", &item.customer)
            .append_pair("start_time", &from.to_string())
            .append_pair("end_time", &(from + 3_600).to_string())
            .append_pair("value_grouping_window", "hour")
            .finish();
        let url = format!("{url}/v1/billing/meters/{id}/event_summaries?{query}");
        let headers = vec![("authorization", bearer.to_owned())];
        let request = Request { method: "GET", url, headers, body: vec![] };
        let response = wire.exchange(request).await.map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(http::reason(&response));
        }
        let body = response.json()?;
        let summaries = body["data"].as_array().ok_or("the answer has no data")?;
        let values = summaries.iter().map(|summary| summary["aggregated_value"].as_f64());
        let total: f64 = values.map(|value| value.unwrap_or(f64::NAN)).sum();
        if total.fract() == 0.0 && total.abs() < EXACT_MAX {
            Ok(total as i64)
        } else {
            Err(format!("{total} is no whole number"))
        }
    }
}

/// A repeat is told by its text alone: the error has no code.
fn own(response: &Response) -> Option<Answer> {
    let may_retry = response.header("stripe-should-retry") == Some("true");
    if !(400..500).contains(&response.status) || response.status == 429 {
        return None;
    }
    let body = response.json().ok()?;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    let reason = http::reason(response);
    if response.status == 400 && message.starts_with("An event already exists with identifier") {
        return Some(Answer::All(Outcome::Accepted));
    }
    if may_retry {
        return Some(Answer::All(Outcome::Unknown { reason, asked_ms: None }));
    }
    // Our clock is ahead: it can be sent in a while.
    if code == "timestamp_in_future" {
        return Some(Answer::All(Outcome::Refused { reason, asked_ms: Some(60_000) }));
    }
    None
}

#[async_trait]
impl Destination for StripeV1 {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: match self.is_hourly {
                // The same total takes its own place.
                true => Dedupe::Always,
                false => Dedupe::Within { ms: DEDUPE_MS },
            },
            read_back: self.sums.read_back(),
            amounts: if self.is_hourly { Amounts::Replacing } else { Amounts::Added },
            batch_items_max: 1,
            requests_at_once_max: AT_ONCE,
            age_ms_max: Some(AGE_MS_MAX),
            takes_negative: self.is_hourly,
        }
    }

    /// "One concurrent call per customer per meter."
    fn lane(&self, item: &Item) -> String {
        format!("{} {}", item.place.meter.label(), item.customer)
    }

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        customer::required(consumer, &self.name)
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for item in items {
            let value = if self.is_hourly { item.total } else { item.quantity };
            let event_name = self.event_names.of(item.place.meter).unwrap_or_default();
            form.append_pair("event_name", &event_name)
                .append_pair("identifier", &item.id.simple().to_string())
                .append_pair(&format!("payload[{}]", self.customer_key), &item.customer)
                .append_pair(&format!("payload[{}]", self.value_key), &value.to_string())
                .append_pair("timestamp", &item.at.seconds().to_string());
        }
        form.finish().into_bytes()
    }

    /// Without an `Idempotency-Key`, which would repeat a stored 500; `identifier` does its work.
    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, _: Timestamp) -> Answer {
        let request = Request {
            method: "POST",
            url: format!("{}/v1/billing/meter_events", self.url),
            headers: vec![
                ("authorization", self.bearer.clone()),
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ],
            body: frozen.body.clone(),
        };
        http::send(request, wire, own).await
    }

    fn shows(&self, item: &Item) -> bool {
        self.sums.shows(item)
    }

    async fn total(&self, item: &Item, wire: &dyn Wire) -> Result<i64, String> {
        self.sums.total(&self.url, &self.bearer, item, wire).await
    }
}
