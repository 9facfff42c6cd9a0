//! Stripe's stream of meter events, `/v2`: a hundred events per request, in a session of 15 minutes.
//!
//! The stream answers before it has looked at an event, and says nothing of one that it knows already
//! or does not like. What arrived is seen in the sums of `/v1`, one customer, meter and hour at a time.

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::names::Names;
use super::stripe_v1::{AGE_MS_MAX, DEDUPE_MS, Sums};
use super::{Answer, Destination, Frozen, customer, http};
use crate::json::{Fields, Text};
use crate::sending::capability::{Amounts, CLOCK_SKEW_MS_MAX, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::Outcome;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Response, Wire};

/// What the stream takes in one request.
const BATCH_MAX: u32 = 100;

const LANES: u128 = 8;

/// The first version with this API would do; a later one changes nothing of it.
const API_VERSION: &str = "2025-03-31.basil";

const VERSION: Text = Text::line(1, 40);

const KEY: Text = Text::line(1, 100);

/// A session ends 15 minutes after it began; by our clock it is left earlier.
const SESSION_MS: i64 = 15 * 60_000 - CLOCK_SKEW_MS_MAX;

pub struct StripeV2 {
    url: String,
    stream_url: String,
    bearer: String,
    name: String,
    version: String,
    event_names: Names,
    sums: Sums,
    customer_key: String,
    value_key: String,
    batch: usize,
    session: Mutex<Option<Session>>,
}

/// What a stream is opened with. Never shown: its token lets events in.
#[derive(Clone)]
struct Session {
    bearer: String,
    begun_at: Timestamp,
}

impl StripeV2 {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, Some("https://api.stripe.com"));
        let stream_url =
            setup.address(fields, "stream_url", Some("https://meter-events.stripe.com"));
        let bearer = setup.bearer_required(fields);
        let event_names = Names::read(fields, "event_names", Some("tollgate_"));
        let sums = Sums::read(fields);
        let version = fields.text_defaulted("api_version", VERSION);
        let customer_key = fields.text_defaulted("customer_key", KEY);
        let value_key = fields.text_defaulted("value_key", KEY);
        let batch = fields.small_integer_defaulted("batch", 1, BATCH_MAX).unwrap_or(BATCH_MAX);
        Some(Self {
            url: url?,
            stream_url: stream_url?,
            bearer: bearer?,
            name: setup.name.to_owned(),
            version: version.unwrap_or_else(|| API_VERSION.to_owned()),
            event_names,
            sums,
            customer_key: customer_key.unwrap_or_else(|| "stripe_customer_id".to_owned()),
            value_key: value_key.unwrap_or_else(|| "value".to_owned()),
            batch: batch as usize,
            session: Mutex::new(None),
        })
    }

    fn request(&self, url: String, bearer: String, body: Vec<u8>) -> Request {
        let headers = vec![
            ("authorization", bearer),
            ("content-type", "application/json".to_owned()),
            ("stripe-version", self.version.clone()),
        ];
        Request { method: "POST", url, headers, body }
    }

    /// The session that is open, or a new one. When there is none, no event has left.
    async fn session(&self, wire: &dyn Wire, now: Timestamp) -> Result<Session, Outcome> {
        let known = self.session.lock().clone();
        let is_good = |session: &Session| {
            (session.begun_at..session.begun_at.plus_ms(SESSION_MS)).contains(&now)
        };
        if let Some(session) = known.filter(is_good) {
            return Ok(session);
        }
        let url = format!("{}/v2/billing/meter_event_session", self.url);
        let request = self.request(url, self.bearer.clone(), b"{}".to_vec());
        let refused = |reason, asked_ms| Outcome::Refused { reason, asked_ms };
        let response = match wire.exchange(request).await {
            Ok(response) => response,
            Err(error) => return Err(refused(format!("no session: {error}"), None)),
        };
        if !(200..300).contains(&response.status) {
            let reason = format!("no session: {}", http::reason(&response));
            return Err(refused(reason, http::asked_ms(&response)));
        }
        let body = response.json().map_err(|error| refused(error, None))?;
        let token = body["authentication_token"].as_str();
        let token = token.ok_or_else(|| refused("a session without a token".to_owned(), None))?;
        let session = Session { bearer: format!("Bearer {token}"), begun_at: now };
        *self.session.lock() = Some(session.clone());
        Ok(session)
    }

    async fn stream(
        &self,
        frozen: &Frozen,
        wire: &dyn Wire,
        now: Timestamp,
    ) -> Result<Response, Outcome> {
        let session = self.session(wire, now).await?;
        let url = format!("{}/v2/billing/meter_event_stream", self.stream_url);
        let request = self.request(url, session.bearer, frozen.body.clone());
        let response = wire.exchange(request).await.map_err(|error| http::no_answer(&error))?;
        if is_over(&response) {
            *self.session.lock() = None;
        }
        Ok(response)
    }

    fn event(&self, item: &Item) -> Value {
        json!({
            "event_name": self.event_names.of(item.place.meter).unwrap_or_default(),
            "identifier": item.id.simple().to_string(),
            "timestamp": item.at.to_string(),
            "payload": {
                &self.customer_key: item.customer,
                &self.value_key: item.quantity.to_string(),
            },
        })
    }
}

/// A session that is over or was taken back: nothing of the request was looked at.
fn is_over(response: &Response) -> bool {
    response.status == 401
}

#[async_trait]
impl Destination for StripeV2 {
    fn capabilities(&self) -> Capabilities {
        let read_back = self.sums.read_back();
        Capabilities {
            dedupe: Dedupe::Within { ms: DEDUPE_MS },
            read_back,
            amounts: Amounts::Added,
            // A sum says of one event whether it is there, not of several.
            batch_items_max: if read_back == ReadBack::Never { self.batch } else { 1 },
            requests_at_once_max: LANES as usize,
            age_ms_max: Some(AGE_MS_MAX),
            takes_negative: false,
        }
    }

    /// Where sums are compared, nothing else of the same sum may be on its way.
    fn lane(&self, item: &Item) -> String {
        match self.sums.read_back() {
            ReadBack::Never => (item.place.subscription.0.as_u128() % LANES).to_string(),
            ReadBack::Items { .. } | ReadBack::Totals { .. } => {
                format!("{} {}", item.place.meter.label(), item.customer)
            }
        }
    }

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        customer::required(consumer, &self.name)
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let events: Vec<Value> = items.iter().map(|item| self.event(item)).collect();
        json!({"events": events}).to_string().into_bytes()
    }

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, now: Timestamp) -> Answer {
        let mut answer = self.stream(frozen, wire, now).await;
        // A session may end before its time: then there is a second one, and no third.
        if answer.as_ref().is_ok_and(is_over) {
            answer = self.stream(frozen, wire, now).await;
        }
        Answer::All(answer.map_or_else(|outcome| outcome, |response| http::outcome(&response)))
    }

    fn shows(&self, item: &Item) -> bool {
        self.sums.shows(item)
    }

    async fn total(&self, item: &Item, wire: &dyn Wire) -> Result<i64, String> {
        self.sums.total(&self.url, &self.bearer, item, wire).await
    }
}
