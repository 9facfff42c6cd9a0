use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::Reach;
use super::{Product, Route, Upstream, fields, find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::patch::patched;
use crate::api::precondition::Precondition;
use crate::api::words;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A JSON merge patch (RFC 7396): what is named is set, null empties what can be empty.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct ProductPatch {
    #[schema(required = false, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    name: String,
    #[schema(required = false, max_length = 200)]
    title: String,
    #[schema(required = false, max_length = 10_000)]
    description: String,
    gateway_endpoint: Option<String>,
    #[schema(required = false)]
    status: words::ProductStatus,
    #[schema(required = false, max_items = 100)]
    hosts: Vec<String>,
    #[schema(required = false, max_items = 1_000)]
    routes: Vec<Route>,
    #[schema(required = false)]
    upstream: Upstream,
    #[schema(min_length = 1, max_length = 64)]
    key_query_parameter: Option<String>,
    body_bytes_max: Option<u64>,
    #[schema(required = false)]
    metadata: BTreeMap<String, Value>,
}

/// Edits a product. It is in force on the gateways at once and restarts no counter.
#[utoipa::path(
    patch, path = "/api/v1/products/{product}", tag = "products", operation_id = "update_product",
    params(
        ("product" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header),
    ),
    request_body(content(
        (ProductPatch = "application/merge-patch+json"),
        (ProductPatch = "application/json"),
    )),
    responses(
        (status = 200, body = Product, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id_or_name): Path<String>,
    precondition: Precondition,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut change = control.change(&caller, &request).await?;
    let before = find(&mut *change.catalog, &id_or_name).await?;
    precondition.check(&view(&before))?;
    let whole = patched(&view(&before), body, &fields::READ_ONLY);
    let reach = Reach { policy: &control.options.upstream_policy, before: Some(&before) };
    let fields = fields::read(whole, reach)?;
    let product = change.update_product(&before, fields).await?;
    Answer::ok(&view(&product)).commit(&control, &Repeatable::never(), change).await
}
