//! A signed webhook, by Standard Webhooks 1.0.0.
//!
//! The standard has no form for several items; ours is one message with a list. Whoever receives it
//! keeps the ids of items, for ever, and counts an item that it knows only once. An answer 2xx with
//! `{"failed": [ids]}` takes all items but those.

use async_trait::async_trait;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::http::{self, reason};
use super::{Answer, Destination, Frozen};
use crate::json::Fields;
use crate::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::Outcome;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Response, Wire};

/// The standard asks for bodies below 20 kB; an item takes about 500 bytes.
const BATCH_MAX: u32 = 32;

/// Lanes over which subscriptions are spread.
const LANES: u128 = 4;

/// Symmetric secrets have 24 to 64 bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

const SECRET_PREFIX: &str = "whsec_";

pub struct Webhook {
    url: String,
    /// The newest first: while a secret is being changed, both sign.
    secrets: Vec<Vec<u8>>,
    batch: usize,
}

impl Webhook {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, None);
        let batch = fields.small_integer_defaulted("batch", 1, BATCH_MAX).unwrap_or(1);
        let Some(secret) = setup.secret else {
            fields.reject_outside("secret", "is required");
            return None;
        };
        match secrets(secret) {
            Some(secrets) => Some(Self { url: url?, secrets, batch: batch as usize }),
            None => {
                fields.reject_outside(
                    "secret",
                    "must be whsec_ and 24 to 64 bytes in base64, or two of them with a space",
                );
                None
            }
        }
    }

    /// Named by its items, so that the same message has the same name.
    fn message_id(items: &[Item]) -> String {
        match items {
            [item] => item.id.simple().to_string(),
            items => {
                let mut hash = Sha256::new();
                for item in items {
                    hash.update(item.id.as_bytes());
                }
                data_encoding::HEXLOWER.encode(&hash.finalize()[..16])
            }
        }
    }

    fn signatures(&self, id: &str, at: i64, body: &[u8]) -> String {
        let sign = |secret: &Vec<u8>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length is a key");
            mac.update(format!("{id}.{at}.").as_bytes());
            mac.update(body);
            format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
        };
        self.secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn secrets(secret: &SecretString) -> Option<Vec<Vec<u8>>> {
    let one = |text: &str| {
        let bytes = BASE64.decode(text.strip_prefix(SECRET_PREFIX)?.as_bytes()).ok()?;
        SECRET_BYTES.contains(&bytes.len()).then_some(bytes)
    };
    let secrets: Option<Vec<_>> = secret.expose_secret().split(' ').map(one).collect();
    secrets.filter(|secrets| (1..=2).contains(&secrets.len()))
}

fn data(item: &Item) -> Value {
    json!({
        "id": item.id.simple().to_string(),
        "subscription_id": item.place.subscription,
        "consumer_id": item.consumer,
        "customer": item.customer,
        "product_id": item.product,
        "plan_id": item.place.plan,
        "meter": item.place.meter.label(),
        "window_start": item.place.start.start().to_string(),
        "window_end": item.end.start().to_string(),
        "version": item.version,
        "quantity": item.quantity,
    })
}

#[async_trait]
impl Destination for Webhook {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: Dedupe::Always,
            read_back: ReadBack::Never,
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

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        Ok(consumer.id.to_string())
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let newest = items.iter().map(|item| item.end.start()).max().unwrap_or_default();
        let items: Vec<Value> = items.iter().map(data).collect();
        let body = json!({
            "type": "usage.recorded",
            "timestamp": newest.to_string(),
            "data": {"items": items},
        });
        body.to_string().into_bytes()
    }

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, now: Timestamp) -> Answer {
        let id = Self::message_id(&frozen.items);
        let at = now.seconds();
        let request = Request {
            method: "POST",
            url: self.url.clone(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("webhook-signature", self.signatures(&id, at, &frozen.body)),
                ("webhook-id", id),
                ("webhook-timestamp", at.to_string()),
            ],
            body: frozen.body.clone(),
        };
        http::send(request, wire, |response| own(response, &frozen.items)).await
    }
}

fn own(response: &Response, items: &[Item]) -> Option<Answer> {
    match response.status {
        410 => Some(Answer::Gone(reason(response))),
        200..300 => {
            let body = response.json().ok()?;
            let failed = body.get("failed")?.as_array()?;
            let outcome = |item: &Item| {
                let id = item.id.simple().to_string();
                match failed.iter().any(|known| known.as_str() == Some(&id)) {
                    true => Outcome::Unknown { reason: reason(response), asked_ms: None },
                    false => Outcome::Accepted,
                }
            };
            Some(Answer::Each(items.iter().map(outcome).collect()))
        }
        // Whatever else a receiver says, the standard asks to try again.
        300..500 if response.status != 429 => {
            let asked_ms = http::asked_ms(response);
            Some(Answer::All(Outcome::Unknown { reason: reason(response), asked_ms }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standards_vector() {
        let secret = SecretString::from("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let webhook = Webhook { url: String::new(), secrets: secrets(&secret).unwrap(), batch: 1 };
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;

        let signatures = webhook.signatures("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);

        assert_eq!(signatures, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn a_secret_is_as_long_as_the_standard_says() {
        let is_good = |text: &str| secrets(&SecretString::from(text)).is_some();
        let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

        assert!(is_good(key) && is_good(&format!("{key} {key}")));
        for bad in ["", "whsec_", "whsec_AAAA", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_!"] {
            assert!(!is_good(bad), "{bad}");
        }
        assert!(!is_good(&format!("{key} {key} {key}")));
    }
}
