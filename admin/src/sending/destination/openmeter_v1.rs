//! OpenMeter's `/api/v1`: CloudEvents in batches.
//!
//! It answers 204 before anything is stored, and may lose what it has acknowledged; an answer of 500
//! may mean that the first events of a batch were taken. Whether it recognises a repeat is its own
//! setting, off by default. So each event is looked up after a while.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use async_trait::async_trait;
use serde_json::Value;
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::openmeter::{self, Account, SOURCE};
use super::{Answer, Destination, Frozen, http};
use crate::json::Fields;
use crate::sending::capability::Capabilities;
use crate::sending::intent::Finding;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::Wire;

/// What its own collectors send at a time.
const BATCH_MAX: usize = 100;

/// Events of a page; there is no next one.
const PAGE: usize = 100;

pub struct OpenMeterV1(Account);

impl OpenMeterV1 {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        Account::open(fields, setup).map(Self)
    }

    /// The events of a subject in the second of its usage.
    async fn events(&self, subject: &str, at: Timestamp, wire: &dyn Wire) -> Result<Shown, String> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("from", &at.to_string())
            .append_pair("to", &at.plus_ms(1_000).to_string())
            .append_pair("subject", subject)
            .append_pair("limit", &PAGE.to_string())
            .finish();
        let question = self.0.question(format!("{}/api/v1/events?{query}", self.0.url));
        let response = wire.exchange(question).await.map_err(|error| error.to_string())?;
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
            None => openmeter::found(item, &known["event"]),
        },
    }
}

#[async_trait]
impl Destination for OpenMeterV1 {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities(BATCH_MAX)
    }

    fn lane(&self, item: &Item) -> String {
        self.0.lane(item)
    }

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        Ok(self.0.customer(consumer))
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        self.0.freeze(items)
    }

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, _: Timestamp) -> Answer {
        self.0.send("/api/v1/events", frozen, wire).await
    }

    async fn find(
        &self,
        items: &[Item],
        wire: &dyn Wire,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        let mut pages: BTreeMap<(&str, Timestamp), Shown> = BTreeMap::new();
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
        Ok(())
    }
}
