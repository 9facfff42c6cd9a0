use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::name;
use crate::access::Action;
use crate::change::to_its_end;
use crate::control::Control;
use crate::frontier::commit;
use crate::frontier::door::Visit;
use crate::problem::Problem;

/// Deletes a product as the API for owners does. Frontier has no such call.
pub async fn delete(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Problem> {
    let caller = visit.admit(Action::EditCatalog)?;
    let mut change = control.change(&caller, &visit.id).await?;
    let product = name::found(&mut *change.catalog, &id).await?;
    to_its_end(async move {
        change.delete_product(&product).await?;
        commit(&control, change, &json!({})).await
    })
    .await
}
