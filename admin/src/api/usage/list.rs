use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;
use utoipa::{IntoParams, ToSchema};

use crate::api::page::{Cursor, List, Params, cursor_text};
use crate::control::Control;
use crate::json::parse_time;
use crate::ledger::usage::{Position, RANGE_DAYS_MAX, Scope, UsageItem, UsageQuery};
use crate::ledger::window::{Minute, TIME_END, Window};
use crate::problem::{Problem, ProblemBody};

/// Billed usage of one subscription, meter and window.
#[derive(Serialize, ToSchema)]
pub struct UsageEntry {
    #[schema(format = Uuid)]
    pub subscription_id: String,
    /// `calls`, `units`, `bytes_in` or `bytes_out`.
    #[schema(example = "calls")]
    pub meter: &'static str,
    #[schema(format = DateTime)]
    pub window_start: String,
    pub quantity: i64,
}

/// The question, as the API's description shows it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields describe parameters that Params reads")]
pub struct Question {
    #[param(format = Uuid)]
    subscription_id: Option<String>,
    #[param(format = Uuid)]
    product_id: Option<String>,
    #[param(format = Uuid)]
    plan_id: Option<String>,
    /// `calls`, `units`, `bytes_in` or `bytes_out`; all of them when left out.
    meter: Option<String>,
    /// RFC 3339; the start of the current month, in UTC, when left out.
    #[param(format = DateTime)]
    from: Option<String>,
    /// RFC 3339; now when left out.
    #[param(format = DateTime)]
    to: Option<String>,
    /// `minute`, `hour`, `day` or `month`, in UTC.
    #[param(example = "day")]
    window: Option<String>,
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Billed usage by window. Windows are whole: the bounds are widened to them.
#[utoipa::path(
    get, path = "/api/v1/usage", tag = "usage", operation_id = "list_usage",
    params(Question),
    responses(
        (status = 200, body = List<UsageEntry>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<UsageEntry>>, Problem> {
    let query = read(&mut params, &control);
    params.finish()?;
    if query.from == query.to {
        return Ok(Json(List { items: Vec::new(), next: None }));
    }
    let page = control.ledger.usage(&query).await?;
    let next = page.next.map(cursor_text);
    Ok(Json(List { items: page.items.into_iter().map(view).collect(), next }))
}

/// Reads the question; what is wrong with it is noted in `params`.
fn read(params: &mut Params, control: &Control) -> UsageQuery {
    let now = control.now();
    let page = params.page::<Position>();
    let scope = Scope {
        subscription: params.id("subscription_id"),
        product: params.id("product_id"),
        plan: params.id("plan_id"),
    };
    let meter =
        params.parsed("meter", "must be calls, units, bytes_in or bytes_out", Meter::from_label);
    let window = params.parsed("window", "must be minute, hour, day or month", Window::from_label);
    let window = window.unwrap_or(Window::Month);
    let (from, to) = read_range(params, now);
    if matches!(window, Window::Minute | Window::Hour)
        && Minute::of(from) < control.ledger.minutes_from(now).start()
    {
        params.reject("from", "is too long ago for minutes and hours; ask for days or months");
    }
    let (from, to) = widened(window, from, to);
    let items_max = page.limit as usize;
    UsageQuery { scope, meter, window, from, to, after: page.after, items_max }
}

pub const MOMENT: &str =
    "must be a time as in 2026-11-22T00:00:00Z (RFC 3339), not past the year 9998";

/// Reads the bounds of a question; what is wrong with them is noted in `params`.
pub fn read_range(params: &mut Params, now: Timestamp) -> (Timestamp, Timestamp) {
    let is_until_now = !params.has("to");
    let from = params.parsed("from", MOMENT, parse_moment);
    let to = params.parsed("to", MOMENT, parse_moment).unwrap_or(now);
    let month = Window::Month.start_of(Minute::of(now)).start();
    let from = from.unwrap_or(month.min(to));
    if is_until_now && now < from {
        params.reject("from", "must not be in the future where to is left out");
    } else {
        reject_range(params, from, to);
    }
    (from, to)
}

/// Whole windows from the one that `from` is in to the end of the one that ends with or after `to`. No
/// time is in no window.
pub fn widened(window: Window, from: Timestamp, to: Timestamp) -> (Minute, Minute) {
    let first = window.start_of(Minute::of(from));
    if from == to {
        return (first, first);
    }
    let last = window.start_of(Minute::of(to.plus_ms(-1)));
    (first, window.next(last.max(first)))
}

/// Notes what is wrong with the bounds of a question.
pub fn reject_range(params: &mut Params, from: Timestamp, to: Timestamp) {
    if to < from {
        params.reject("to", "must not be before from");
    } else if (to.0 - from.0) / 86_400_000 > RANGE_DAYS_MAX {
        params.reject("to", &format!("must be at most {RANGE_DAYS_MAX} days after from"));
    }
}

pub fn parse_moment(text: &str) -> Option<Timestamp> {
    parse_time(text).filter(|moment| (Timestamp(0)..TIME_END).contains(moment))
}

fn view(item: UsageItem) -> UsageEntry {
    UsageEntry {
        subscription_id: item.subscription.to_string(),
        meter: item.meter.label(),
        window_start: item.window_start.start().to_string(),
        quantity: item.quantity,
    }
}

impl Cursor for Position {
    const LETTER: u8 = b'u';

    fn to_bytes(self) -> Vec<u8> {
        let item = self.item.map(|(minute, meter)| {
            let meter = Meter::ALL.iter().position(|known| *known == meter);
            let meter = meter.expect("ALL holds every meter") as u8;
            [&minute.0.to_be_bytes()[..], &[meter]].concat()
        });
        [self.subscription.as_bytes(), item.unwrap_or_default().as_slice()].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let item = match rest {
            [] => None,
            _ => {
                let (minute, meter) = rest.split_first_chunk::<8>()?;
                let [meter] = meter else { return None };
                let meter = *Meter::ALL.get(usize::from(*meter))?;
                let minute = Minute(i64::from_be_bytes(*minute));
                // A cursor that was made up could otherwise ask for all of time.
                if !(Minute(0)..Minute::of(TIME_END)).contains(&minute) {
                    return None;
                }
                Some((minute, meter))
            }
        };
        Some(Self { subscription: SubscriptionId::from_bytes(*id), item })
    }
}
