use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use tollgate_common::ids::FeatureId;

use super::create::read;
use super::{OneFeature, link, view};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::commit;
use crate::frontier::door::Visit;
use crate::problem::{Code, Problem};

/// Edits the feature that the body names. The id in the path is that of a feature that has to be
/// made for it.
pub async fn update(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Problem> {
    let body = read(&visit.body, "UpdateFeatureRequest.Body")?;
    let caller = visit.admit(Action::EditCatalog)?;
    let mut change = control.change(&caller, &visit.id).await?;
    let is_known = change.catalog.feature_named(&body.name).await?.is_some();
    let id = match id.parse::<FeatureId>() {
        Ok(id) => Some(id),
        Err(_) if is_known => None,
        Err(_) => {
            return Err(Problem::new(
                Code::FieldsInvalid,
                "the id of a new feature must be a uuid",
            ));
        }
    };
    let feature = link::save(&mut change, id, body).await?;
    commit(&control, change, &OneFeature { feature: view(&feature) }).await
}
