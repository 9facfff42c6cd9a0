//! OpenMeter's API v3, by itself or as Kong Konnect Metering & Billing: CloudEvents in batches.
//!
//! What is behind it is that of `/api/v1`: 202 comes before anything is stored, and whether a repeat is
//! recognised is its own setting. Its list of events can be asked for single ids.

use async_trait::async_trait;
use serde_json::Value;
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::names::Names;
use super::openmeter_v1::{Promises, SOURCE, event};
use super::{Answer, Destination, Frozen, customer, http};
use crate::json::Fields;
use crate::sending::capability::{Amounts, Capabilities, ReadBack};
use crate::sending::intent::Finding;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Wire};

/// What its own collectors send at a time is 100; each is looked up with a question of its own.
const BATCH_MAX: usize = 50;

const LANES: u128 = 4;

/// Two are enough to see that one is there twice.
const PAGE: &str = "2";

pub struct OpenMeterV3 {
    /// Up to and with the version.
    url: String,
    bearer: Option<String>,
    name: String,
    types: Names,
    promises: Promises,
}

impl OpenMeterV3 {
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
}

#[async_trait]
impl Destination for OpenMeterV3 {
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
            url: format!("{}/openmeter/events", self.url),
            headers: self.headers(Some("application/cloudevents-batch+json")),
            body: frozen.body.clone(),
        };
        http::send(request, wire, |_| None).await
    }

    async fn find(&self, items: &[Item], wire: &dyn Wire) -> Result<Vec<Finding>, String> {
        let mut findings = Vec::with_capacity(items.len());
        for item in items {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("filter[id][eq]", &item.id.simple().to_string())
                .append_pair("filter[source][eq]", SOURCE)
                .append_pair("page[size]", PAGE)
                .finish();
            let url = format!("{}/openmeter/events?{query}", self.url);
            let request = Request { method: "GET", url, headers: self.headers(None), body: vec![] };
            let response = wire.exchange(request).await.map_err(|error| error.to_string())?;
            if response.status != 200 {
                return Err(http::reason(&response));
            }
            findings.push(finding(item, &response.json()?)?);
        }
        Ok(findings)
    }
}

fn finding(item: &Item, answer: &Value) -> Result<Finding, String> {
    let events = answer["data"].as_array().ok_or("the answer has no data")?;
    let id = item.id.simple().to_string();
    // A server that does not know the filter shows other events: nothing follows from those.
    if events.iter().any(|known| known["event"]["id"] != id.as_str()) {
        return Err("it shows other events than were asked for".to_owned());
    }
    Ok(match events.as_slice() {
        [] => Finding::Absent,
        [known] => match known["validation_errors"].as_array().filter(|list| !list.is_empty()) {
            Some(errors) => {
                let errors = Value::Array(errors.clone());
                Finding::Unclear(format!("it is there and does not count: {errors}"))
            }
            None => Finding::Present,
        },
        _ => Finding::Unclear("it is there twice".to_owned()),
    })
}
