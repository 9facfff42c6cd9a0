use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::body::{ProductBody, ProductTerms};
use super::shelf::Shelf;
use super::{OneProduct, name, save};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::commit;
use crate::frontier::door::Visit;
use crate::frontier::message::Message;
use crate::problem::Problem;

/// Edits a product. Without a body it says that there are no quantities and no features.
pub async fn update(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Problem> {
    let terms = read(&visit.body)?;
    let caller = visit.admit(Action::EditCatalog)?;
    let mut change = control.change(&caller, &visit.id).await?;
    let before = name::found(&mut *change.catalog, &id).await?;
    let policy = &control.options.upstream_policy;
    let product = save::update(&mut change, &before, terms, policy).await?;
    let shelf = Shelf::of_one(&mut *change.catalog, product.id).await?;
    let answer = OneProduct { product: shelf.show(&product) };
    commit(&control, change, &answer).await
}

fn read(body: &[u8]) -> Result<ProductTerms, Problem> {
    let mut request = Message::parse(body)?;
    let Some(mut body) = request.message("body")? else {
        return Ok(ProductTerms::default());
    };
    let checked = ProductBody::read(&mut body)?.checked("ProductRequestBody");
    Ok(checked.map_err(|violation| violation.within("UpdateProductRequest.Body"))?)
}
