//! Raystack Frontier: usage that is paid with credits, one usage per request.
//!
//! An id is known there for ever, and in all organizations. The balance is looked at before the id:
//! "insufficient credits" may be the answer to a repeat of what was debited long ago, so it is looked
//! up before it is believed. Frontier stamps a debit with the time of its arrival; the window is in
//! the metadata.

use async_trait::async_trait;
use data_encoding::BASE64;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::names::Names;
use super::{Answer, Destination, Frozen, customer, http};
use crate::json::Fields;
use crate::sending::capability::{Amounts, CLOCK_SKEW_MS_MAX, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::{Finding, Outcome};
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::{Request, Response, Wire};

const SERVICE: &str = "/raystack.frontier.v1beta1.FrontierService";

const AT_ONCE: usize = 4;

/// A debit is committed before it is answered; replicas of its database may take a moment.
const LAG_MS: i64 = 60_000;

/// An answer for an id that is debited already, whatever its status: some versions give 500.
const APPLIED: &str = "already applied";

const INSUFFICIENT: &str = "insufficient credits";

/// Its two API forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Api {
    /// One method for all organizations, in the JSON of Connect.
    Connect,
    /// A path for each billing account, as older versions have it.
    Rest,
}

pub struct Frontier {
    url: String,
    authorization: String,
    name: String,
    api: Api,
    sources: Names,
}

impl Frontier {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        let url = setup.url(fields, None);
        let api = fields.word_defaulted("api").unwrap_or(Api::Connect);
        let sources = Names::read(fields, "sources", Some("tollgate."));
        let authorization = authorization(fields, setup);
        let name = setup.name.to_owned();
        Some(Self { url: url?, authorization: authorization?, name, api, sources })
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("authorization", self.authorization.clone()),
            ("content-type", "application/json".to_owned()),
        ]
    }

    fn usage(&self, item: &Item) -> Value {
        json!({
            "id": item.id.to_string(),
            "amount": item.quantity.to_string(),
            "type": "credit",
            "source": self.sources.of(item.place.meter).unwrap_or_default(),
            "metadata": {
                "subscription": item.place.subscription,
                "product": item.product,
                "plan": item.place.plan,
                "window_start": item.place.start.start().to_string(),
                "window_end": item.end.start().to_string(),
                "version": item.version,
            },
        })
    }

    /// The question for the debits of an account since the usage of an item.
    fn question(&self, item: &Item) -> Request {
        let since = item.at.plus_ms(-2 * CLOCK_SKEW_MS_MAX).to_string();
        let headers = self.headers();
        match account(&item.customer) {
            Some((organization, billing)) => {
                let path = format!("organizations/{organization}/billing/{billing}/transactions");
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("start_range", &since)
                    .finish();
                let url = format!("{}/v1beta1/{path}?{query}", self.url);
                Request { method: "GET", url, headers, body: vec![] }
            }
            None => {
                let body = json!({"org_id": item.customer, "start_range": since});
                let url = format!("{}{SERVICE}/ListBillingTransactions", self.url);
                Request { method: "POST", url, headers, body: body.to_string().into_bytes() }
            }
        }
    }
}

/// `client_id:client_secret`, which does not run out, or a token.
fn authorization(fields: &mut Fields, setup: &Setup<'_>) -> Option<String> {
    match setup.secret {
        Some(secret) if secret.expose_secret().contains(':') => {
            Some(format!("Basic {}", BASE64.encode(secret.expose_secret().as_bytes())))
        }
        _ => setup.bearer_required(fields),
    }
}

/// Organization and billing account of a customer of the REST form.
fn account(customer: &str) -> Option<(&str, &str)> {
    customer.split_once('/')
}

/// Whether a text can be a segment of a path as it is.
fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_plain)
}

