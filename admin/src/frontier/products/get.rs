use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::shelf::Shelf;
use super::{OneProduct, name};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::door::Visit;
use crate::problem::Problem;

/// One product, by id or name.
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Json<OneProduct>, Problem> {
    visit.admit(Action::Read)?;
    let mut catalog = control.catalog().await?;
    let product = name::found(&mut *catalog, &id).await?;
    let shelf = Shelf::of_one(&mut *catalog, product.id).await?;
    Ok(Json(OneProduct { product: shelf.show(&product) }))
}
