//! Lago: events one by one and in batches, on either of its stores.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{Bill, Billing, Mishap, Request, Response, add};

const BATCH_MAX: usize = 100;
const DUPLICATE: &str = "value_already_exist";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Refuses what it knows, and the whole batch with it.
    Postgres {
        /// As older versions did: what is new of a refused batch is kept.
        keeps_valid: bool,
    },
    /// Takes everything; the newest of the same subscription, transaction and time counts.
    ClickHouse,
}

pub struct Lago {
    pub store: Store,
    events: Vec<Event>,
    known: HashSet<(String, String)>,
}

#[derive(Clone)]
struct Event {
    transaction: String,
    subscription: String,
    code: String,
    at_ms: i64,
    value: String,
    body: Value,
}

impl Lago {
    pub fn new(store: Store) -> Self {
        Self { store, events: Vec::new(), known: HashSet::new() }
    }

    fn single(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        let Some(event) = request.json().and_then(|mut body| Some(body.get_mut("event")?.take()))
        else {
            return bad_request("param is missing or the value is empty: event");
        };
        let errors = match read(&event, now_ms) {
            Ok(event) => match self.errors_of(&event) {
                errors if errors.is_empty() => {
                    self.keep(event, mishap);
                    errors
                }
                errors => errors,
            },
            Err(errors) => errors,
        };
        match errors.is_empty() {
            true => Response::json(200, &json!({"event": answered(&event)})),
            false => unprocessable(errors),
        }
    }

    fn batch(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        let Some(Value::Array(events)) =
            request.json().and_then(|mut body| Some(body.get_mut("events")?.take()))
        else {
            return bad_request("param is missing or the value is empty: events");
        };
        if events.is_empty() {
            return unprocessable(Map::from_iter([("events".into(), json!(["no_events"]))]));
        }
        if events.len() > BATCH_MAX {
            return unprocessable(Map::from_iter([("events".into(), json!(["too_many_events"]))]));
        }
        let mut errors = Map::new();
        let mut good = Vec::new();
        let mut inside = HashSet::new();
        for (index, event) in events.iter().enumerate() {
            let found = match read(event, now_ms) {
                Ok(event) => {
                    let mut found = self.errors_of(&event);
                    let is_new =
                        inside.insert((event.subscription.clone(), event.transaction.clone()));
                    if !is_new && matches!(self.store, Store::Postgres { .. }) {
                        found = duplicate();
                    }
                    if found.is_empty() {
                        good.push(event);
                    }
                    found
                }
                Err(found) => found,
            };
            if !found.is_empty() {
                errors.insert(index.to_string(), found.into());
            }
        }
        if !errors.is_empty() {
            if self.store == (Store::Postgres { keeps_valid: true }) {
                good.into_iter().for_each(|event| self.keep(event, mishap));
            }
            return unprocessable(errors);
        }
        good.into_iter().for_each(|event| self.keep(event, mishap));
        let events: Vec<Value> = events.iter().map(answered).collect();
        Response::json(200, &json!({"events": events}))
    }

    fn errors_of(&self, event: &Event) -> Map<String, Value> {
        let key = (event.subscription.clone(), event.transaction.clone());
        match self.store {
            Store::Postgres { .. } if self.known.contains(&key) => duplicate(),
            Store::Postgres { .. } | Store::ClickHouse => Map::new(),
        }
    }

    fn keep(&mut self, event: Event, mishap: Mishap) {
        // Its row is gone along with it, so it can come again.
        if mishap == Mishap::AcknowledgeThenLose {
            return;
        }
        self.known.insert((event.subscription.clone(), event.transaction.clone()));
        if self.store == Store::ClickHouse {
            self.events.retain(|known| !is_same(known, &event));
        }
        self.events.push(event);
    }

    fn find(&self, transaction: &str) -> Response {
        match self.events.iter().rev().find(|event| event.transaction == transaction) {
            Some(event) => Response::json(200, &json!({"event": answered(&event.body)})),
            None => {
                let body = json!({"status": 404, "error": "Not Found", "code": "event_not_found"});
                Response::json(404, &body)
            }
        }
    }
}

impl Billing for Lago {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        if !request.header("authorization").is_some_and(|text| text.starts_with("Bearer ")) {
            return Response::json(401, &json!({"status": 401, "error": "Unauthorized"}));
        }
        let path = request.path();
        match (request.method.as_str(), path, path.strip_prefix("/api/v1/events/")) {
            ("POST", "/api/v1/events", _) => self.single(request, now_ms, mishap),
            ("POST", "/api/v1/events/batch", _) => self.batch(request, now_ms, mishap),
            ("GET", _, Some(transaction)) => self.find(transaction),
            _ => Response::json(404, &json!({"status": 404, "error": "Not Found"})),
        }
    }

    /// A sum of `value` for each code.
    fn bill(&self) -> Bill {
        let mut bill = Bill::new();
        for event in &self.events {
            if let Ok(quantity) = event.value.parse() {
                add(&mut bill, &event.subscription, &event.code, event.at_ms, quantity);
            }
        }
        bill
    }
}

fn is_same(one: &Event, other: &Event) -> bool {
    let key = |event: &Event| {
        let Event { transaction, subscription, code, at_ms, .. } = event.clone();
        (transaction, subscription, code, at_ms)
    };
    key(one) == key(other)
}

fn read(body: &Value, now_ms: i64) -> Result<Event, Map<String, Value>> {
    let mut errors = Map::new();
    let mut text = |name: &str| {
        let text = body[name].as_str().unwrap_or_default().to_owned();
        if text.is_empty() {
            errors.insert(name.to_owned(), json!(["value_is_mandatory"]));
        }
        text
    };
    let (transaction, code) = (text("transaction_id"), text("code"));
    // Without a subscription it would be taken, and never billed: nothing here ever means that.
    let subscription = text("external_subscription_id");
    let seconds = match &body["timestamp"] {
        Value::Null => Some(now_ms as f64 / 1_000.0),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let Some(seconds) = seconds else {
        errors.insert("timestamp".into(), json!(["invalid_format"]));
        return Err(errors);
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let value = match &body["properties"]["value"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let at_ms = (seconds * 1_000.0) as i64;
    Ok(Event { transaction, subscription, code, at_ms, value, body: body.clone() })
}

fn answered(event: &Value) -> Value {
    let mut event = event.clone();
    event["lago_id"] = json!("1a901a90-1a90-1a90-1a90-1a901a901a90");
    event["lago_customer_id"] = Value::Null;
    event
}

fn duplicate() -> Map<String, Value> {
    Map::from_iter([("transaction_id".to_owned(), json!([DUPLICATE]))])
}

fn bad_request(message: &str) -> Response {
    Response::json(400, &json!({"status": 400, "error": format!("BadRequest: {message}")}))
}

fn unprocessable(details: Map<String, Value>) -> Response {
    let body = json!({
        "status": 422,
        "error": "Unprocessable Entity",
        "code": "validation_errors",
        "error_details": details,
    });
    Response::json(422, &body)
}
