//! Raystack Frontier's credits: a balance per account, and a ledger whose ids are known for ever.
//!
//! Balance before id, one debit after the other, errors joined: as its sources have it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Bill, Billing, HOUR_MS, Mishap, Request, Response, add, moment};

const SERVICE: &str = "/raystack.frontier.v1beta1.FrontierService/";

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Connect,
    Rest {
        /// As some versions do: an id that is known is answered with 500.
        hides_repeats: bool,
    },
}

pub struct Frontier {
    pub form: Form,
    /// Credits that each account buys with each hour since it was first seen; None: without end.
    pub hourly_credits: Option<i64>,
    /// Accounts, and when each was seen first.
    accounts: BTreeMap<String, i64>,
    debits: BTreeMap<String, Debit>,
}

struct Debit {
    account: String,
    amount: i64,
    usage: Value,
    created_at: i64,
}

/// What is wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Invalid(&'static str),
    Insufficient,
    Applied,
    Unauthenticated,
    NotFound,
    Internal,
}

impl Frontier {
    pub fn new(form: Form, hourly_credits: Option<i64>) -> Self {
        Self { form, hourly_credits, accounts: BTreeMap::new(), debits: BTreeMap::new() }
    }

    fn report(
        &mut self,
        request: &Request,
        account: String,
        now_ms: i64,
        mishap: Mishap,
    ) -> Response {
        let checked = match self.form {
            // Authentication comes first here, and last there.
            Form::Connect => authenticate(request).and_then(|()| usages(request)),
            Form::Rest { .. } => {
                usages(request).and_then(|usages| authenticate(request).map(|()| usages))
            }
        };
        let usages = match checked {
            Ok(usages) => usages,
            Err(wrong) => return self.refuse(wrong),
        };
        if !account.rsplit('/').all(|part| part.starts_with("cus_") || part.starts_with("org_")) {
            return self.refuse(Wrong::NotFound);
        }
        self.accounts.entry(account.clone()).or_insert(now_ms);
        let mut errors = Vec::new();
        for (position, usage) in usages.into_iter().enumerate() {
            if mishap == Mishap::StopAfter(position) {
                return self.refuse(Wrong::Internal);
            }
            if mishap == Mishap::AcknowledgeThenLose {
                continue;
            }
            errors.extend(self.debit(&account, usage, now_ms).err());
        }
        // The first of these that is among the joined errors is the answer.
        let mapped = [Wrong::Insufficient, Wrong::Applied, Wrong::Internal];
        match mapped.into_iter().find(|wrong| errors.contains(wrong)) {
            Some(wrong) => self.refuse(wrong),
            // The audit record comes after the commit.
            None if matches!(mishap, Mishap::StopAfter(_)) => self.refuse(Wrong::Internal),
            None => Response::json(200, &json!({})),
        }
    }

    fn debit(&mut self, account: &str, usage: Value, now_ms: i64) -> Result<(), Wrong> {
        // It passes the validation, and is not supported.
        if usage["type"] == "feature" {
            return Err(Wrong::Internal);
        }
        let amount = integer(&usage["amount"]).unwrap_or_default();
        if self.balance(account, now_ms).is_some_and(|balance| balance < amount) {
            return Err(Wrong::Insufficient);
        }
        let id = usage["id"].as_str().unwrap_or_default().to_owned();
        if self.debits.contains_key(&id) {
            return Err(Wrong::Applied);
        }
        let account = account.to_owned();
        self.debits.insert(id, Debit { account, amount, usage, created_at: now_ms });
        Ok(())
    }

    fn balance(&self, account: &str, now_ms: i64) -> Option<i64> {
        let seen = self.accounts.get(account).copied().unwrap_or(now_ms);
        let bought = self.hourly_credits? * (1 + (now_ms - seen).max(0) / HOUR_MS);
        let of = |debit: &&Debit| debit.account == account;
        Some(bought - self.debits.values().filter(of).map(|debit| debit.amount).sum::<i64>())
    }

    fn list(&self, request: &Request, account: &str, since: Option<String>) -> Response {
        if let Err(wrong) = authenticate(request) {
            return self.refuse(wrong);
        }
        let since = since.map_or(Some(i64::MIN), |text| moment(&text));
        let Some(since) = since else { return self.refuse(Wrong::Invalid("start_range")) };
        let is_asked_for =
            |(_, debit): &(&String, &Debit)| debit.account == account && debit.created_at >= since;
        let shown = |(id, debit): (&String, &Debit)| {
            json!({
                "id": id,
                "amount": debit.amount.to_string(),
                "type": "debit",
                "source": debit.usage["source"],
                "metadata": debit.usage["metadata"],
            })
        };
        let transactions: Vec<Value> = self.debits.iter().filter(is_asked_for).map(shown).collect();
        match (self.form, transactions.is_empty()) {
            (Form::Connect, true) => Response::json(200, &json!({})),
            _ => Response::json(200, &json!({"transactions": transactions})),
        }
    }

