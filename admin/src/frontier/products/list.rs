use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::ProductView;
use super::shelf::Shelf;
use crate::access::Action;
use crate::control::Control;
use crate::frontier::door::Visit;
use crate::frontier::every;
use crate::problem::Problem;

#[derive(Serialize)]
pub struct Products {
    products: Vec<ProductView>,
}

/// All products, drafts too, oldest first.
pub async fn list(
    State(control): State<Arc<Control>>,
    visit: Visit,
) -> Result<Json<Products>, Problem> {
    visit.admit(Action::Read)?;
    let mut catalog = control.catalog().await?;
    let products = every::products(&mut *catalog).await?;
    let shelf = Shelf::of_all(&mut *catalog).await?;
    Ok(Json(Products { products: products.iter().map(|product| shelf.show(product)).collect() }))
}
