use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::{PlanView, Shelves};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::door::Visit;
use crate::frontier::every;
use crate::problem::Problem;

#[derive(Serialize)]
pub struct Plans {
    plans: Vec<PlanView>,
}

/// All plans, oldest first.
pub async fn list(
    State(control): State<Arc<Control>>,
    visit: Visit,
) -> Result<Json<Plans>, Problem> {
    visit.admit(Action::Read)?;
    let mut catalog = control.catalog().await?;
    let bundles = every::bundles(&mut *catalog).await?;
    let shelves = Shelves::read(&mut *catalog).await?;
    Ok(Json(Plans { plans: bundles.iter().map(|bundle| shelves.show(bundle)).collect() }))
}
