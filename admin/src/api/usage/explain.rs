use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tollgate_common::ids::RequestId;
use utoipa::ToSchema;

use crate::control::Control;
use crate::ledger::Found;
use crate::ledger::explain::{AdmittedCall, Explanation};
use crate::problem::{Problem, ProblemBody};

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
    Ok(Json(view(&explanation)))
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
    }
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

fn view_record(found: &Found) -> Record {
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
