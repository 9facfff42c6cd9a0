use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tollgate_common::ids::RequestId;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::subscriptions::invoice_preview::{InvoiceLine, view_line};
use crate::api::words::Meter;
use crate::control::Control;
use crate::invoice::{self, InvoiceError, Line};
use crate::ledger::Found;
use crate::ledger::explain::{AdmittedCall, Explanation};
use crate::ledger::window::Minute;
use crate::problem::{Problem, ProblemBody};
use crate::sending::intent::State as DeliveryState;
use crate::sending::outbox::slots::{self, Carried};

/// Why one call was counted, not counted or refused.
#[derive(Serialize, ToSchema)]
pub struct ExplainedCall {
    #[schema(format = Uuid)]
    pub request_id: String,
    /// `counted`, `not_counted` or `refused`.
    pub verdict: &'static str,
    /// The same in a sentence or two.
    pub reason: String,
    /// The problem code of a call that the gateway refused or answered itself.
    pub refusal: Option<&'static str>,
    #[schema(format = Uuid)]
    pub subscription_id: Option<String>,
    /// Null for a call that was not admitted.
    pub admitted: Option<Admitted>,
    /// The lines of the invoice that a billed call is part of; empty where its period is too long ago,
    /// or the invoice cannot be made.
    pub lines: Vec<InvoiceLine>,
    /// What carries a billed call's usage to billing systems, so far.
    pub deliveries: Vec<CallDelivery>,
}

/// An item that holds the window of a call, at one destination.
#[derive(Serialize, ToSchema)]
pub struct CallDelivery {
    pub destination_id: Uuid,
    pub destination_name: String,
    /// The number of the delivery that holds it.
    pub delivery: i64,
    pub state: DeliveryState,
    #[schema(value_type = Meter)]
    pub meter: tollgate_common::meter::Meter,
    #[schema(format = DateTime)]
    pub window_start: String,
    #[schema(format = DateTime)]
    pub window_end: String,
    pub version: u32,
}

#[derive(Serialize, ToSchema)]
pub struct Admitted {
    #[schema(format = Uuid)]
    pub product_id: String,
    #[schema(format = Uuid)]
    pub plan_id: String,
    #[schema(format = Uuid)]
    pub key_id: String,
    #[schema(format = DateTime)]
    pub admitted_at: String,
    /// The minute window that the call is in.
    #[schema(format = DateTime)]
    pub window_start: String,
    /// Start of the quota period; null without a quota.
    #[schema(format = DateTime)]
    pub period_start: Option<String>,
    #[schema(example = "success")]
    pub outcome: &'static str,
    pub status: u16,
    /// Requests made to the upstream.
    pub attempts: u8,
    pub duration_us: u32,
    /// The response did not reach its end.
    pub truncated: bool,
    /// Every part of the call is here.
    pub complete: bool,
    /// Units against the quota; null if the call does not count.
    pub counted_units: Option<i64>,
    /// Null if the call is not billed.
    pub billed: Option<Billed>,
    pub records: Vec<Record>,
}

#[derive(Serialize, ToSchema)]
pub struct Billed {
    pub calls: i64,
    pub units: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
}

