//! Billing systems as strict as the real ones, without their prices.
//!
//! Each takes requests at a moment of its own clock, so that a test can let days pass, and knows what
//! it would bill. What may go wrong inside a real one can be asked for as a [`Mishap`]; what may go
//! wrong on the way is the network's affair, see [`network`].

pub mod network;
pub mod served;

pub mod directory;
pub mod frontier;
pub mod lago;
pub mod openmeter;
pub mod receiver;
pub mod stripe;
pub mod stripe_stream;

use std::collections::BTreeMap;

use serde_json::Value;

pub const HOUR_MS: i64 = 3_600_000;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What goes wrong inside, with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    None,
    /// It answers as if all were well, and loses what it was given.
    AcknowledgeThenLose,
    /// It takes the first so many items of a batch, and answers 500.
    StopAfter(usize),
}

/// Customer, name of the meter, and the hour since the Unix epoch that usage is booked in.
pub type Bill = BTreeMap<(String, String, i64), i64>;

pub trait Billing: Send {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response;

    /// What it would bill, without what came to nothing.
    fn bill(&self) -> Bill;
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        form(query.as_bytes()).remove(name)
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Response {
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The pairs of a form or a query.
fn form(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Adds to a bill, and leaves nothing behind that comes to nothing.
fn add(bill: &mut Bill, customer: &str, meter: &str, at_ms: i64, quantity: i64) {
    let key = (customer.to_owned(), meter.to_owned(), at_ms.div_euclid(HOUR_MS));
    let sum = bill.entry(key.clone()).or_default();
    *sum += quantity;
    if *sum == 0 {
        bill.remove(&key);
    }
}

/// A time in RFC 3339 as milliseconds.
fn moment(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}
