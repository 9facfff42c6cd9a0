use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::{find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::Ended;
use crate::api::precondition::Precondition;
use crate::change::to_its_end;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// Deletes a product: revokes its keys at once, cancels its subscriptions, deletes its plans. What
/// was used stays in the ledger.
#[utoipa::path(
    delete, path = "/api/v1/products/{product}", tag = "products", operation_id = "delete_product",
    params(
        ("product" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, body = Ended),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id_or_name): Path<String>,
    precondition: Precondition,
) -> Result<Response, Problem> {
    let mut change = control.change(&caller, &request).await?;
    let product = find(&mut *change.catalog, &id_or_name).await?;
    precondition.check(&view(&product))?;
    to_its_end(async move {
        change.delete_product(&product).await?;
        let answer = Answer::gone(&json!({ "id": product.id }));
        answer.commit_end(&control, &Repeatable::never(), change).await
    })
    .await
}