#[async_trait]
impl Destination for Frontier {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: Dedupe::Always,
            read_back: ReadBack::Items { lag_ms: LAG_MS },
            amounts: Amounts::Added,
            // A batch is debited one by one, and its answer does not say what was.
            batch_items_max: 1,
            requests_at_once_max: AT_ONCE,
            age_ms_max: None,
            takes_negative: false,
        }
    }

    /// Who is out of credits holds up nobody else.
    fn lane(&self, item: &Item) -> String {
        item.customer.clone()
    }

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        let id = customer::required(consumer, &self.name)?;
        let (is_good, form) = match self.api {
            Api::Connect => (is_segment(&id), "ORGANIZATION"),
            Api::Rest => {
                let account = account(&id);
                let is_good = account.is_some_and(|(one, two)| is_segment(one) && is_segment(two));
                (is_good, "ORGANIZATION/BILLING_ACCOUNT")
            }
        };
        let wrong = || {
            format!("the external id \"{}\" of consumer {} must be {form}", self.name, consumer.id)
        };
        is_good.then_some(id).ok_or_else(wrong)
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        let usages: Vec<Value> = items.iter().map(|item| self.usage(item)).collect();
        let organization = items.iter().map(|item| item.customer.as_str()).next();
        let body = match organization.filter(|customer| account(customer).is_none()) {
            Some(organization) => json!({"org_id": organization, "usages": usages}),
            None => json!({"usages": usages}),
        };
        body.to_string().into_bytes()
    }

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, _: Timestamp) -> Answer {
        // The customer tells the form, since the setting may have changed after it was fixed.
        let customer = frozen.items.first().map(|item| item.customer.as_str()).unwrap_or_default();
        let path = match account(customer) {
            Some((organization, billing)) => {
                format!("/v1beta1/organizations/{organization}/billing/{billing}/usages")
            }
            None => format!("{SERVICE}/CreateBillingUsage"),
        };
        let request = Request {
            method: "POST",
            url: format!("{}{path}", self.url),
            headers: self.headers(),
            body: frozen.body.clone(),
        };
        let response = match wire.exchange(request).await {
            Ok(response) => response,
            Err(error) => return Answer::All(http::no_answer(&error)),
        };
        match Complaint::of(&response) {
            Some(Complaint::Applied) => Answer::All(Outcome::Accepted),
            Some(Complaint::Insufficient) => {
                let mut findings = Vec::new();
                let asked = self.find(&frozen.items, wire, &mut findings).await;
                let is_there = findings.iter().all(|finding| *finding == Finding::Present);
                match asked.is_ok() && is_there {
                    true => Answer::All(Outcome::Accepted),
                    // They may buy credits.
                    false => Answer::All(refused(&response)),
                }
            }
            Some(Complaint::Provider) => Answer::All(refused(&response)),
            None => Answer::All(http::outcome(&response)),
        }
    }

    async fn find(
        &self,
        items: &[Item],
        wire: &dyn Wire,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        for item in items {
            let question = self.question(item);
            let response = wire.exchange(question).await.map_err(|error| error.to_string())?;
            if response.status != 200 {
                return Err(http::reason(&response));
            }
            findings.push(found(item, &response.json()?)?);
        }
        Ok(())
    }
}

fn refused(response: &Response) -> Outcome {
    Outcome::Refused { reason: http::reason(response), asked_ms: http::asked_ms(response) }
}

/// What Frontier means where its status alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    Applied,
    Insufficient,
    /// Its payment provider is not as it should be.
    Provider,
}

impl Complaint {
    fn of(response: &Response) -> Option<Self> {
        if response.status < 400 {
            return None;
        }
        let body = response.json().ok()?;
        let message = body["message"].as_str().unwrap_or_default();
        // Words in the Connect form, numbers of gRPC in the REST form.
        let is = |word: &str, number: i64| body["code"] == word || body["code"] == number;
        if is("already_exists", 6) || message.contains(APPLIED) {
            Some(Self::Applied)
        } else if message.contains(INSUFFICIENT) {
            Some(Self::Insufficient)
        } else if is("failed_precondition", 9) {
            Some(Self::Provider)
        } else {
            None
        }
    }
}

fn found(item: &Item, answer: &Value) -> Result<Finding, String> {
    let none = Vec::new();
    let transactions = match &answer["transactions"] {
        // Fields that are empty are left out in the Connect form.
        Value::Null => &none,
        Value::Array(transactions) => transactions,
        _ => return Err("the answer has no list of transactions".to_owned()),
    };
    let id = item.id.to_string();
    let known = transactions.iter().find(|known| known["id"] == id.as_str());
    let Some(known) = known else { return Ok(Finding::Absent) };
    let amount = &known["amount"];
    let amount = amount.as_i64().or_else(|| amount.as_str()?.parse().ok());
    Ok(match amount {
        Some(amount) if amount == item.quantity => Finding::Present,
        Some(quantity) => {
            Finding::Other { quantity, reason: format!("it is there with {quantity}") }
        }
        None => Finding::Unclear("it is there without an amount".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(status: u16, body: Value) -> Option<Complaint> {
        let body = body.to_string().into_bytes();
        Complaint::of(&Response { status, headers: vec![], body })
    }

    #[test]
    fn a_known_id_is_told_in_each_form_and_version() {
        let known = [
            (409, json!({"code": "already_exists", "message": "credits already applied"})),
            (409, json!({"code": 6, "message": "already exist", "details": []})),
            (
                500,
                json!({"code": 13, "message": "failed to deduct usage: credits already applied"}),
            ),
        ];
        for (status, body) in known {
            assert_eq!(complaint(status, body), Some(Complaint::Applied));
        }
        let aborted = json!({"code": "aborted", "message": "try again"});
        assert_eq!(complaint(409, aborted), None, "another 409 proves nothing");
    }

    #[test]
    fn who_is_out_of_credits_is_told_from_who_is_wrong() {
        let poor = json!({"code": "invalid_argument", "message": "insufficient credits"});
        assert_eq!(complaint(400, poor), Some(Complaint::Insufficient));
        let wrong = json!({"code": "invalid_argument", "message": "invalid syntax in body"});
        assert_eq!(complaint(400, wrong), None);
    }

    #[test]
    fn what_becomes_part_of_a_path_has_no_meaning_there() {
        for bad in ["", ".", "..", "a/b", "a?b", "a b", "ä"] {
            assert!(!is_segment(bad), "{bad}");
        }
        assert!(is_segment("0192f0a0-7c1e-7000-8000-000000000001"));
    }
}
