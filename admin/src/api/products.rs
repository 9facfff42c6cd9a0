//! Products: how they look from outside.

pub mod create;
pub mod delete;
pub mod fields;
pub mod get;
pub mod list;
pub mod update;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tollgate_common::catalog;
use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::ids::ProductId;
use tollgate_common::route;
use utoipa::ToSchema;
use uuid::Uuid;

use super::words;
use crate::problem::Problem;
use crate::store::CatalogRead;

/// An API that is sold: a gateway endpoint and how to reach it.
#[derive(Serialize, ToSchema)]
pub struct Product {
    pub id: Uuid,
    #[serde(flatten)]
    #[schema(inline)]
    pub fields: ProductFields,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// What an owner sets.
#[derive(Serialize, ToSchema)]
pub struct ProductFields {
    /// The first path segment under which the product is called: `a-z`, `0-9` and `-`, unique, and
    /// not in the form of an id.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    pub name: String,
    /// How people call it. By default the name.
    #[schema(max_length = 200)]
    pub title: String,
    #[schema(max_length = 10_000)]
    pub description: String,
    /// The upstream URL. A product without one can only be a draft.
    #[schema(example = "https://api.example.com/v1")]
    pub gateway_endpoint: Option<String>,
    /// A draft is hidden and takes no new subscriptions; those it has go on.
    #[schema(value_type = words::ProductStatus, default = "draft")]
    pub status: catalog::ProductStatus,
    /// Host names under which the product is served without its name in the path.
    #[schema(max_items = 100)]
    pub hosts: Vec<String>,
    /// Costs and limits by method and path. What matches none costs 1.
    #[schema(value_type = Vec<Route>, max_items = 1_000)]
    pub routes: Vec<route::Route>,
    /// How the gateway reaches the upstream.
    #[schema(value_type = Upstream)]
    pub upstream: UpstreamSettings,
    /// Name of the query parameter that may carry the key. Null: the query is no place for keys.
    #[schema(min_length = 1, max_length = 64)]
    pub key_query_parameter: Option<String>,
    /// Largest request body in bytes; null leaves it to the gateway's own limit.
    pub body_bytes_max: Option<u64>,
    /// The owner's own notes.
    pub metadata: BTreeMap<String, Value>,
}

/// What a call costs.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes tollgate_common::route::Route")]
pub struct Route {
    /// Null is every method.
    #[schema(example = "GET")]
    method: Option<String>,
    /// Below the product, such as `/v1/orders/{id}` or `/files/{*path}`.
    #[schema(example = "/v1/orders/{id}")]
    path: String,
    /// Units that a call costs; with `units_header` what it is admitted on.
    #[schema(required = false, minimum = 0, maximum = 1_000_000, default = 1)]
    cost: u32,
    /// Response header in which the upstream states the true units.
    units_header: Option<String>,
    /// Largest request body in bytes on this route.
    body_bytes_max: Option<u64>,
}

/// How the gateway reaches a product's upstream.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes tollgate_common::catalog::product::UpstreamSettings")]
pub struct Upstream {
    /// `host:port` of each server behind the endpoint. Empty: what the endpoint's host resolves to.
    #[schema(required = false, max_items = 64)]
    addresses: Vec<String>,
    #[schema(required = false, default = "round_robin")]
    balance: words::Balance,
    #[schema(required = false, default = "auto")]
    protocol: words::UpstreamProtocol,
    #[schema(required = false, minimum = 1, maximum = 60_000, default = 5_000)]
    connect_timeout_ms: u64,
    /// From the last byte of the request to the first byte of the response.
    #[schema(required = false, minimum = 1, maximum = 3_600_000, default = 60_000)]
    response_timeout_ms: u64,
    /// The longest silence inside a body or a tunnel.
    #[schema(required = false, minimum = 1, maximum = 3_600_000, default = 60_000)]
    idle_timeout_ms: u64,
    /// How often a call without a body is sent again that the upstream has not looked at: a method that is
    /// safe to repeat where a connection that had served calls before ends without a byte of an answer,
    /// any method where the upstream says so itself (HTTP/2). To go to another address when one cannot be
    /// connected to is no retry.
    #[schema(required = false, minimum = 0, maximum = 5, default = 1)]
    retries: u8,
    health_check: Option<HealthCheck>,
    /// Send the caller's `Host` instead of the endpoint's.
    #[schema(required = false, default = false)]
    preserve_host: bool,
}

/// How the servers behind an endpoint are asked whether they are well.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes tollgate_common::catalog::product::HealthCheck")]
pub struct HealthCheck {
    /// Path that answers 2xx when the server is well. Null: a TCP connection is enough.
    path: Option<String>,
    #[schema(required = false, minimum = 100, maximum = 3_600_000, default = 5_000)]
    interval_ms: u64,
    /// Answers in a row that make a server well or ill.
    #[schema(required = false, minimum = 1, maximum = 100, default = 2)]
    threshold: u32,
}

pub fn view(product: &catalog::Product) -> Product {
    let catalog::Product { id, created_at, updated_at, .. } = *product;
    Product {
        id: id.0,
        fields: ProductFields {
            name: product.name.clone(),
            title: product.title.clone(),
            description: product.description.clone(),
            gateway_endpoint: product.gateway_endpoint.clone(),
            status: product.status,
            hosts: product.hosts.clone(),
            routes: product.routes.clone(),
            upstream: product.upstream.clone(),
            key_query_parameter: product.key_query_parameter.clone(),
            body_bytes_max: product.body_bytes_max,
            metadata: product.metadata.clone(),
        },
        created_at: created_at.to_string(),
        updated_at: updated_at.to_string(),
    }
}

/// A product by its id or its name.
pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id_or_name: &str,
) -> Result<catalog::Product, Problem> {
    if let Ok(id) = id_or_name.parse::<ProductId>()
        && let Some(product) = catalog.product(id).await?
    {
        return Ok(product);
    }
    let unknown = || Problem::not_found("product");
    // What can be no name is none, and need not be a text that the store can take.
    fields::parse_name(id_or_name).map_err(|_| unknown())?;
    catalog.product_named(id_or_name).await?.ok_or_else(unknown)
}
