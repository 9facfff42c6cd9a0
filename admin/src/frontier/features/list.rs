use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::{FeatureView, view};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::door::Visit;
use crate::frontier::every;
use crate::problem::Problem;

#[derive(Serialize)]
pub struct Features {
    features: Vec<FeatureView>,
}

/// All features, oldest first.
pub async fn list(
    State(control): State<Arc<Control>>,
    visit: Visit,
) -> Result<Json<Features>, Problem> {
    visit.admit(Action::Read)?;
    let features = every::features(&mut *control.catalog().await?).await?;
    Ok(Json(Features { features: features.iter().map(view).collect() }))
}
