use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;
use utoipa::{IntoParams, ToSchema};

use super::{Difference, Opened, open, view};
use crate::api::page::{Cursor, Paging, Params, cursor_text};
use crate::api::usage::list::{MOMENT, parse_moment, reject_range};
use crate::control::Control;
use crate::ledger::window::{Minute, TIME_END};
use crate::problem::{Problem, ProblemBody};
use crate::reconcile::figures::Slot;
use crate::reconcile::page::{Books, Question};

/// Differences, and how much was looked at to find them.
#[derive(Serialize, ToSchema)]
pub struct ReconciliationPage {
    pub items: Vec<Difference>,
    /// Goes into `after` for the next page; null on the last one. A page may be empty before that.
    pub next: Option<String>,
    /// Windows that this page looked at.
    pub windows: u64,
    /// Subscriptions on a plan that later pages will look at.
    pub subscriptions_left: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields describe parameters that Params reads")]
pub struct ReconciliationFilter {
    #[param(format = Uuid)]
    subscription_id: Option<String>,
    /// RFC 3339; from the destination's `starts_at` on when left out.
    #[param(format = DateTime)]
    from: Option<String>,
    /// RFC 3339; now when left out.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Shows what somebody accepted instead of what is open.
    accepted: Option<bool>,
    /// Asks the destination what it has. Otherwise `read_back` is what it has shown to the sender.
    ask: Option<bool>,
}

/// Where ledger, acknowledged usage and what the destination shows differ, in windows that are
/// closed, by subscription and time.
#[utoipa::path(
    get, path = "/api/v1/destinations/{id}/reconciliation", tag = "destinations",
    operation_id = "list_differences",
    params(("id" = uuid::Uuid, Path), ReconciliationFilter, Paging),
    responses(
        (status = 200, body = ReconciliationPage),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<ReconciliationPage>, Problem> {
    let flag = |text: &str| text.parse().ok();
    let subscription = params.id("subscription_id");
    let from = params.parsed("from", MOMENT, parse_moment);
    let to = params.parsed("to", MOMENT, parse_moment);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        params.reject("to", "must not be before from");
    }
    let is_accepted = params.parsed("accepted", "must be true or false", flag).unwrap_or(false);
    let asks = params.parsed("ask", "must be true or false", flag).unwrap_or(false);
    let page = params.page::<Slot>();
    let Opened { registration, destination, wire } = open(&control, &id).await?;
    let now = control.now();
    let to = to.unwrap_or(now).min(now);
    let kept_from = control.ledger.minutes_from(now).start().start();
    let known_from = registration.starts_at.max(kept_from);
    let from: Timestamp = from.map_or(known_from, |from| from.max(known_from)).min(to);
    reject_range(&mut params, from, to);
    params.finish()?;
    let question = Question {
        subscription,
        from: Minute::of(from),
        to: Minute::of(to),
        is_accepted,
        asks,
        after: page.after,
        items_max: page.limit as usize,
    };
    let books = Books {
        database: &control.database,
        now,
        registration: &registration,
        destination: &*destination,
        wire: &wire,
    };
    let page = books.page(&question).await?;
    Ok(Json(ReconciliationPage {
        items: page.items.into_iter().map(view).collect(),
        next: page.next.map(cursor_text),
        windows: page.windows,
        subscriptions_left: page.series_left,
    }))
}

impl Cursor for Slot {
    const LETTER: u8 = b'r';

    fn to_bytes(self) -> Vec<u8> {
        let meter = Meter::ALL.iter().position(|known| *known == self.meter);
        let meter = meter.expect("ALL holds every meter") as u8;
        let (subscription, plan) = (self.subscription.as_bytes(), self.plan.as_bytes());
        [&subscription[..], plan, &self.start.0.to_be_bytes(), &[meter]].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (subscription, rest) = bytes.split_first_chunk::<16>()?;
        let (plan, rest) = rest.split_first_chunk::<16>()?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let [meter] = rest else { return None };
        let start = Minute(i64::from_be_bytes(*start));
        // A cursor that was made up could otherwise ask for all of time.
        (Minute(-1)..Minute::of(TIME_END)).contains(&start).then_some(())?;
        Some(Self {
            subscription: SubscriptionId::from_bytes(*subscription),
            plan: PlanId::from_bytes(*plan),
            start,
            meter: *Meter::ALL.get(usize::from(*meter))?,
        })
    }
}
