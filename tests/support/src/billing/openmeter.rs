//! OpenMeter's events in `/api/v1` and `/api/v3`: CloudEvents in, and the list of events out.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Bill, Billing, Mishap, Request, Response, add, moment};

const DAY_MS: i64 = 24 * 3_600_000;

/// Events of a later day cannot be asked for.
const FROM_DAYS_MAX: i64 = 32;

const LIMIT_MAX: usize = 100;

/// Events of a page of `/api/v3`, unless it is asked for another size.
const PAGE: usize = 20;

/// When it recognises a repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// Never, as it comes.
    Off,
    /// After it was stored, for so long.
    AtSink { ms: i64 },
    /// When it is taken, for so long, and also when it is lost after that.
    AtIngest { ms: i64 },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V3,
}

pub struct OpenMeter {
    pub dedupe: Dedupe,
    /// How long after it was taken an event is shown.
    pub lag_ms: i64,
    keys: HashMap<String, i64>,
    stored: Vec<Stored>,
}

struct Stored {
    event: Value,
    time_ms: i64,
    stored_at: i64,
}

impl OpenMeter {
    pub fn new(dedupe: Dedupe, lag_ms: i64) -> Self {
        Self { dedupe, lag_ms, keys: HashMap::new(), stored: Vec::new() }
    }

    fn ingest(
        &mut self,
        request: &Request,
        version: Version,
        now_ms: i64,
        mishap: Mishap,
    ) -> Response {
        let events = match events(request, version) {
            Ok(events) => events,
            Err(detail) => return problem(400, &detail),
        };
        for (position, event) in events.into_iter().enumerate() {
            if mishap == Mishap::StopAfter(position) {
                return problem(500, "");
            }
            self.take(event, now_ms, mishap == Mishap::AcknowledgeThenLose);
        }
        match version {
            Version::V1 => Response::empty(204),
            Version::V3 => Response::empty(202),
        }
    }

    fn take(&mut self, event: Value, now_ms: i64, is_lost: bool) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        // The namespace is always the same one here.
        let key = format!("{}-{}", text("source"), text("id"));
        let is_known =
            |keys: &HashMap<String, i64>, ms| keys.get(&key).is_some_and(|at| now_ms - at < ms);
        match self.dedupe {
            Dedupe::AtIngest { ms } => {
                if is_known(&self.keys, ms) {
                    return;
                }
                self.keys.insert(key, now_ms);
                if is_lost {
                    return;
                }
            }
            Dedupe::Off | Dedupe::AtSink { .. } if is_lost => return,
            Dedupe::AtSink { ms } => {
                if is_known(&self.keys, ms) {
                    return;
                }
                self.keys.insert(key, now_ms);
            }
            Dedupe::Off => {}
        }
        let time_ms = moment(&text("time")).unwrap_or(now_ms).div_euclid(1_000) * 1_000;
        // The sink drops it without a word.
        if time_ms <= 0 {
            return;
        }
        self.stored.push(Stored { event, time_ms, stored_at: now_ms + self.lag_ms });
    }

    fn list(&self, request: &Request, now_ms: i64) -> Response {
        let limit = request.query("limit").map_or(Some(LIMIT_MAX), |text| text.parse().ok());
        let from = request.query("from").and_then(|text| moment(&text));
        let (Some(limit @ 1..=LIMIT_MAX), Some(from)) = (limit, from) else {
            return problem(400, "from and a limit of 1 to 100");
        };
        if from < now_ms - FROM_DAYS_MAX * DAY_MS {
            return problem(400, "from date is too old");
        }
        let to = request.query("to").and_then(|text| moment(&text)).unwrap_or(now_ms);
        let subject = request.query("subject");
        let is_asked_for = |stored: &&Stored| {
            let is_shown = stored.stored_at <= now_ms;
            let is_in_time = (from..=to).contains(&stored.time_ms);
            let is_of = subject.as_deref().is_none_or(|name| stored.event["subject"] == name);
            is_shown && is_in_time && is_of
        };
        let shown = |stored: &Stored| json!({"event": stored.event, "validationError": null});
        let events: Vec<Value> =
            self.stored.iter().filter(is_asked_for).map(shown).take(limit).collect();
        Response::json(200, &events.into())
    }

    /// By exact filters, a page at a time.
    fn list_v3(&self, request: &Request, now_ms: i64) -> Response {
        let size = request.query("page[size]").map_or(Some(PAGE), |text| text.parse().ok());
        let Some(size @ 1..=LIMIT_MAX) = size else {
            return problem(400, "page[size] of 1 to 100");
        };
        let is_of = |stored: &Stored, field: &str| {
            let wanted = request.query(&format!("filter[{field}][eq]"));
            wanted.is_none_or(|wanted| stored.event[field] == wanted.as_str())
        };
        let is_asked_for = |stored: &&Stored| {
            let fields = ["id", "source", "subject", "type"];
            stored.stored_at <= now_ms && fields.into_iter().all(|field| is_of(stored, field))
        };
        let shown = |stored: &Stored| json!({"event": stored.event});
        let events: Vec<Value> =
            self.stored.iter().filter(is_asked_for).map(shown).take(size).collect();
        Response::json(200, &json!({"data": events, "meta": {"page": {"size": size}}}))
    }
}

