//! The product API of Raystack Frontier, for clients that were written for it.
//!
//! Owns the forms, rules, defaults and errors of that API and says how they map to the catalog of
//! this house; a product made here is the same product as everywhere else. It changes nothing but
//! through the one door. `docs/frontier.md` says what is alike and what is our own.

pub mod door;
pub mod entitlement;
pub mod every;
pub mod features;
pub mod message;
pub mod plans;
pub mod products;
pub mod status;
pub mod violation;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;

use crate::change::Change;
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::router::line::{Line, lines, routed};

/// Everything of it stands below.
const PATH: &str = "/v1beta1";

/// Whether a path is one of this API, also where nothing stands.
pub fn has(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A 64-bit integer is written as a text.
fn int64<S: serde::Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

type Metadata = BTreeMap<String, Value>;

pub fn table() -> Vec<Line<Arc<Control>>> {
    lines! {
        GET    "/v1beta1/billing/products"      => products::list::list,
        POST   "/v1beta1/billing/products"      => products::create::create,
        GET    "/v1beta1/billing/products/{id}" => products::get::get,
        PUT    "/v1beta1/billing/products/{id}" => products::update::update,
        DELETE "/v1beta1/billing/products/{id}" => products::delete::delete,
        GET    "/v1beta1/billing/features"      => features::list::list,
        POST   "/v1beta1/billing/features"      => features::create::create,
        GET    "/v1beta1/billing/features/{id}" => features::get::get,
        PUT    "/v1beta1/billing/features/{id}" => features::update::update,
        GET    "/v1beta1/billing/plans"         => plans::list::list,
        POST   "/v1beta1/billing/plans"         => plans::create::create,
        GET    "/v1beta1/billing/plans/{id}"    => plans::get::get,
        PUT    "/v1beta1/billing/plans/{id}"    => plans::update::update,
        POST   "/v1beta1/organizations/{org_id}/billing/{billing_id}/check" => entitlement::check,
    }
}

pub fn routes() -> Router<Arc<Control>> {
    let routes = routed(table(), PATH)
        .fallback(async || Problem::new(Code::NotFound, "Not Found"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "Method Not Allowed")
        });
    Router::new().nest(PATH, routes)
}

/// Commits a change, then answers. The fields of an answer stand in the order of the message.
async fn commit(
    control: &Arc<Control>,
    change: Change,
    answer: &impl Serialize,
) -> Result<Response, Problem> {
    let stored_in = Arc::clone(control);
    change
        .commit_then(move || {
            stored_in.metrics.changes.inc();
        })
        .await?;
    Ok(Json(answer).into_response())
}