    fn refuse(&self, wrong: Wrong) -> Response {
        let (status, number, word, message) = match (wrong, self.form) {
            (Wrong::Invalid(message), _) => (400, 3, "invalid_argument", message),
            (Wrong::Insufficient, _) => (400, 3, "invalid_argument", "insufficient credits"),
            (Wrong::Applied, Form::Rest { hides_repeats: true }) => {
                (500, 13, "internal", "failed to deduct usage: credits already applied")
            }
            (Wrong::Applied, _) => (409, 6, "already_exists", "credits already applied"),
            (Wrong::Unauthenticated, _) => (401, 16, "unauthenticated", "not authenticated"),
            (Wrong::NotFound, _) => (404, 5, "not_found", "billing account not found"),
            (Wrong::Internal, _) => (500, 13, "internal", "internal server error"),
        };
        let body = match self.form {
            Form::Connect => json!({"code": word, "message": message}),
            Form::Rest { .. } => json!({"code": number, "message": message, "details": []}),
        };
        Response::json(status, &body)
    }
}

impl Billing for Frontier {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        let path = request.path();
        match self.form {
            Form::Connect => {
                let method = path.strip_prefix(SERVICE);
                if request.method != "POST" {
                    return Response::empty(405);
                }
                if request.header("content-type") != Some("application/json") {
                    return Response::empty(415);
                }
                let body = request.json().unwrap_or_default();
                let account = body["org_id"].as_str().unwrap_or_default();
                match method {
                    Some("CreateBillingUsage") => {
                        self.report(request, account.to_owned(), now_ms, mishap)
                    }
                    Some("ListBillingTransactions") => {
                        let since = body["start_range"].as_str().map(str::to_owned);
                        self.list(request, account, since)
                    }
                    _ => Response::empty(404),
                }
            }
            Form::Rest { .. } => {
                let parts: Vec<&str> = path.split('/').collect();
                match (request.method.as_str(), parts.as_slice()) {
                    ("POST", ["", "v1beta1", "organizations", one, "billing", two, "usages"]) => {
                        self.report(request, format!("{one}/{two}"), now_ms, mishap)
                    }
                    (
                        "GET",
                        ["", "v1beta1", "organizations", one, "billing", two, "transactions"],
                    ) => self.list(request, &format!("{one}/{two}"), request.query("start_range")),
                    _ => self.refuse(Wrong::NotFound),
                }
            }
        }
    }

    /// A debit has no time of its own but that of its arrival, so the hour is that of the metadata.
    fn bill(&self) -> Bill {
        let mut bill = Bill::new();
        for Debit { account, amount, usage, .. } in self.debits.values() {
            let source = usage["source"].as_str().unwrap_or_default().to_lowercase();
            let at = usage["metadata"]["window_start"].as_str().and_then(moment);
            add(&mut bill, account, &source, at.unwrap_or_default(), *amount);
        }
        bill
    }
}

fn authenticate(request: &Request) -> Result<(), Wrong> {
    let known = request.header("authorization").unwrap_or_default();
    match known.starts_with("Bearer ") || known.starts_with("Basic ") {
        true => Ok(()),
        false => Err(Wrong::Unauthenticated),
    }
}

/// The usages of a request, all of them valid.
fn usages(request: &Request) -> Result<Vec<Value>, Wrong> {
    let mut body = request.json().ok_or(Wrong::Invalid("invalid syntax in body"))?;
    let usages = match body.get_mut("usages").map(Value::take) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(usages)) => usages,
        Some(_) => return Err(Wrong::Invalid("invalid syntax in body")),
    };
    for usage in &usages {
        let id = usage["id"].as_str().unwrap_or_default();
        if id.len() != 36 || Uuid::parse_str(id).is_err() {
            return Err(Wrong::Invalid("invalid Usage.Id: value must be a valid UUID"));
        }
        if integer(&usage["amount"]).is_none_or(|amount| amount <= 0) {
            return Err(Wrong::Invalid("invalid Usage.Amount: value must be greater than 0"));
        }
        if !matches!(usage["type"].as_str(), None | Some("" | "credit" | "feature")) {
            return Err(Wrong::Invalid("invalid Usage.Type: value must be in list"));
        }
        if !(usage["metadata"].is_null() || usage["metadata"].is_object()) {
            return Err(Wrong::Invalid("invalid syntax in body"));
        }
    }
    Ok(usages)
}

/// An int64 in the JSON of protobuf: a number or a text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
