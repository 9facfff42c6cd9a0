//! The form of a plan: the same for a new one and for one that is edited.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::prices;
use crate::console::ask::{Tagged, path};
use crate::console::data::{Plan, Product, read};
use crate::console::field::{Choice, Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::screen::{Answer, products};
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};

const FIELDS: [&str; 12] = [
    "name",
    "billing_mode",
    "price_label",
    "monthly_quota",
    "rate_limit",
    "burst",
    "quota_mode",
    "period",
    "time_zone",
    "outage_mode",
    "counted_outcomes",
    "prices",
];

const BILLING_MODES: [Choice<'_>; 3] = [
    Choice { value: "free", label: "Free", hint: "No charge. Use is still tracked." },
    Choice { value: "fixed", label: "Fixed", hint: "A flat fee, however many calls." },
    Choice { value: "metered", label: "Metered", hint: "Charged by the calls of the period." },
];
const QUOTA_MODES: [Choice<'_>; 2] = [
    Choice { value: "hard", label: "Hard", hint: "Calls beyond the quota are refused." },
    Choice { value: "soft", label: "Soft", hint: "They are served, and are a line of their own." },
];
const PERIODS: [Choice<'_>; 2] = [
    Choice { value: "calendar_month", label: "Calendar month", hint: "" },
    Choice { value: "anniversary", label: "From the day of subscribing", hint: "" },
];
const OUTAGE_MODES: [Choice<'_>; 3] = [
    Choice { value: "share", label: "Share: each gateway admits its part of the limit", hint: "" },
    Choice { value: "strict", label: "Strict: refuse rather than exceed", hint: "" },
    Choice { value: "open", label: "Open: admit, and count", hint: "" },
];
const OUTCOMES: [Choice<'_>; 5] = [
    Choice { value: "success", label: "Success", hint: "" },
    Choice { value: "client_error", label: "Client error (4xx)", hint: "" },
    Choice { value: "server_error", label: "Server error (5xx)", hint: "" },
    Choice { value: "aborted", label: "Caller gave up", hint: "" },
    Choice { value: "upstream_failed", label: "Upstream not reached", hint: "" },
];

pub async fn new(visitor: Visitor, Path(product): Path<String>) -> Answer {
    let product: Product = visitor.get(&path(&["products", &product])).await?;
    let mut form = Form::default();
    for (name, value) in [
        ("billing_mode", "free"),
        ("quota_mode", "hard"),
        ("period", "calendar_month"),
        ("time_zone", "UTC"),
        ("outage_mode", "share"),
        ("counted_outcomes", "success"),
        ("counted_outcomes", "client_error"),
    ] {
        form.push(name, value);
    }
    form.push("once", visitor.once());
    Ok(ask_new(&visitor, StatusCode::OK, &product, &form, &Errors::default()))
}

pub async fn create(Path(product): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let product: Product = visitor.get(&path(&["products", &product])).await?;
    if form.has("add_price") {
        prices::add(&mut form);
        return Ok(ask_new(&visitor, StatusCode::OK, &product, &form, &Errors::default()));
    }
    let mut fields = fields(&mut form);
    fields.retain(|_, value| !value.is_null());
    match visitor.make(&path(&["products", &product.id, "plans"]), fields, &mut form).await {
        Ok(_) => Ok(Redirect::to(&products::place(&product.id)).into_response()),
        Err(Refused { status, errors }) => {
            Ok(ask_new(&visitor, status, &product, &form, &prices::reworded(errors)))
        }
    }
}

pub async fn edit(visitor: Visitor, Path(plan): Path<String>) -> Answer {
    let found: Tagged<Plan> = visitor.get_tagged(&path(&["plans", &plan])).await?;
    let form = filled(&found.value, &found.tag);
    Ok(ask(&visitor, StatusCode::OK, &found.value, &form, &Errors::default()))
}

pub async fn save(Path(plan): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let resource = path(&["plans", &plan]);
    let present: Tagged<Value> = visitor.get_tagged(&resource).await?;
    let found: Plan = read(&present.value)?;
    if form.has("add_price") {
        prices::add(&mut form);
        return Ok(ask(&visitor, StatusCode::OK, &found, &form, &Errors::default()));
    }
    let fields = fields(&mut form);
    let now = unedited(&found, &present.tag);
    match visitor.save(&resource, &now, fields.clone(), &fields, &mut form).await {
        Ok(_) => Ok(Redirect::to(&products::place(&found.product_id)).into_response()),
        Err(Refused { status, errors }) => {
            Ok(ask(&visitor, status, &found, &form, &prices::reworded(errors)))
        }
    }
}

