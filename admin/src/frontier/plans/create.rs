use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::{OnePlan, Shelves, body, save};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::commit;
use crate::frontier::door::Visit;
use crate::problem::Problem;

/// Makes the plan of this name, or makes the one that is there so: whole, or nothing of it.
pub async fn create(
    State(control): State<Arc<Control>>,
    visit: Visit,
) -> Result<Response, Problem> {
    let terms = body::read(&visit.body, "CreatePlanRequest.Body")?;
    let caller = visit.admit(Action::EditCatalog)?;
    let mut change = control.change(&caller, &visit.id).await?;
    let bundle = save::save(&mut change, terms, &control.options.upstream_policy).await?;
    let shelves = Shelves::read(&mut *change.catalog).await?;
    commit(&control, change, &OnePlan { plan: shelves.show(&bundle) }).await
}