/// Where a usage record of the call stands.
#[derive(Serialize, ToSchema)]
pub struct Record {
    #[schema(format = Uuid)]
    pub node_id: String,
    pub epoch: u64,
    pub sequence: u64,
    pub part: u16,
    pub units: i64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Why a call was counted or refused, by the id in its `X-Request-Id`.
#[utoipa::path(
    get, path = "/api/v1/usage/requests/{request_id}", tag = "usage",
    operation_id = "explain_request",
    params(("request_id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = ExplainedCall),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn explain(
    State(control): State<Arc<Control>>,
    Path(request): Path<String>,
) -> Result<Json<ExplainedCall>, Problem> {
    let not_found = || Problem::not_found("request, or it is no longer kept");
    let request: RequestId = request.parse().map_err(|_| not_found())?;
    let explanation = control.ledger.explain(request).await?.ok_or_else(not_found)?;
    let billed = explanation.admitted.as_ref().filter(|call| call.billed.is_some());
    let (lines, deliveries) = match billed {
        Some(call) => (lines(&control, call).await?, deliveries(&control, call).await?),
        None => (Vec::new(), Vec::new()),
    };
    Ok(Json(ExplainedCall { lines, deliveries, ..view(&explanation) }))
}

fn view(explanation: &Explanation) -> ExplainedCall {
    let Explanation { request, verdict, admitted, refused } = explanation;
    let of_admitted = admitted.as_ref().map(|call| call.subscription);
    let subscription = of_admitted.or(refused.as_ref().map(|call| call.subscription));
    ExplainedCall {
        request_id: request.to_string(),
        verdict: verdict.label(),
        reason: explanation.reason(),
        refusal: refused.as_ref().map(|call| call.reason.code()),
        subscription_id: subscription.map(|id| id.to_string()),
        admitted: admitted.as_ref().map(view_admitted),
        lines: Vec::new(),
        deliveries: Vec::new(),
    }
}

async fn lines(control: &Control, call: &AdmittedCall) -> Result<Vec<InvoiceLine>, Problem> {
    let (id, at) = (call.subscription, call.admitted_at);
    let made = invoice::holding(&*control.store, &control.ledger, id, at, control.now()).await;
    let invoice = match made {
        Ok(Some(invoice)) => invoice,
        // The call is explained all the same.
        Ok(None)
        | Err(
            InvoiceError::NotFound
            | InvoiceError::TooLongAgo
            | InvoiceError::Rating(_)
            | InvoiceError::Total,
        ) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    // Also where the plan was left by then: it is charged as the gateway let it in.
    let is_of = |line: &&Line| line.meter.is_some() && line.plan == call.plan;
    Ok(invoice.lines.iter().filter(is_of).map(view_line).collect())
}

async fn deliveries(control: &Control, call: &AdmittedCall) -> Result<Vec<CallDelivery>, Problem> {
    let mut db = control.database.read().await?;
    let owner = (call.subscription, call.plan);
    let carried = slots::holding(&mut db, owner, Minute::of(call.admitted_at)).await?;
    let view = |carried: Carried| CallDelivery {
        destination_id: carried.destination.0,
        destination_name: carried.destination_name,
        delivery: carried.delivery,
        state: carried.state,
        meter: carried.slot.meter,
        window_start: carried.slot.start.start().to_string(),
        window_end: carried.end.start().to_string(),
        version: carried.version,
    };
    Ok(carried.into_iter().map(view).collect())
}

fn view_admitted(call: &AdmittedCall) -> Admitted {
    Admitted {
        product_id: call.product.to_string(),
        plan_id: call.plan.to_string(),
        key_id: call.key.to_string(),
        admitted_at: call.admitted_at.to_string(),
        window_start: call.window_start.to_string(),
        period_start: call.period_start.map(|start| start.to_string()),
        outcome: call.outcome.label(),
        status: call.status,
        attempts: call.attempts,
        duration_us: call.duration_us,
        truncated: call.truncated,
        complete: call.complete,
        counted_units: call.counted_units,
        billed: call.billed.map(|billed| Billed {
            calls: billed.calls,
            units: billed.units,
            bytes_in: billed.bytes_in,
            bytes_out: billed.bytes_out,
        }),
        records: call.parts.iter().map(view_record).collect(),
    }
}

pub fn view_record(found: &Found) -> Record {
    Record {
        node_id: found.source.node.to_string(),
        epoch: found.source.epoch,
        sequence: found.sequence,
        part: found.record.part,
        units: found.record.units,
        bytes_in: found.record.bytes_in,
        bytes_out: found.record.bytes_out,
    }
}
