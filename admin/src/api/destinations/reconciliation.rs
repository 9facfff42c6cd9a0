//! Differences between the ledger and a destination: how they look from outside.

pub mod list;
pub mod repair;

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::find;
use crate::api::words::Meter;
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::reconcile::cause::{Cause, Repair};
use crate::reconcile::order::RepairOrder;
use crate::reconcile::page::Found;
use crate::sending::attend;
use crate::sending::destination::Destination;
use crate::sending::registration::Registration;
use crate::sending::wire::http::HttpWire;

/// A part of the difference between the ledger and the destination in a window, by its cause. The
/// quantities of a window add up to its whole difference.
#[derive(Serialize, ToSchema)]
pub struct Difference {
    pub subscription_id: Uuid,
    pub plan_id: Uuid,
    #[schema(value_type = Meter)]
    pub meter: tollgate_common::meter::Meter,
    #[schema(format = DateTime)]
    pub window_start: String,
    #[schema(format = DateTime)]
    pub window_end: String,
    pub cause: Cause,
    /// By how much the ledger is ahead of the destination for this cause; below zero where it is
    /// behind.
    pub quantity: i64,
    /// What the ledger has in the window.
    pub ledger: i64,
    /// What the destination has acknowledged of it.
    pub acknowledged: i64,
    /// What the destination has shown of it; null where it showed nothing yet, or cannot.
    pub read_back: Option<i64>,
    /// What is known beyond the cause.
    pub reason: Option<String>,
    /// What can be done.
    pub repairs: Vec<Repair>,
    pub accepted: Option<Acceptance>,
}

/// Somebody decided to leave a difference as it is.
#[derive(Serialize, ToSchema)]
pub struct Acceptance {
    pub note: Option<String>,
    #[schema(format = DateTime)]
    pub accepted_at: String,
}

fn view(found: Found) -> Difference {
    let Found { difference, repairs, accepted } = found;
    let acceptance = |order: RepairOrder| Acceptance {
        note: order.note,
        accepted_at: order.ordered_at.to_string(),
    };
    Difference {
        subscription_id: difference.slot.subscription.0,
        plan_id: difference.slot.plan.0,
        meter: difference.slot.meter,
        window_start: difference.slot.start.start().to_string(),
        window_end: difference.end.start().to_string(),
        cause: difference.cause,
        quantity: difference.quantity,
        ledger: difference.ledger,
        acknowledged: difference.acknowledged,
        read_back: difference.read_back,
        reason: difference.reason,
        repairs,
        accepted: accepted.map(acceptance),
    }
}

/// A destination as it is set up now, and the way to it.
struct Opened {
    registration: Registration,
    destination: Box<dyn Destination>,
    wire: HttpWire,
}

async fn open(control: &Arc<Control>, id: &str) -> Result<Opened, Problem> {
    let mut catalog = control.catalog().await?;
    let registration = find(&mut *catalog, id).await?;
    let secret = catalog.destination_secret(registration.id).await?;
    let broken = |reason: String| {
        Problem::new(Code::DestinationUnusable, format!("it cannot be opened: {reason}"))
    };
    let destination = attend::open(control, &registration, secret.as_ref()).map_err(broken)?;
    let wire = HttpWire::new(control.options.destination_policy).map_err(broken)?;
    Ok(Opened { registration, destination, wire })
}
