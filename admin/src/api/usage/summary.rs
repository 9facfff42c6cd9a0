use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tollgate_common::ids::{PlanId, ProductId};
use utoipa::{IntoParams, ToSchema};

use super::list::{read_range, widened};
use crate::api::page::{Cursor, List, Params, cursor_text};
use crate::control::Control;
use crate::ledger::plan_day::{Grouping, SummaryItem, SummaryPlace, SummaryQuery};
use crate::ledger::window::{Day, Minute, TIME_END, Window};
use crate::problem::{Problem, ProblemBody};

/// What was called and refused in a window, over all subscriptions.
#[derive(Serialize, ToSchema)]
pub struct UsageSummary {
    #[schema(format = Uuid)]
    pub product_id: String,
    /// Null where sums are by product.
    #[schema(format = Uuid)]
    pub plan_id: Option<String>,
    #[schema(format = DateTime)]
    pub window_start: String,
    /// What is billed, by meter.
    pub calls: i64,
    pub units: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
    /// Admitted calls that are not billed.
    pub calls_unbilled: i64,
    /// Calls that were refused after their key was known.
    pub refused: i64,
}

/// The question, as the API's description shows it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields describe parameters that Params reads")]
pub struct Question {
    #[param(format = Uuid)]
    product_id: Option<String>,
    #[param(format = Uuid)]
    plan_id: Option<String>,
    /// `plan` or `product`.
    #[param(example = "plan")]
    group_by: Option<String>,
    /// `day` or `month`, in UTC.
    #[param(example = "day")]
    window: Option<String>,
    /// RFC 3339; the start of the current month, in UTC, when left out.
    #[param(format = DateTime)]
    from: Option<String>,
    /// RFC 3339; now when left out.
    #[param(format = DateTime)]
    to: Option<String>,
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Calls and refusals by product or plan. Windows are whole: the bounds are widened to them.
#[utoipa::path(
    get, path = "/api/v1/usage/summary", tag = "usage", operation_id = "summarize_usage",
    params(Question),
    responses(
        (status = 200, body = List<UsageSummary>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn summary(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<UsageSummary>>, Problem> {
    let query = read(&mut params, &control);
    params.finish()?;
    if query.from == query.to {
        return Ok(Json(List { items: Vec::new(), next: None }));
    }
    let page = control.ledger.plan_days(&query).await?;
    let next = page.next.map(cursor_text);
    Ok(Json(List { items: page.items.into_iter().map(view).collect(), next }))
}

/// Reads the question; what is wrong with it is noted in `params`.
fn read(params: &mut Params, control: &Control) -> SummaryQuery {
    let now = control.now();
    let page = params.page::<SummaryPlace>();
    let product = params.id("product_id");
    let plan = params.id("plan_id");
    let grouping = params.parsed("group_by", "must be plan or product", |text| match text {
        "plan" => Some(Grouping::Plan),
        "product" => Some(Grouping::Product),
        _ => None,
    });
    let window = params.parsed("window", "must be day or month", |text| match text {
        "day" => Some(Window::Day),
        "month" => Some(Window::Month),
        _ => None,
    });
    let window = window.unwrap_or(Window::Day);
    let (from, to) = read_range(params, now);
    let (from, to) = widened(window, from, to);
    SummaryQuery {
        product,
        plan,
        grouping: grouping.unwrap_or(Grouping::Plan),
        window,
        from,
        to,
        after: page.after,
        items_max: page.limit as usize,
    }
}

fn view(item: SummaryItem) -> UsageSummary {
    UsageSummary {
        product_id: item.product.to_string(),
        plan_id: item.plan.map(|plan| plan.to_string()),
        window_start: item.window_start.start().to_string(),
        calls: item.counts.calls,
        units: item.counts.units,
        bytes_in: item.counts.bytes_in,
        bytes_out: item.counts.bytes_out,
        calls_unbilled: item.counts.calls_unbilled,
        refused: item.refused,
    }
}

impl Cursor for SummaryPlace {
    const LETTER: u8 = b's';

    fn to_bytes(self) -> Vec<u8> {
        let Self { product, plan, day } = self;
        [&product.as_bytes()[..], &plan.as_bytes()[..], &day.0.to_be_bytes()].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (product, rest) = bytes.split_first_chunk::<16>()?;
        let (plan, day) = rest.split_first_chunk::<16>()?;
        let day = Day(i64::from_be_bytes(day.try_into().ok()?));
        // A cursor that was made up could otherwise name a day that no calendar has.
        if !(Day(0)..Minute::of(TIME_END).day()).contains(&day) {
            return None;
        }
        let (product, plan) = (ProductId::from_bytes(*product), PlanId::from_bytes(*plan));
        Some(Self { product, plan, day })
    }
}
