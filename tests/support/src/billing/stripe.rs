//! Stripe's billing meters, `/v1`: one event per request, and sums per customer and hour.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Bill, Billing, HOUR_MS, Mishap, Request, Response, add, form};

const DAY_MS: i64 = 24 * HOUR_MS;
const PAST_MS_MAX: i64 = 35 * DAY_MS;
const FUTURE_MS_MAX: i64 = 5 * 60_000;

pub struct Stripe {
    /// For how long an identifier is known.
    pub dedupe_ms: i64,
    /// How long after it was taken an event is part of sums.
    pub lag_ms: i64,
    /// Whether the newest event of an hour takes the place of those before it.
    pub overwrites: bool,
    /// Event names by the id of their meter.
    pub meters: HashMap<String, String>,
    /// Events that it took and left out of sums later, with the reason.
    pub rejected: Vec<(String, &'static str)>,
    identifiers: HashMap<String, i64>,
    replays: HashMap<String, Response>,
    events: Vec<Event>,
}

#[derive(Clone)]
struct Event {
    customer: String,
    name: String,
    value: i64,
    at_ms: i64,
    taken_at: i64,
}

impl Stripe {
    pub fn new(lag_ms: i64, overwrites: bool) -> Self {
        let names = ["calls", "units", "bytes_in", "bytes_out"];
        let meter = |name: &str| (format!("mtr_{name}"), format!("tollgate_{name}"));
        Self {
            dedupe_ms: DAY_MS,
            lag_ms,
            overwrites,
            meters: names.into_iter().map(meter).collect(),
            rejected: Vec::new(),
            identifiers: HashMap::new(),
            replays: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// With the key of the header, the first answer is repeated, whatever it was.
    fn once(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        let Some(key) = request.header("idempotency-key").map(str::to_owned) else {
            return self.take(request, now_ms, mishap);
        };
        if let Some(response) = self.replays.get(&key) {
            return response.clone();
        }
        let response = self.take(request, now_ms, mishap);
        self.replays.insert(key, response.clone());
        response
    }

    fn take(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        if request.header("content-type") != Some("application/x-www-form-urlencoded") {
            return error(400, "Invalid request: unsupported content type.");
        }
        let fields = form(&request.body);
        let field = |name: &str| fields.get(name).filter(|text| !text.is_empty());
        let Some(name) = field("event_name").filter(|name| name.len() <= 100) else {
            return error(400, "Missing required param: event_name.");
        };
        let unknown = |name: &&String| {
            let known = ["event_name", "identifier", "timestamp"];
            !known.contains(&name.as_str()) && !name.starts_with("payload[")
        };
        if let Some(name) = fields.keys().find(unknown) {
            return error(400, &format!("Received unknown parameter: {name}"));
        }
        let identifier = field("identifier").cloned().unwrap_or_default();
        if identifier.len() > 100 {
            return error(400, "Invalid string: identifier is too long.");
        }
        let seconds = field("timestamp").map(|text| text.parse::<i64>());
        let Ok(seconds) = seconds.unwrap_or(Ok(now_ms / 1_000)) else {
            return error(400, "Invalid integer: timestamp.");
        };
        if !self.is_new(&identifier, now_ms) {
            let message = format!("An event already exists with identifier {identifier}.");
            return error(400, &message).with_header("stripe-should-retry", "false");
        }
        let body = json!({
            "object": "billing.meter_event",
            "created": now_ms / 1_000,
            "event_name": name,
            "identifier": identifier,
            "livemode": true,
            "timestamp": seconds,
        });
        if mishap != Mishap::AcknowledgeThenLose {
            let (customer, value) = (field("payload[stripe_customer_id]"), field("payload[value]"));
            self.validate(name, customer, value, seconds * 1_000, now_ms, &identifier);
        }
        Response::json(200, &body)
    }

    /// Whether an identifier was not seen for long enough; from now on it was.
    pub(super) fn is_new(&mut self, identifier: &str, now_ms: i64) -> bool {
        let known = self.identifiers.get(identifier);
        if known.is_some_and(|at| now_ms - at < self.dedupe_ms) {
            return false;
        }
        self.identifiers.insert(identifier.to_owned(), now_ms);
        true
    }

    /// What happens after the answer.
    pub(super) fn validate(
        &mut self,
        name: &str,
        customer: Option<&String>,
        value: Option<&String>,
        at_ms: i64,
        now_ms: i64,
        identifier: &str,
    ) {
        let value = value.and_then(|text| text.parse::<i64>().ok());
        let verdict = match (customer, value) {
            _ if !self.meters.values().any(|known| known == name) => Err("no_meter"),
            (None, _) => Err("meter_event_no_customer_defined"),
            (Some(customer), _) if !customer.starts_with("cus_") => {
                Err("meter_event_customer_not_found")
            }
            (_, None) => Err("meter_event_invalid_value"),
            _ if at_ms > now_ms + FUTURE_MS_MAX => Err("timestamp_in_future"),
            _ if at_ms < now_ms - PAST_MS_MAX => Err("timestamp_too_far_in_past"),
            (Some(customer), Some(value)) => Ok((customer, value)),
        };
        match verdict {
            Ok((customer, value)) => self.events.push(Event {
                customer: customer.clone(),
                name: name.to_owned(),
                value,
                at_ms,
                taken_at: now_ms,
            }),
            Err(code) => self.rejected.push((identifier.to_owned(), code)),
        }
    }

    fn summaries(&self, request: &Request, meter: &str, now_ms: i64) -> Response {
        let Some(name) = self.meters.get(meter) else {
            return error(404, &format!("No such meter: {meter}"));
        };
        let minute = |name: &str| {
            let seconds: i64 = request.query(name)?.parse().ok()?;
            (seconds % 60 == 0).then_some(seconds * 1_000)
        };
        let (Some(start), Some(end), Some(customer)) =
            (minute("start_time"), minute("end_time"), request.query("customer"))
        else {
            return error(400, "customer, and start_time and end_time on whole minutes");
        };
        let shown = self.sums(now_ms - self.lag_ms);
        let hours = shown.into_iter().filter(|((known, meter, hour), _)| {
            *known == customer && meter == name && (start..end).contains(&(hour * HOUR_MS))
        });
        let summary = |((_, _, hour), value): ((String, String, i64), i64)| {
            json!({
                "object": "billing.meter_event_summary",
                "aggregated_value": value as f64,
                "start_time": hour * 3_600,
                "end_time": (hour + 1) * 3_600,
            })
        };
        let data: Vec<Value> = hours.map(summary).collect();
        Response::json(200, &json!({"object": "list", "data": data, "has_more": false}))
    }

    /// What was taken up to a moment.
    fn sums(&self, until_ms: i64) -> Bill {
        let events: Vec<&Event> =
            self.events.iter().filter(|event| event.taken_at <= until_ms).collect();
        let mut bill = Bill::new();
        if !self.overwrites {
            for event in events {
                add(&mut bill, &event.customer, &event.name, event.at_ms, event.value);
            }
            return bill;
        }
        // The newest by its own time; of two with the same time, the one that came last.
        let mut newest: HashMap<(String, String, i64), &Event> = HashMap::new();
        for event in events {
            let hour = event.at_ms.div_euclid(HOUR_MS);
            let key = (event.customer.clone(), event.name.clone(), hour);
            let known = newest.entry(key).or_insert(event);
            if known.at_ms <= event.at_ms {
                *known = event;
            }
        }
        for event in newest.values() {
            add(&mut bill, &event.customer, &event.name, event.at_ms, event.value);
        }
        bill
    }
}

impl Billing for Stripe {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        if !request.header("authorization").is_some_and(|text| text.starts_with("Bearer sk_")) {
            return error(401, "You did not provide an API key.");
        }
        let path = request.path();
        let meter = path
            .strip_prefix("/v1/billing/meters/")
            .and_then(|rest| rest.strip_suffix("/event_summaries"));
        match (request.method.as_str(), path, meter) {
            ("POST", "/v1/billing/meter_events", _) => self.once(request, now_ms, mishap),
            ("GET", _, Some(meter)) => self.summaries(request, meter, now_ms),
            _ => error(404, "Unrecognized request URL."),
        }
    }

    fn bill(&self) -> Bill {
        self.sums(i64::MAX)
    }
}

/// Without a code: that of a repeat has none either.
fn error(status: u16, message: &str) -> Response {
    let body = json!({"error": {"type": "invalid_request_error", "message": message}});
    Response::json(status, &body)
}
