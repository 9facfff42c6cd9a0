//! OpenMeter's API v3, by itself or as Kong Konnect Metering & Billing: CloudEvents in batches.
//!
//! What is behind it is that of `/api/v1`: 202 comes before anything is stored, and whether a repeat is
//! recognised is its own setting. Its list of events can be asked for single ids.

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

/// What its own collectors send at a time is 100; each is looked up with a question of its own.
const BATCH_MAX: usize = 50;

/// Two are enough to see that one is there twice.
const PAGE: &str = "2";

/// Its URL goes up to and with the version.
pub struct OpenMeterV3(Account);

impl OpenMeterV3 {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        Account::open(fields, setup).map(Self)
    }
}

#[async_trait]
impl Destination for OpenMeterV3 {
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
        self.0.send("/openmeter/events", frozen, wire).await
    }

    async fn find(
        &self,
        items: &[Item],
        wire: &dyn Wire,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        for item in items {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("filter[id][eq]", &item.id.simple().to_string())
                .append_pair("filter[source][eq]", SOURCE)
                .append_pair("page[size]", PAGE)
                .finish();
            let question = self.0.question(format!("{}/openmeter/events?{query}", self.0.url));
            let response = wire.exchange(question).await.map_err(|error| error.to_string())?;
            if response.status != 200 {
                return Err(http::reason(&response));
            }
            findings.push(finding(item, &response.json()?)?);
        }
        Ok(())
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
            None => openmeter::found(item, &known["event"]),
        },
        _ => Finding::Unclear("it is there twice".to_owned()),
    })
}
