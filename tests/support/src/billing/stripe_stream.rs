//! Stripe's stream of meter events, `/v2`: sessions, and batches that are looked at later.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::stripe::Stripe;
use super::{Bill, Billing, Mishap, Request, Response, moment};

const SESSION_MS: i64 = 15 * 60_000;
const BATCH_MAX: usize = 100;

pub struct StripeStream {
    /// What becomes of events, and their sums.
    pub stripe: Stripe,
    /// Requests after which a session is over, whatever its time. None: only its time ends it.
    pub session_requests_max: Option<u32>,
    /// Tokens, when they run out, and the requests they were shown with.
    sessions: HashMap<String, (i64, u32)>,
}

impl StripeStream {
    pub fn new(stripe: Stripe, session_requests_max: Option<u32>) -> Self {
        Self { stripe, session_requests_max, sessions: HashMap::new() }
    }

    fn open(&mut self, request: &Request, now_ms: i64) -> Response {
        if !bearer(request).is_some_and(|key| key.starts_with("sk_")) {
            return error(401, "unauthenticated", "Invalid API key.");
        }
        if let Some(refused) = check(request) {
            return refused;
        }
        let token = format!("token_{}", self.sessions.len());
        self.sessions.insert(token.clone(), (now_ms + SESSION_MS, 0));
        let body = json!({
            "id": "mes_1",
            "object": "v2.billing.meter_event_session",
            "authentication_token": token,
            "livemode": true,
        });
        Response::json(200, &body)
    }

    fn stream(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        let session = bearer(request).and_then(|token| self.sessions.get_mut(token));
        let Some((ends_at, requests)) = session else {
            return error(401, "unauthenticated", "Invalid token.");
        };
        *requests += 1;
        if now_ms >= *ends_at || self.session_requests_max.is_some_and(|max| *requests > max) {
            return error(401, "billing_meter_event_session_expired", "The session has expired.");
        }
        if let Some(refused) = check(request) {
            return refused;
        }
        let body = request.json().unwrap_or_default();
        let Some(events) = body["events"].as_array() else {
            return error(400, "invalid_fields", "events is required.");
        };
        if !(1..=BATCH_MAX).contains(&events.len()) || !events.iter().all(is_good) {
            return error(400, "invalid_fields", "events are invalid.");
        }
        for (position, event) in events.iter().enumerate() {
            if mishap == Mishap::StopAfter(position) {
                return error(500, "api_error", "An unknown error occurred.");
            }
            if mishap != Mishap::AcknowledgeThenLose {
                self.take(event, now_ms);
            }
        }
        Response::json(200, &json!({}))
    }

    /// After the answer. A repeat is dropped without a word.
    fn take(&mut self, event: &Value, now_ms: i64) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let identifier = text(&event["identifier"]).unwrap_or_default();
        if !self.stripe.is_new(&identifier, now_ms) {
            return;
        }
        let payload = &event["payload"];
        let (customer, value) = (text(&payload["stripe_customer_id"]), text(&payload["value"]));
        let at_ms = event["timestamp"].as_str().and_then(moment).unwrap_or(now_ms);
        let name = event["event_name"].as_str().unwrap_or_default();
        let (customer, value) = (customer.as_ref(), value.as_ref());
        self.stripe.validate(name, customer, value, at_ms, now_ms, &identifier);
    }
}

impl Billing for StripeStream {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        match (request.method.as_str(), request.path()) {
            ("POST", "/v2/billing/meter_event_session") => self.open(request, now_ms),
            ("POST", "/v2/billing/meter_event_stream") => self.stream(request, now_ms, mishap),
            _ => self.stripe.answer(request, now_ms, mishap),
        }
    }

    fn bill(&self) -> Bill {
        self.stripe.bill()
    }
}

fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// What `/v2` wants of every request.
fn check(request: &Request) -> Option<Response> {
    if request.header("stripe-version").is_none_or(str::is_empty) {
        return Some(error(400, "invalid_request", "Stripe-Version is required."));
    }
    if request.header("content-type") != Some("application/json") || request.json().is_none() {
        return Some(error(400, "invalid_request", "The body must be JSON."));
    }
    None
}

/// As its form is; what it means is looked at later.
fn is_good(event: &Value) -> bool {
    let Some(fields) = event.as_object() else { return false };
    let is_line =
        |value: &Value| value.as_str().is_some_and(|text| (1..=100).contains(&text.len()));
    let is_known = |(name, value): (&String, &Value)| match name.as_str() {
        "event_name" | "identifier" => is_line(value),
        "timestamp" => value.as_str().and_then(moment).is_some(),
        "payload" => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        _ => false,
    };
    let is_whole = fields.contains_key("event_name") && fields.contains_key("payload");
    is_whole && fields.iter().all(is_known)
}

fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"error": {"code": code, "message": message}}))
}
