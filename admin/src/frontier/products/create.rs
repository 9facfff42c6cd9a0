use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::body::{ProductBody, ProductTerms};
use super::shelf::Shelf;
use super::{OneProduct, save};
use crate::access::Action;
use crate::control::Control;
use crate::frontier::commit;
use crate::frontier::door::Visit;
use crate::frontier::message::Message;
use crate::frontier::violation::Violation;
use crate::problem::Problem;

/// Makes a product whole, or nothing.
pub async fn create(
    State(control): State<Arc<Control>>,
    visit: Visit,
) -> Result<Response, Problem> {
    let terms = read(&visit.body)?;
    let caller = visit.admit(Action::EditCatalog)?;
    let mut change = control.change(&caller, &visit.id).await?;
    let product = save::create(&mut change, terms, &control.options.upstream_policy).await?;
    let shelf = Shelf::of_one(&mut *change.catalog, product.id).await?;
    let answer = OneProduct { product: shelf.show(&product) };
    commit(&control, change, &answer).await
}

fn read(body: &[u8]) -> Result<ProductTerms, Problem> {
    let mut request = Message::parse(body)?;
    let Some(mut body) = request.message("body")? else {
        return Err(Violation::new("CreateProductRequest.Body", "value is required").into());
    };
    let checked = ProductBody::read(&mut body)?.checked("ProductRequestBody");
    Ok(checked.map_err(|violation| violation.within("CreateProductRequest.Body"))?)
}
