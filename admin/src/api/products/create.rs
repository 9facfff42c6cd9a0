use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::Reach;
use super::{Product, Route, Upstream, fields, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::words;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A new product. Only the name is needed; it is a draft until it has a gateway endpoint.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct ProductCreate {
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    name: String,
    #[schema(required = false, max_length = 200)]
    title: String,
    #[schema(required = false, max_length = 10_000)]
    description: String,
    gateway_endpoint: Option<String>,
    #[schema(required = false, default = "draft")]
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

/// Makes a product.
#[utoipa::path(
    post, path = "/api/v1/products", tag = "products", operation_id = "create_product",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ProductCreate,
    responses(
        (status = 201, body = Product, headers(("etag" = String), ("location" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    repeatable: Repeatable,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let reach = Reach { policy: &control.options.upstream_policy, before: None };
    let fields = fields::read(body, reach)?;
    let mut change = control.change(&caller, &request).await?;
    let product = change.create_product(fields).await?;
    let location = format!("/api/v1/products/{}", product.id);
    Answer::created(location, &view(&product)).commit(&control, &repeatable, change).await
}
