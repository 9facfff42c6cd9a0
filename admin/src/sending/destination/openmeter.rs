//! What both APIs of OpenMeter share: an account there, and usage as CloudEvents in batches.

use serde_json::{Value, json};
use tollgate_common::catalog::Consumer;

use super::names::Names;
use super::{Answer, Frozen, customer, http};
use crate::json::Fields;
use crate::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::Finding;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Wire};

const LANES: u128 = 4;

/// Without a dash: its key for repeats joins source and id with one.
pub const SOURCE: &str = "tollgate";

/// The largest span for which repeats can be kept: a year.
const DEDUPE_SECONDS_MAX: u32 = 31_536_000;

/// How long after its arrival an event is shown, unless the settings say otherwise.
const LAG_SECONDS: u32 = 300;

const HOUR_SECONDS: u32 = 3_600;

/// An installation, as a destination is set up for it.
pub struct Account {
    pub url: String,
    bearer: Option<String>,
    name: String,
    types: Names,
    promises: Promises,
}

impl Account {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, None);
        let types = Names::read(fields, "event_types", Some("tollgate."));
        let promises = Promises::read(fields);
        let (bearer, name) = (setup.bearer(), setup.name.to_owned());
        Some(Self { url: url?, bearer, name, types, promises })
    }

    pub fn capabilities(&self, batch_items_max: usize) -> Capabilities {
        Capabilities {
            dedupe: self.promises.dedupe,
            read_back: ReadBack::Items { lag_ms: self.promises.lag_ms },
            amounts: Amounts::Added,
            batch_items_max,
            requests_at_once_max: LANES as usize,
            age_ms_max: None,
            takes_negative: false,
        }
    }

    pub fn lane(&self, item: &Item) -> String {
        (item.place.subscription.0.as_u128() % LANES).to_string()
    }

    pub fn customer(&self, consumer: &Consumer) -> String {
        customer::or_ours(consumer, &self.name)
    }

    pub fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let kind = |item: &Item| self.types.of(item.place.meter).unwrap_or_default();
        let events = items.iter().map(|item| event(item, &kind(item))).collect();
        Value::Array(events).to_string().into_bytes()
    }

    /// Sends events to a path below the installation's address.
    pub async fn send(&self, path: &str, frozen: &Frozen, wire: &dyn Wire) -> Answer {
        let request = Request {
            method: "POST",
            url: format!("{}{path}", self.url),
            // Compared as a text there: no parameter may follow.
            headers: self.headers(Some("application/cloudevents-batch+json")),
            body: frozen.body.clone(),
        };
        http::send(request, wire, |_| None).await
    }

    /// A question for what a URL shows.
    pub fn question(&self, url: String) -> Request {
        Request { method: "GET", url, headers: self.headers(None), body: vec![] }
    }

    fn headers(&self, content_type: Option<&str>) -> Vec<(&'static str, String)> {
        let content_type = content_type.map(|text| ("content-type", text.to_owned()));
        let bearer = self.bearer.clone().map(|bearer| ("authorization", bearer));
        content_type.into_iter().chain(bearer).collect()
    }
}

/// What an installation promises, by its own settings.
#[derive(Clone, Copy)]
struct Promises {
    dedupe: Dedupe,
    lag_ms: i64,
}

impl Promises {
    fn read(fields: &mut Fields) -> Self {
        let dedupe = fields.small_integer_optional("dedupe_seconds", 1, DEDUPE_SECONDS_MAX);
        let lag = fields.small_integer_defaulted("lag_seconds", 1, HOUR_SECONDS);
        Self {
            dedupe: dedupe
                .map_or(Dedupe::Never, |seconds| Dedupe::Within { ms: i64::from(seconds) * 1_000 }),
            lag_ms: i64::from(lag.unwrap_or(LAG_SECONDS)) * 1_000,
        }
    }
}

/// What an event says that was found under an item's id.
pub fn found(item: &Item, event: &Value) -> Finding {
    let value = &event["data"]["value"];
    match value.as_i64().or_else(|| value.as_str()?.parse().ok()) {
        Some(quantity) if quantity != item.quantity => {
            Finding::Other { quantity, reason: format!("it is there with {quantity}") }
        }
        _ => Finding::Present,
    }
}

/// As a CloudEvent (CloudEvents 1.0.2, JSON format).
fn event(item: &Item, kind: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": item.id.simple().to_string(),
        "source": SOURCE,
        "type": kind,
        "subject": item.customer,
        "time": item.at.to_string(),
        "data": {
            "value": item.quantity,
            "subscription": item.place.subscription,
            "product": item.product,
            "plan": item.place.plan,
            "window_start": item.place.start.start().to_string(),
            "window_end": item.end.start().to_string(),
            "version": item.version,
        },
    })
}
