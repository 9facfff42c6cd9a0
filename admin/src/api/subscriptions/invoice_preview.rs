use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::civil::Date;
use serde::Serialize;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::price::currency::Money;
use utoipa::{IntoParams, ToSchema};

use crate::api::page::Params;
use crate::api::path_id;
use crate::control::Control;
use crate::invoice::{self, Asked, Invoice, InvoiceError, Line};
use crate::problem::{Code, Problem, ProblemBody};

/// What a subscription owes for a period, as far as its usage is in the ledger.
#[derive(Serialize, ToSchema)]
pub struct InvoicePreview {
    #[schema(format = Uuid)]
    pub subscription_id: String,
    /// The month in which the period begins.
    #[schema(example = "2026-11")]
    pub period: String,
    #[schema(format = DateTime)]
    pub period_start: String,
    /// Where the next period begins.
    #[schema(format = DateTime)]
    pub period_end: String,
    /// Whether the period is over. One that is not is charged as if the last plan were kept.
    pub ended: bool,
    pub lines: Vec<InvoiceLine>,
    /// One for each currency.
    pub totals: Vec<InvoiceTotal>,
}

#[derive(Serialize, ToSchema)]
pub struct InvoiceLine {
    /// `licensed`, `usage` or `overage`.
    #[schema(example = "usage")]
    pub kind: &'static str,
    #[schema(format = Uuid)]
    pub plan_id: String,
    pub plan_name: String,
    /// The name of the price; null for usage that nothing is charged for.
    pub price: Option<String>,
    /// `calls`, `units`, `bytes_in` or `bytes_out`; null for a licence.
    #[schema(example = "units")]
    pub meter: Option<&'static str>,
    /// From when to when the plan was held in the period.
    #[schema(format = DateTime)]
    pub from: String,
    #[schema(format = DateTime)]
    pub to: String,
    pub quantity: i64,
    /// Minor units of the currency.
    pub amount: i64,
    /// ISO 4217; null where no price has one.
    #[schema(example = "USD")]
    pub currency: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct InvoiceTotal {
    #[schema(example = "USD")]
    pub currency: String,
    /// Minor units of the currency.
    pub amount: i64,
    /// The same for people.
    #[schema(example = "47.34 USD")]
    pub text: String,
}

/// Which period, as the API's description shows it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its field describes a parameter that Params reads")]
pub struct Question {
    /// The month in which the period begins, such as 2026-11; the current period when left out.
    #[param(example = "2026-11", pattern = "^[0-9]{4}-[0-9]{2}$")]
    period: Option<String>,
    /// What the current period would come to if the subscription were moved to this plan now.
    #[param(format = Uuid)]
    plan_id: Option<String>,
}

/// What a subscription owes for the current period or a past one. A free plan's usage is shown too.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}/invoice-preview", tag = "subscriptions",
    operation_id = "preview_invoice",
    params(("id" = uuid::Uuid, Path), Question),
    responses(
        (status = 200, body = InvoicePreview),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn preview(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<InvoicePreview>, Problem> {
    let month = params.parsed("period", "must be a month such as 2026-11", parse_month);
    let plan = params.id("plan_id");
    if month.is_some() && plan.is_some() {
        params.reject("plan_id", "is for the current period only: leave out period");
    }
    params.finish()?;
    let asked = match (month, plan) {
        (_, Some(plan)) => Asked::AfterMove(plan),
        (Some(month), None) => Asked::Month(month),
        (None, None) => Asked::Current,
    };
    let now = control.now();
    let id: SubscriptionId = path_id(&id, "subscription")?;
    let invoice = invoice::preview(&*control.store, &control.ledger, id, asked, now).await?;
    Ok(Json(view(id, &invoice, invoice.period.end <= now)))
}

/// Within the years that a call can have.
pub fn parse_month(text: &str) -> Option<Date> {
    let (year, month) = text.split_once('-')?;
    let is_number =
        |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(year, 4) || !is_number(month, 2) {
        return None;
    }
    let year = year.parse().ok().filter(|year| (1970..9999).contains(year))?;
    Date::new(year, month.parse().ok()?, 1).ok()
}

fn view(subscription: SubscriptionId, invoice: &Invoice, ended: bool) -> InvoicePreview {
    InvoicePreview {
        subscription_id: subscription.to_string(),
        period: invoice.month.strftime("%Y-%m").to_string(),
        period_start: invoice.period.start.to_string(),
        period_end: invoice.period.end.to_string(),
        ended,
        lines: invoice.lines.iter().map(view_line).collect(),
        totals: invoice.totals.iter().map(view_total).collect(),
    }
}

pub fn view_line(line: &Line) -> InvoiceLine {
    InvoiceLine {
        kind: line.kind.label(),
        plan_id: line.plan.to_string(),
        plan_name: line.plan_name.clone(),
        price: line.price.clone(),
        meter: line.meter.map(|meter| meter.label()),
        from: line.span.start.to_string(),
        to: line.span.end.to_string(),
        quantity: line.quantity,
        amount: line.amount,
        currency: line.currency.map(|currency| currency.to_string()),
    }
}

fn view_total(total: &Money) -> InvoiceTotal {
    InvoiceTotal {
        currency: total.currency.to_string(),
        amount: total.minor_units,
        text: total.to_string(),
    }
}

impl From<InvoiceError> for Problem {
    fn from(error: InvoiceError) -> Self {
        match error {
            InvoiceError::NotFound => Self::not_found("subscription"),
            InvoiceError::NoSuchPlan | InvoiceError::Canceled => {
                Self::field("plan_id", error.to_string())
            }
            InvoiceError::NotBegun | InvoiceError::BeforeStart | InvoiceError::TooLongAgo => {
                Self::field("period", error.to_string())
            }
            InvoiceError::Rating(_) | InvoiceError::Total => {
                Self::new(Code::AmountTooLarge, error.to_string())
            }
            InvoiceError::Store(error) => error.into(),
        }
    }
}
