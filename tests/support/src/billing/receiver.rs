//! Whoever receives Tollgate's webhook and does as the documentation says: checks the signature
//! (Standard Webhooks 1.0.0), keeps the ids of items, and counts an item once.

use std::collections::{HashMap, HashSet};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Bill, Billing, Mishap, Request, Response, add, moment};

const TOLERANCE_S: i64 = 300;

pub struct Receiver {
    secret: Vec<u8>,
    seen: HashSet<String>,
    /// Under which id each message came.
    messages: HashMap<Vec<u8>, String>,
    bill: Bill,
}

impl Receiver {
    /// With a secret in the form `whsec_...`.
    pub fn new(secret: &str) -> Self {
        let secret = secret.strip_prefix("whsec_").expect("a secret has its prefix");
        let secret = BASE64.decode(secret.as_bytes()).expect("a secret is in base64");
        Self { secret, seen: HashSet::new(), messages: HashMap::new(), bill: Bill::new() }
    }

    fn is_signed(&self, request: &Request, now_ms: i64) -> bool {
        let header = |name| request.header(name).unwrap_or_default();
        let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
        let Ok(seconds) = at.parse::<i64>() else { return false };
        if (now_ms / 1_000 - seconds).abs() > TOLERANCE_S || id.is_empty() || id.contains('.') {
            return false;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length is a key");
        mac.update(format!("{id}.{at}.").as_bytes());
        mac.update(&request.body);
        let signature = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
        header("webhook-signature").split(' ').any(|known| known == signature)
    }

    /// Says whether the item is kept.
    fn take(&mut self, item: &Value) -> bool {
        let text = |name: &str| item[name].as_str();
        let (Some(id), Some(customer), Some(meter)) = (text("id"), text("customer"), text("meter"))
        else {
            return false;
        };
        let at = text("window_start").and_then(moment);
        let (Some(at), Some(quantity)) = (at, item["quantity"].as_i64()) else { return false };
        if self.seen.insert(id.to_owned()) {
            add(&mut self.bill, customer, meter, at, quantity);
        }
        true
    }
}

impl Billing for Receiver {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        if request.method != "POST" {
            return Response::empty(405);
        }
        if !self.is_signed(request, now_ms) {
            return Response::empty(401);
        }
        // A message that is sent again has its id again, by which others recognise it.
        let id = request.header("webhook-id").unwrap_or_default();
        let first = self.messages.entry(request.body.clone()).or_insert_with(|| id.to_owned());
        assert_eq!(first, id, "the same message under another id");
        let body = request.json().unwrap_or_default();
        let Some(items) = body["data"]["items"].as_array() else { return Response::empty(400) };
        let mut failed = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let is_over = matches!(mishap, Mishap::StopAfter(count) if count <= position);
            if is_over || !self.take(item) {
                failed.push(item["id"].clone());
            }
        }
        Response::json(200, &json!({"failed": failed}))
    }

    fn bill(&self) -> Bill {
        self.bill.clone()
    }
}
