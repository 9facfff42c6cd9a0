//! The table of URLs: what can be asked, who may ask, and which file answers.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use tollgate_common::internal::{
    HEARTBEAT_PATH, NODE_TOTALS_PATH, SNAPSHOT_PATH, USAGE_PATH, USAGE_TOTALS_PATH,
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::{Action, authenticate};
use crate::api::{
    audit, consumers, destinations, keys, nodes, plans, products, subscriptions, tokens, usage,
};
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::{console, frontier, idempotency, internal, openapi, request};

/// A line of the table.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub action: Action,
    handler: MethodRouter<Arc<Control>>,
}

macro_rules! table {
    ($($method:ident $path:literal $action:ident => $handler:path,)*) => {
        vec![$(Route {
            method: Method::$method,
            path: $path,
            action: Action::$action,
            handler: on(MethodFilter::$method, $handler),
        }),*]
    };
}

/// Everything under `/api/v1`.
pub fn table() -> Vec<Route> {
    table! {
        GET    "/api/v1/products"                    Read => products::list::list,
        POST   "/api/v1/products"                    EditCatalog => products::create::create,
        GET    "/api/v1/products/{product}"          Read => products::get::get,
        PATCH  "/api/v1/products/{product}"          EditCatalog => products::update::update,
        DELETE "/api/v1/products/{product}"          EditCatalog => products::delete::delete,
        GET    "/api/v1/products/{product}/plans"    Read => plans::list::list,
        POST   "/api/v1/products/{product}/plans"    EditCatalog => plans::create::create,
        GET    "/api/v1/plans/{id}"                  Read => plans::get::get,
        PATCH  "/api/v1/plans/{id}"                  EditCatalog => plans::update::update,
        DELETE "/api/v1/plans/{id}"                  EditCatalog => plans::delete::delete,
        GET    "/api/v1/consumers"                   Read => consumers::list::list,
        POST   "/api/v1/consumers"                   EditCatalog => consumers::create::create,
        GET    "/api/v1/consumers/{id}"              Read => consumers::get::get,
        PATCH  "/api/v1/consumers/{id}"              EditCatalog => consumers::update::update,
        DELETE "/api/v1/consumers/{id}"              EditCatalog => consumers::delete::delete,
        GET    "/api/v1/subscriptions"               Read => subscriptions::list::list,
        POST   "/api/v1/subscriptions"               ManageKeys => subscriptions::create::create,
        GET    "/api/v1/subscriptions/{id}"          Read => subscriptions::get::get,
        PATCH  "/api/v1/subscriptions/{id}"          EditSubscriptions => subscriptions::update::update,
        POST   "/api/v1/subscriptions/{id}/cancel"   EditSubscriptions => subscriptions::cancel::cancel,
        GET    "/api/v1/subscriptions/{id}/invoice-preview" Read => subscriptions::invoice_preview::preview,
        GET    "/api/v1/subscriptions/{id}/quota"    Read => subscriptions::quota::quota,
        GET    "/api/v1/subscriptions/{id}/keys"     Read => keys::list::list,
        POST   "/api/v1/subscriptions/{id}/keys"     ManageKeys => keys::create::create,
        POST   "/api/v1/keys/{id}/rotate"            ManageKeys => keys::rotate::rotate,
        DELETE "/api/v1/keys/{id}"                   ManageKeys => keys::delete::delete,
        GET    "/api/v1/usage"                       Read => usage::list::list,
        GET    "/api/v1/usage/summary"               Read => usage::summary::summary,
        GET    "/api/v1/usage/requests/{request_id}" Read => usage::explain::explain,
        GET    "/api/v1/destinations"                Read => destinations::list::list,
        POST   "/api/v1/destinations"                ManageDestinations => destinations::create::create,
        GET    "/api/v1/destinations/{id}"           Read => destinations::get::get,
        PATCH  "/api/v1/destinations/{id}"           ManageDestinations => destinations::update::update,
        DELETE "/api/v1/destinations/{id}"           ManageDestinations => destinations::delete::delete,
        GET    "/api/v1/destinations/{id}/deliveries" Read => destinations::deliveries::deliveries,
        GET    "/api/v1/destinations/{id}/standing"  Read => destinations::standing::standing,
        POST   "/api/v1/destinations/{id}/replay"    ManageDestinations => destinations::replay::replay,
        GET    "/api/v1/nodes"                       Read => nodes::list::list,
        GET    "/api/v1/audit"                       ReadAccess => audit::list::list,
        GET    "/api/v1/audit/export"                ReadAccess => audit::export::export,
        GET    "/api/v1/tokens"                      ReadAccess => tokens::list::list,
        POST   "/api/v1/tokens"                      ManageTokens => tokens::create::create,
        DELETE "/api/v1/tokens/{id}"                 ManageTokens => tokens::delete::delete,
    }
}

/// What gateways ask, with the node token.
fn internal_routes() -> Router<Arc<Control>> {
    Router::new()
        .route(SNAPSHOT_PATH, on(MethodFilter::GET, internal::snapshot::snapshot))
        .route(USAGE_PATH, on(MethodFilter::POST, internal::usage::usage))
        .route(NODE_TOTALS_PATH, on(MethodFilter::GET, internal::node_totals::node_totals))
        .route(USAGE_TOTALS_PATH, on(MethodFilter::GET, internal::usage_totals::usage_totals))
        .route(HEARTBEAT_PATH, on(MethodFilter::POST, internal::heartbeat::heartbeat))
}

/// The table as a service, with the door before each of its handlers.
fn api(control: &Arc<Control>) -> Router<Arc<Control>> {
    let mut api = Router::new();
    for Route { method, path, action, handler } in table() {
        let mut handler = handler;
        if method == Method::POST {
            let control = Arc::clone(control);
            handler = handler.layer(from_fn_with_state(control, idempotency::answer_repeats));
        }
        let door = from_fn_with_state((Arc::clone(control), action), authenticate::require);
        api = api.route(path, handler.layer(door));
    }
    api
}

pub fn router(control: Arc<Control>) -> Router {
    let api = api(&control);
    let inside = api.clone().with_state(Arc::clone(&control));
    let node_door = from_fn_with_state(Arc::clone(&control), authenticate::require_node);
    let frame = from_fn_with_state(Arc::clone(&control), request::frame);
    Router::new()
        .merge(api)
        .merge(internal_routes().layer(node_door))
        .merge(frontier::routes())
        .merge(openapi::routes())
        .merge(console::routes(Arc::clone(&control), inside))
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "see the Allow field")
        })
        .layer(CatchPanicLayer::custom(request::panicked))
        .layer(frame)
        .with_state(control)
}
