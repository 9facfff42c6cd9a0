use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;

use super::{Opened, open};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::destinations::find;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::{Fields, Object, Text};
use crate::ledger::window::Minute;
use crate::problem::{Code, Problem, ProblemBody};
use crate::reconcile::cause::{Cause, Repair as Act};
use crate::reconcile::figures::Slot;
use crate::reconcile::order::{Decided, RepairOrder};
use crate::reconcile::page::{Books, Found};
use crate::request::RequestId;

/// Which difference something is done about, as it was shown, and what.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read reads")]
pub struct Repair {
    #[schema(format = Uuid)]
    subscription_id: String,
    #[schema(format = Uuid)]
    plan_id: String,
    #[schema(value_type = crate::api::words::Meter)]
    meter: Meter,
    #[schema(format = DateTime)]
    window_start: String,
    cause: Cause,
    /// What it was when it was shown: when it is another by now, nothing is done.
    quantity: i64,
    repair: Act,
    /// Why, for whoever reads it later.
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// What was ordered. Whoever sends carries it out, within seconds where the destination is active.
#[derive(Serialize, ToSchema)]
pub struct RepairOrdered {
    pub cause: Cause,
    pub repair: Act,
    pub quantity: i64,
    #[schema(format = DateTime)]
    pub ordered_at: String,
}

/// A line for people.
const NOTE: Text = Text::line(1, 500);

/// Does something about a difference. The destination is asked once more before.
#[utoipa::path(
    post, path = "/api/v1/destinations/{id}/reconciliation/repairs", tag = "destinations",
    operation_id = "repair_difference",
    params(("id" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Repair,
    responses(
        (status = 200, body = RepairOrdered),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn repair(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    repeatable: Repeatable,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let wanted = read(body)?;
    let begun_at = control.now();
    // Before the change, which holds the store while it lasts: the destination may be slow.
    let (found, known) = look(&control, &id, &wanted, begun_at).await?;
    let mut change = control.change(&caller, &request).await?;
    let destination = find(&mut *change.catalog, &id).await?;
    // What was open when the destination was asked may have been carried out before it answered.
    if change.catalog.decided(destination.id, wanted.slot).await? != known {
        return Err(is_decided());
    }
    let order = RepairOrder {
        subscription: wanted.slot.subscription,
        plan: wanted.slot.plan,
        meter: wanted.slot.meter,
        window_start: wanted.slot.start.start(),
        cause: wanted.cause,
        repair: wanted.repair,
        quantity: wanted.quantity,
        acknowledged: found.difference.acknowledged,
        note: wanted.note,
        ordered_at: change.now,
    };
    change.repair(&destination, &order).await?;
    let ordered = RepairOrdered {
        cause: order.cause,
        repair: order.repair,
        quantity: order.quantity,
        ordered_at: order.ordered_at.to_string(),
    };
    Answer::ok(&ordered).commit(&control, &repeatable, change).await
}

struct Wanted {
    slot: Slot,
    cause: Cause,
    quantity: i64,
    repair: Act,
    note: Option<String>,
}

fn read(object: Object) -> Result<Wanted, Problem> {
    let mut fields = Fields::new(object);
    let id = |text: &str| text.parse().map_err(|_| "must be an id".to_owned());
    let subscription = fields.parsed_required("subscription_id", id).map(SubscriptionId);
    let plan = fields.parsed_required("plan_id", id).map(PlanId);
    let meter = fields.word_required::<Meter>("meter");
    let start = fields.time_optional("window_start");
    let cause = fields.word_required::<Cause>("cause");
    let quantity = fields.signed_required("quantity");
    let repair = fields.word_required::<Act>("repair");
    let note = fields.text_optional("note", NOTE);
    if start.is_none() && !fields.has_error_at("window_start") {
        fields.reject("window_start", "is required");
    }
    fields.finish()?;
    let missing = "a field that is missing was refused";
    let slot = Slot {
        subscription: subscription.expect(missing),
        plan: plan.expect(missing),
        start: Minute::of(start.expect(missing)),
        meter: meter.expect(missing),
    };
    let (cause, repair) = (cause.expect(missing), repair.expect(missing));
    Ok(Wanted { slot, cause, quantity: quantity.expect(missing), repair, note })
}

/// The difference as it is now, where it is what was shown and the repair fits, and what was decided on it before.
async fn look(
    control: &Arc<Control>,
    id: &str,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<(Found, Decided), Problem> {
    let Opened { registration, destination, wire } = open(control, id).await?;
    let mut catalog = control.catalog().await?;
    let known = catalog.decided(registration.id, wanted.slot).await?;
    drop(catalog);
    if known.is_open {
        return Err(is_decided());
    }
    let books = Books {
        database: &control.database,
        now,
        registration: &registration,
        destination: &*destination,
        wire: &wire,
    };
    let found = books.window(&wanted.slot).await?;
    let same = found.into_iter().find(|found| found.difference.cause == wanted.cause);
    let is_same = |found: &Found| found.difference.quantity == wanted.quantity;
    let found = same.filter(is_same).ok_or_else(|| {
        Problem::new(Code::DifferenceChanged, "the window has no such difference any more")
    })?;
    match found.repairs.contains(&wanted.repair) {
        true => Ok((found, known)),
        false => {
            Err(Problem::new(Code::RepairUnfit, "see the repairs of the difference")
                .at_field("repair"))
        }
    }
}

/// Two decisions on one difference would both be carried out.
fn is_decided() -> Problem {
    let detail = "something else was decided on the window, and is carried out first";
    Problem::new(Code::DifferenceChanged, detail)
}