impl Billing for OpenMeter {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        match (request.method.as_str(), request.path()) {
            ("POST", "/api/v1/events") => self.ingest(request, Version::V1, now_ms, mishap),
            ("POST", "/api/v3/openmeter/events") => {
                self.ingest(request, Version::V3, now_ms, mishap)
            }
            ("GET", "/api/v3/openmeter/events") => self.list_v3(request, now_ms),
            ("GET", "/api/v1/events") => self.list(request, now_ms),
            _ => problem(404, "no such path"),
        }
    }

    /// A SUM meter of `$.value` for each type.
    fn bill(&self) -> Bill {
        let mut bill = Bill::new();
        for Stored { event, time_ms, .. } in &self.stored {
            let value = &event["data"]["value"];
            let quantity = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            let [subject, kind] = ["subject", "type"].map(|name| event[name].as_str());
            if let (Some(subject), Some(kind), Some(quantity)) = (subject, kind, quantity) {
                add(&mut bill, subject, kind, *time_ms, quantity);
            }
        }
        bill
    }
}

/// The events of a request, all of them good.
fn events(request: &Request, version: Version) -> Result<Vec<Value>, String> {
    let json = request.json().ok_or("invalid event")?;
    let content_type = request.header("content-type").map(|text| match version {
        // Compared as a text: a parameter behind it makes it another one.
        Version::V1 => text,
        Version::V3 => text.split(';').next().unwrap_or_default().trim(),
    });
    let events = match (content_type, json) {
        (Some("application/cloudevents+json"), event @ Value::Object(_)) => vec![event],
        (Some("application/cloudevents-batch+json"), Value::Array(events)) => events,
        (Some("application/json"), Value::Array(events)) => events,
        (Some("application/json"), event @ Value::Object(_)) => vec![event],
        _ => return Err("invalid content type".to_owned()),
    };
    if events.is_empty() {
        return Err("no events found".to_owned());
    }
    events.iter().try_for_each(check)?;
    Ok(events)
}

fn check(event: &Value) -> Result<(), String> {
    let fields = event.as_object().ok_or("invalid event")?;
    for name in ["id", "source", "specversion", "type", "subject"] {
        if fields.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(format!("{name} is required"));
        }
    }
    for (name, value) in fields {
        let is_good = match name.as_str() {
            "id" | "source" | "specversion" | "type" | "subject" => true,
            "time" => value.is_null() || value.as_str().and_then(moment).is_some(),
            "datacontenttype" => value.is_null() || value == "application/json",
            "dataschema" => value.is_null() || value.is_string(),
            "data" => value.is_null() || value.is_object(),
            _ => true,
        };
        if !is_good {
            return Err(format!("{name} is invalid"));
        }
    }
    Ok(())
}

fn problem(status: u16, detail: &str) -> Response {
    let body = json!({"type": "about:blank", "title": "error", "status": status, "detail": detail});
    let mut response = Response::json(status, &body);
    response.headers = vec![("content-type".into(), "application/problem+json".into())];
    response
}