fn ask_new(
    visitor: &Visitor,
    status: StatusCode,
    product: &Product,
    form: &Form,
    errors: &Errors,
) -> Response {
    let action = format!("/dashboard/admin/apis/{}/plans/new", product.id);
    let back = products::place(&product.id);
    let target = Target { action: &action, submit: "Save Plan", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &FIELDS, &inputs(&sheet));
    let title = format!("Add Plan to {}", product.title);
    visitor.sheet_with(status, Section::Apis, &title, &content)
}

fn ask(
    visitor: &Visitor,
    status: StatusCode,
    plan: &Plan,
    form: &Form,
    errors: &Errors,
) -> Response {
    let action = format!("{}/edit", super::place(&plan.id));
    let back = products::place(&plan.product_id);
    let target = Target { action: &action, submit: "Save Plan", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &FIELDS, &inputs(&sheet));
    visitor.sheet_with(status, Section::Apis, &format!("Edit {}", plan.name), &content)
}

fn inputs(sheet: &Sheet<'_>) -> Markup {
    let advanced =
        ["burst", "quota_mode", "period", "time_zone", "outage_mode", "counted_outcomes"];
    let is_open = advanced.iter().any(|name| !sheet.errors.at(name).is_empty());
    html! {
        (sheet.text("name", "Name", ""))
        (sheet.radios("billing_mode", "Billing mode", &BILLING_MODES))
        (sheet.text("price_label", "Price label", "What developers are shown, such as $49/month."))
        div.row {
            (sheet.input("number", "monthly_quota", "Monthly quota", "Calls per period. Empty is without a quota."))
            (sheet.input("number", "rate_limit", "Rate limit", "Calls per minute. Empty is without a limit."))
        }
        details.more open[is_open] {
            summary { "Burst, period and what counts" }
            (sheet.input("number", "burst", "Burst", "Calls that may come at once. Empty is the rate limit."))
            (sheet.radios("quota_mode", "Quota", &QUOTA_MODES))
            (sheet.select("period", "Period", "", &PERIODS))
            (sheet.text("time_zone", "Time zone", "Whose calendar bounds the period, such as Europe/Berlin."))
            (sheet.select("outage_mode", "When gateways cannot count together", "", &OUTAGE_MODES))
            (sheet.checks("counted_outcomes", "Counted against the quota", "", &OUTCOMES))
        }
        (prices::inputs(sheet))
    }
}

/// What the form would send of a plan as it is: prices have more than one spelling, and only what is
/// spelled alike can be compared.
fn unedited(plan: &Plan, tag: &str) -> Tagged<Value> {
    Tagged { value: fields(&mut filled(plan, tag)).into(), tag: tag.to_owned() }
}

fn filled(plan: &Plan, tag: &str) -> Form {
    let number = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
    let mut form = Form::default();
    for (name, value) in [
        ("tag", tag.to_owned()),
        ("name", plan.name.clone()),
        ("billing_mode", plan.billing_mode.clone()),
        ("price_label", plan.price_label.clone()),
        ("monthly_quota", number(plan.monthly_quota)),
        ("rate_limit", number(plan.rate_limit)),
        ("burst", number(plan.burst)),
        ("quota_mode", plan.quota_mode.clone()),
        ("period", plan.period.clone()),
        ("time_zone", plan.time_zone.clone()),
        ("outage_mode", plan.outage_mode.clone()),
    ] {
        form.push(name, value);
    }
    for outcome in &plan.counted_outcomes {
        form.push("counted_outcomes", outcome.clone());
    }
    prices::fill(&mut form, &plan.prices);
    form
}

fn fields(form: &mut Form) -> Map<String, Value> {
    let prices = prices::take(form);
    object([
        ("name", form.json_text("name")),
        ("billing_mode", form.json_text("billing_mode")),
        ("price_label", form.json_text("price_label")),
        ("monthly_quota", form.json_number("monthly_quota")),
        ("rate_limit", form.json_number("rate_limit")),
        ("burst", form.json_number("burst")),
        ("quota_mode", form.json_text("quota_mode")),
        ("period", form.json_text("period")),
        ("time_zone", form.json_text("time_zone")),
        ("outage_mode", form.json_text("outage_mode")),
        ("counted_outcomes", form.all("counted_outcomes").collect()),
        ("prices", prices),
    ])
}
