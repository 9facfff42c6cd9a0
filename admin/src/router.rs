//! The table of URLs: what can be asked, who may ask, and which file answers.

pub mod line;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use tollgate_common::internal::{
    HEARTBEAT_PATH, NODE_TOTALS_PATH, SNAPSHOT_PATH, USAGE_MARKS_PATH, USAGE_PATH,
    USAGE_TOTALS_PATH,
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::{Action, authenticate};
use crate::api::{
    audit, consumers, destinations, keys, nodes, plans, products, subscriptions, tokens, usage,
};
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::router::line::{Line, lines, routed};
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
        GET    "/api/v1/subscriptions/{id}/explanation" Read => subscriptions::explanation::explanation,
        GET    "/api/v1/subscriptions/{id}/keys"     Read => keys::list::list,
        POST   "/api/v1/subscriptions/{id}/keys"     ManageKeys => keys::create::create,
        GET    "/api/v1/keys/{id}"                   Read => keys::get::get,
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
        GET    "/api/v1/destinations/{id}/reconciliation" Read => destinations::reconciliation::list::list,
        POST   "/api/v1/destinations/{id}/reconciliation/repairs" ManageDestinations => destinations::reconciliation::repair::repair,
        GET    "/api/v1/nodes"                       Read => nodes::list::list,
        GET    "/api/v1/audit"                       ReadAccess => audit::list::list,
        GET    "/api/v1/audit/export"                ReadAccess => audit::export::export,
        GET    "/api/v1/tokens"                      ReadAccess => tokens::list::list,
        POST   "/api/v1/tokens"                      ManageTokens => tokens::create::create,
        GET    "/api/v1/tokens/{id}"                 ReadAccess => tokens::get::get,
        DELETE "/api/v1/tokens/{id}"                 ManageTokens => tokens::delete::delete,
    }
}

/// What gateways ask, with the node token.
fn internal_table() -> Vec<Line<Arc<Control>>> {
    lines! {
        GET  SNAPSHOT_PATH     => internal::snapshot::snapshot,
        POST USAGE_PATH        => internal::usage::usage,
        GET  NODE_TOTALS_PATH  => internal::node_totals::node_totals,
        GET  USAGE_MARKS_PATH  => internal::usage_marks::usage_marks,
        GET  USAGE_TOTALS_PATH => internal::usage_totals::usage_totals,
        POST HEARTBEAT_PATH    => internal::heartbeat::heartbeat,
    }
}

/// Who a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Api,
    Frontier,
    Console,
    Gateways,
    /// The API's description of itself.
    Description,
}

pub struct Url {
    pub part: Part,
    pub method: Method,
    pub path: &'static str,
}

/// Every URL that is answered, except the files of the page that shows the description.
pub fn urls() -> Vec<Url> {
    fn of<S>(part: Part, table: Vec<Line<S>>) -> impl Iterator<Item = Url> {
        table.into_iter().map(move |Line { method, path, .. }| Url { part, method, path })
    }
    let api = table().into_iter();
    let api = api.map(|Route { method, path, .. }| Url { part: Part::Api, method, path });
    api.chain(of(Part::Frontier, frontier::table()))
        .chain(of(Part::Console, console::table()))
        .chain(of(Part::Gateways, internal_table()))
        .chain(of(Part::Description, openapi::table::<()>()))
        .collect()
}

/// The table as a service, with the door before each of its handlers.
fn api(control: &Arc<Control>) -> Router<Arc<Control>> {
    let lines = table().into_iter().map(|Route { method, path, action, mut handler }| {
        if method == Method::POST {
            let control = Arc::clone(control);
            handler = handler.layer(from_fn_with_state(control, idempotency::answer_repeats));
        }
        let door = from_fn_with_state((Arc::clone(control), action), authenticate::require);
        Line::new(method, path, handler.layer(door))
    });
    routed(lines.collect(), "")
}

pub fn router(control: Arc<Control>) -> Router {
    let api = api(&control);
    let inside = api.clone().with_state(Arc::clone(&control));
    let node_door = from_fn_with_state(Arc::clone(&control), authenticate::require_node);
    let frame = from_fn_with_state(Arc::clone(&control), request::frame);
    Router::new()
        .merge(api)
        .merge(routed(internal_table(), "").layer(node_door))
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
