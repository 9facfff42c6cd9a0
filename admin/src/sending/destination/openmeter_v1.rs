//! OpenMeter's `/api/v1`: CloudEvents in batches.
//!
//! It answers 204 before anything is stored, and may lose what it has acknowledged; an answer of 500
//! may mean that the first events of a batch were taken. Whether it recognises a repeat is its own
//! setting, off by default. So each event is looked up after a while.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use async_trait::async_trait;
use serde_json::{Value, json};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::names::Names;
use super::{Answer, Destination, Frozen, customer, http};
use crate::json::Fields;
use crate::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::Finding;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Wire};

/// What its own collectors send at a time.
const BATCH_MAX: usize = 100;

const LANES: u128 = 4;

/// Without a dash: its key for repeats joins source and id with one.
pub const SOURCE: &str = "tollgate";

/// Events of a page; there is no next one.
const PAGE: usize = 100;

/// The largest span for which repeats can be kept: a year.
const DEDUPE_SECONDS_MAX: u32 = 31_536_000;

/// How long after its arrival an event is shown, unless the settings say otherwise.
const LAG_SECONDS: u32 = 300;

const HOUR_SECONDS: u32 = 3_600;

pub struct OpenMeterV1 {
    url: String,
    bearer: Option<String>,
    name: String,
    types: Names,
    promises: Promises,
}

/// What an installation promises, by its own settings.
#[derive(Clone, Copy)]
pub struct Promises {
    pub dedupe: Dedupe,
    pub lag_ms: i64,
}

impl Promises {
    pub fn read(fields: &mut Fields) -> Self {
        let dedupe = fields.small_integer_optional("dedupe_seconds", 1, DEDUPE_SECONDS_MAX);
        let lag = fields.small_integer_defaulted("lag_seconds", 1, HOUR_SECONDS);
        Self {
            dedupe: dedupe
                .map_or(Dedupe::Never, |seconds| Dedupe::Within { ms: i64::from(seconds) * 1_000 }),
            lag_ms: i64::from(lag.unwrap_or(LAG_SECONDS)) * 1_000,
        }
    }
}

impl OpenMeterV1 {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, None);
        let types = Names::read(fields, "event_types", Some("tollgate."));
        let promises = Promises::read(fields);
        let (bearer, name) = (setup.bearer(), setup.name.to_owned());
        Some(Self { url: url?, bearer, name, types, promises })
    }

    fn headers(&self, content_type: Option<&str>) -> Vec<(&'static str, String)> {
        let content_type = content_type.map(|text| ("content-type", text.to_owned()));
        let bearer = self.bearer.clone().map(|bearer| ("authorization", bearer));
        content_type.into_iter().chain(bearer).collect()
    }

    /// The events of a subject in the second of its usage.
    async fn events(&self, subject: &str, at: Timestamp, wire: &dyn Wire) -> Result<Shown, String> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("from", &at.to_string())
            .append_pair("to", &at.plus_ms(1_000).to_string())
            .append_pair("subject", subject)
            .append_pair("limit", &PAGE.to_string())
            .finish();
        let url = format!("{}/api/v1/events?{query}", self.url);
        let request = Request { method: "GET", url, headers: self.headers(None), body: vec![] };
        let response = wire.exchange(request).await.map_err(|error| error.to_string())?;
        match response.status {
            200 => {}
            // Events of more than 32 days ago are not shown any more.
            400 => return Ok(Shown::No(http::reason(&response))),
            _ => return Err(http::reason(&response)),
        }
        match response.json()? {
            Value::Array(events) => Ok(Shown::Events(events)),
            _ => Err("the answer is no list".to_owned()),
        }
    }
}

/// What it shows of a subject and a second.
enum Shown {
    Events(Vec<Value>),
    /// Nothing, and it says why.
    No(String),
}

/// As a CloudEvent (CloudEvents 1.0.2, JSON format).
pub fn event(item: &Item, kind: &str) -> Value {
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

fn finding(item: &Item, shown: &Shown) -> Finding {
    let events = match shown {
        Shown::Events(events) => events,
        Shown::No(reason) => return Finding::Unclear(reason.clone()),
    };
    let id = item.id.simple().to_string();
    let mut known = events
        .iter()
        .filter(|known| known["event"]["id"] == id.as_str() && known["event"]["source"] == SOURCE);
    match known.next() {
        Some(_) if known.next().is_some() => Finding::Other {
            quantity: item.quantity * (2 + known.count() as i64),
            reason: "it is there twice".to_owned(),
        },
        None if events.len() >= PAGE => {
            Finding::Unclear("there are more events than it shows".to_owned())
        }
        None => Finding::Absent,
        Some(known) => match known["validationError"].as_str() {
            Some(error) => Finding::Unclear(format!("it is there and does not count: {error}")),
            None => Finding::Present,
        },
    }
}

#[async_trait]
impl Destination for OpenMeterV1 {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: self.promises.dedupe,
            read_back: ReadBack::Items { lag_ms: self.promises.lag_ms },
            amounts: Amounts::Added,
            batch_items_max: BATCH_MAX,
            requests_at_once_max: LANES as usize,
            age_ms_max: None,
            takes_negative: false,
        }
    }

    fn lane(&self, item: &Item) -> String {
        (item.place.subscription.0.as_u128() % LANES).to_string()
    }

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        Ok(customer::or_ours(consumer, &self.name))
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let kind = |item: &Item| self.types.of(item.place.meter).unwrap_or_default();
        let events = items.iter().map(|item| event(item, &kind(item))).collect();
        Value::Array(events).to_string().into_bytes()
    }

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, _: Timestamp) -> Answer {
        let request = Request {
            method: "POST",
            url: format!("{}/api/v1/events", self.url),
            // Compared as a text there: no parameter may follow.
            headers: self.headers(Some("application/cloudevents-batch+json")),
            body: frozen.body.clone(),
        };
        http::send(request, wire, |_| None).await
    }

    async fn find(&self, items: &[Item], wire: &dyn Wire) -> Result<Vec<Finding>, String> {
        let mut pages: BTreeMap<(&str, Timestamp), Shown> = BTreeMap::new();
        let mut findings = Vec::with_capacity(items.len());
        for item in items {
            let key = (item.customer.as_str(), item.at);
            let shown = match pages.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(self.events(&item.customer, item.at, wire).await?)
                }
            };
            findings.push(finding(item, shown));
        }
        Ok(findings)
    }
}
