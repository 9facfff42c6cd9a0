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
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;

use crate::change::Change;
use crate::control::Control;
use crate::problem::{Code, Problem};

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

pub fn routes() -> Router<Arc<Control>> {
    let product =
        get(products::get::get).put(products::update::update).delete(products::delete::delete);
    let feature = get(features::get::get).put(features::update::update);
    let plan = get(plans::get::get).put(plans::update::update);
    let routes = Router::new()
        .route("/billing/products", get(products::list::list).post(products::create::create))
        .route("/billing/products/{id}", product)
        .route("/billing/features", get(features::list::list).post(features::create::create))
        .route("/billing/features/{id}", feature)
        .route("/billing/plans", get(plans::list::list).post(plans::create::create))
        .route("/billing/plans/{id}", plan)
        .route("/organizations/{org_id}/billing/{billing_id}/check", post(entitlement::check))
        .fallback(async || Problem::new(Code::NotFound, "Not Found"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "Method Not Allowed")
        });
    Router::new().nest(PATH, routes)
}

/// Commits a change, then answers. The fields of an answer stand in the order of the message.
async fn commit(
    control: &Control,
    change: Change,
    answer: &impl Serialize,
) -> Result<Response, Problem> {
    change.commit().await?;
    control.metrics.changes.inc();
    Ok(Json(answer).into_response())
}
