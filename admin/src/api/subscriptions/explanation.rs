use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tollgate_common::ids::{PlanId, RequestId, SubscriptionId};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::invoice_preview::{InvoiceLine, parse_month, view_line};
use crate::api::page::{Cursor, Paging, Params, cursor_text};
use crate::api::path_id;
use crate::api::usage::explain::{Billed, Record, view_record};
use crate::control::Control;
use crate::invoice::{self, Asked};
use crate::ledger::Found;
use crate::ledger::window::{Minute, TIME_END};
use crate::ledger::windows::{ExplainedWindow, RecordPlace, WindowsQuery};
use crate::problem::{Problem, ProblemBody};

/// What the lines of an invoice are made of: windows, and the records of calls in them.
#[derive(Serialize, ToSchema)]
pub struct InvoiceExplanation {
    /// The month in which the period begins.
    #[schema(example = "2026-11")]
    pub period: String,
    #[schema(format = DateTime)]
    pub period_start: String,
    #[schema(format = DateTime)]
    pub period_end: String,
    /// A window belongs to the lines of its plan whose `from` and `to` it lies between.
    pub lines: Vec<InvoiceLine>,
    pub items: Vec<WindowOfCalls>,
    /// Goes into `after` for the next page; null on the last one.
    pub next: Option<String>,
    /// Since when single calls are kept; null before the first. Windows are kept for longer.
    #[schema(format = DateTime)]
    pub records_kept_since: Option<String>,
}

/// A minute of calls on a plan. Where there are more records than a page holds, it goes on in the next.
#[derive(Serialize, ToSchema)]
pub struct WindowOfCalls {
    #[schema(format = DateTime)]
    pub window_start: String,
    pub plan_id: Uuid,
    /// What the ledger has of the whole window.
    pub billed: Billed,
    pub records: Vec<RecordOfCall>,
    /// There are more records in this minute than are read for a page; ask for single calls.
    pub cut: bool,
}

/// A record, and the call that it is of.
#[derive(Serialize, ToSchema)]
pub struct RecordOfCall {
    #[schema(format = Uuid)]
    pub request_id: String,
    #[schema(format = DateTime)]
    pub admitted_at: String,
    /// Whether the plan bills the call's outcome.
    pub billed: bool,
    pub calls: u8,
    #[serde(flatten)]
    pub record: Record,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its field describes a parameter that Params reads")]
pub struct Question {
    /// The month in which the period begins, such as 2026-11; the current period when left out.
    #[param(example = "2026-11", pattern = "^[0-9]{4}-[0-9]{2}$")]
    period: Option<String>,
}

/// From the lines of an invoice to the calls that they are made of. `limit` is in records.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}/explanation", tag = "subscriptions",
    operation_id = "explain_invoice",
    params(("id" = uuid::Uuid, Path), Question, Paging),
    responses(
        (status = 200, body = InvoiceExplanation),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn explanation(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<InvoiceExplanation>, Problem> {
    let month = params.parsed("period", "must be a month such as 2026-11", parse_month);
    let page = params.page::<RecordPlace>();
    params.finish()?;
    let id: SubscriptionId = path_id(&id, "subscription")?;
    let now = control.now();
    let asked = month.map_or(Asked::Current, Asked::Month);
    let invoice = invoice::preview(&*control.store, &control.ledger, id, asked, now).await?;
    let minute_after_now = Minute(Minute::of(now).0 + 1);
    let query = WindowsQuery {
        subscription: id,
        from: Minute::of(invoice.period.start),
        to: Minute::of(invoice.period.end).min(minute_after_now),
        after: page.after,
        records_max: page.limit as usize,
    };
    let windows = control.ledger.windows(&query).await?;
    let kept_since = control.ledger.kept_since().await?;
    Ok(Json(InvoiceExplanation {
        period: invoice.month.strftime("%Y-%m").to_string(),
        period_start: invoice.period.start.to_string(),
        period_end: invoice.period.end.to_string(),
        lines: invoice.lines.iter().map(view_line).collect(),
        items: windows.windows.iter().map(view).collect(),
        next: windows.next.map(cursor_text),
        records_kept_since: kept_since.map(|since| since.to_string()),
    }))
}

fn view(window: &ExplainedWindow) -> WindowOfCalls {
    let counts = window.counts;
    WindowOfCalls {
        window_start: window.start.start().to_string(),
        plan_id: window.plan.0,
        billed: Billed {
            calls: counts.calls,
            units: counts.units,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
        },
        records: window.records.iter().map(record).collect(),
        cut: window.is_cut,
    }
}

fn record(found: &Found) -> RecordOfCall {
    RecordOfCall {
        request_id: found.record.request.to_string(),
        admitted_at: found.record.admitted_at.to_string(),
        billed: found.record.billed,
        calls: found.record.calls,
        record: view_record(found),
    }
}

impl Cursor for RecordPlace {
    const LETTER: u8 = b'e';

    fn to_bytes(self) -> Vec<u8> {
        let (minute, part) = (self.minute.0.to_be_bytes(), self.part.to_be_bytes());
        [&minute[..], self.plan.as_bytes(), self.request.as_bytes(), &part].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (minute, rest) = bytes.split_first_chunk::<8>()?;
        let (plan, rest) = rest.split_first_chunk::<16>()?;
        let (request, part) = rest.split_first_chunk::<16>()?;
        let minute = Minute(i64::from_be_bytes(*minute));
        // A cursor that was made up could otherwise ask for all of time.
        (Minute(0)..Minute::of(TIME_END)).contains(&minute).then_some(())?;
        Some(Self {
            minute,
            plan: PlanId::from_bytes(*plan),
            request: RequestId::from_bytes(*request),
            part: u16::from_be_bytes(part.try_into().ok()?),
        })
    }
}
