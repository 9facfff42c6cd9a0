//! Lago: events, one by one or in batches.
//!
//! A batch with one known event is refused whole, so those are counted as delivered and the rest is
//! sent again. Its two stores recognise a repeat for ever by subscription, transaction id and
//! timestamp, so the timestamp is part of what is frozen.

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::names::Names;
use super::{Answer, Destination, Frozen, http};
use crate::json::Fields;
use crate::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::{Finding, Outcome};
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Response, Wire};

/// `LAGO_EVENTS_BATCH_MAX_LENGTH` as it comes.
const BATCH_MAX: u32 = 100;

const LANES: u128 = 4;

const DUPLICATE: &str = "value_already_exist";

/// Events are shown as soon as they are answered; queues behind may take a moment.
const LAG_MS: i64 = 60_000;

pub struct Lago {
    url: String,
    bearer: String,
    codes: Names,
    batch: usize,
}

impl Lago {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, Some("https://api.getlago.com"));
        let bearer = setup.bearer_required(fields);
        let codes = Names::read(fields, "codes", Some("tollgate_"));
        let batch = fields.small_integer_defaulted("batch", 1, BATCH_MAX).unwrap_or(BATCH_MAX);
        Some(Self { url: url?, bearer: bearer?, codes, batch: batch as usize })
    }

    fn event(&self, item: &Item) -> Value {
        json!({
            "transaction_id": item.id.simple().to_string(),
            "external_subscription_id": item.customer,
            "code": self.codes.of(item.place.meter).unwrap_or_default(),
            "timestamp": item.at.seconds(),
            "properties": {
                "value": item.quantity.to_string(),
                "window_start": item.place.start.start().to_string(),
                "version": item.version.to_string(),
            },
        })
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("authorization", self.bearer.clone()),
            ("content-type", "application/json".to_owned()),
        ]
    }
}

/// Reads 422: which events are known already, and which will never be taken.
fn own(response: &Response, count: usize, is_batch: bool) -> Option<Answer> {
    if response.status != 422 {
        return None;
    }
    let body = response.json().ok()?;
    let details = body.get("error_details")?.as_object()?;
    let rejected = || Outcome::Rejected { reason: http::reason(response) };
    if !is_batch {
        let outcome = if is_duplicate(details) { Outcome::Accepted } else { rejected() };
        return Some(Answer::All(outcome));
    }
    // What is said of the batch as a whole, such as that it is too long.
    if !details.keys().all(|key| key.parse::<usize>().is_ok_and(|index| index < count)) {
        return None;
    }
    let outcome = |index: usize| match details.get(&index.to_string()) {
        None => Outcome::Refused {
            reason: "others of its batch were not taken".to_owned(),
            asked_ms: None,
        },
        Some(Value::Object(errors)) if is_duplicate(errors) => Outcome::Accepted,
        Some(_) => rejected(),
    };
    Some(Answer::Each((0..count).map(outcome).collect()))
}

/// Whether the only thing wrong is that the event is there.
fn is_duplicate(errors: &Map<String, Value>) -> bool {
    errors.len() == 1 && errors.get("transaction_id") == Some(&json!([DUPLICATE]))
}

#[async_trait]
impl Destination for Lago {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: Dedupe::Always,
            read_back: ReadBack::Items { lag_ms: LAG_MS },
            amounts: Amounts::Added,
            batch_items_max: self.batch,
            requests_at_once_max: LANES as usize,
            age_ms_max: None,
            takes_negative: true,
        }
    }

    fn lane(&self, item: &Item) -> String {
        (item.place.subscription.0.as_u128() % LANES).to_string()
    }

    /// There, a subscription carries our id as its external one.
    fn customer(&self, _: &Consumer, subscription: &Subscription) -> Result<String, String> {
        Ok(subscription.id.to_string())
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let body = match items {
            [item] if self.batch == 1 => json!({"event": self.event(item)}),
            items => {
                let events: Vec<Value> = items.iter().map(|item| self.event(item)).collect();
                json!({"events": events})
            }
        };
        body.to_string().into_bytes()
    }

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, _: Timestamp) -> Answer {
        // The bytes tell, since the setting may have changed after they were fixed.
        let is_batch = frozen.body.starts_with(b"{\"events\"");
        let path = if is_batch { "/api/v1/events/batch" } else { "/api/v1/events" };
        let request = Request {
            method: "POST",
            url: format!("{}{path}", self.url),
            headers: self.headers(),
            body: frozen.body.clone(),
        };
        let count = frozen.items.len();
        http::send(request, wire, |response| own(response, count, is_batch)).await
    }

    async fn find(
        &self,
        items: &[Item],
        wire: &dyn Wire,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        for item in items {
            let url = format!("{}/api/v1/events/{}", self.url, item.id.simple());
            let request = Request { method: "GET", url, headers: self.headers(), body: vec![] };
            let response = wire.exchange(request).await.map_err(|error| error.to_string())?;
            findings.push(match response.status {
                200 => found(item, &response.json()?),
                404 => Finding::Absent,
                _ => return Err(http::reason(&response)),
            });
        }
        Ok(())
    }
}

fn found(item: &Item, answer: &Value) -> Finding {
    let event = &answer["event"];
    let quantity = item.quantity.to_string();
    let value = &event["properties"]["value"];
    let is_its = event["external_subscription_id"] == item.customer.as_str();
    let shown = value.as_str().and_then(|text| text.parse().ok());
    match (is_its, shown) {
        (true, _) if *value == quantity.as_str() => Finding::Present,
        (true, Some(quantity)) => {
            Finding::Other { quantity, reason: format!("it is there with {quantity}") }
        }
        _ => Finding::Unclear("another event has its transaction id".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: Value) -> Response {
        Response { status: 422, headers: vec![], body: body.to_string().into_bytes() }
    }

    #[test]
    fn known_events_of_a_refused_batch_are_delivered_and_bad_ones_are_told_apart() {
        let details = json!({
            "0": {"transaction_id": [DUPLICATE]},
            "2": {"timestamp": ["invalid_format"]},
            "3": {"transaction_id": [DUPLICATE], "code": ["value_is_mandatory"]},
        });

        let answer = own(&response(json!({"error_details": details})), 4, true).unwrap();

        let Answer::Each(outcomes) = answer else { panic!("{answer:?}") };
        assert_eq!(outcomes[0], Outcome::Accepted);
        assert!(matches!(outcomes[1], Outcome::Refused { .. }));
        assert!(matches!(outcomes[2], Outcome::Rejected { .. }));
        assert!(matches!(outcomes[3], Outcome::Rejected { .. }));
    }

    #[test]
    fn what_is_said_of_the_whole_batch_is_said_of_no_event() {
        let body = json!({"error_details": {"events": ["too_many_events"]}});

        assert_eq!(own(&response(body), 4, true), None);
    }
}
