use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::{OneFeature, found, view};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::door::Visit;
use crate::problem::Problem;

/// One feature, by id or name.
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Json<OneFeature>, Problem> {
    visit.admit(Action::Read)?;
    let feature = found(&mut *control.catalog().await?, &id).await?;
    Ok(Json(OneFeature { feature: view(&feature) }))
}
