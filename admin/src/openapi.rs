//! The API's description of itself, made from the calls themselves.

use axum::{Json, Router};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::api::{
    audit, consumers, destinations, keys, nodes, plans, products, subscriptions, tokens, usage,
};
use crate::router::line::{Line, lines, routed};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate",
        description = "Products, plans, consumers, subscriptions and keys. Errors are \
            application/problem+json with a code; invalid input names every bad field in errors. \
            A POST with an Idempotency-Key can be repeated for a day: the repeat gets the first \
            answer with Idempotency-Replayed: true; a secret in it is repeated for ten minutes and \
            null after that. Only answers to requests that were done are kept.",
    ),
    paths(
        products::list::list, products::create::create, products::get::get,
        products::update::update, products::delete::delete,
        plans::list::list, plans::create::create, plans::get::get, plans::update::update,
        plans::delete::delete,
        consumers::list::list, consumers::create::create, consumers::get::get,
        consumers::update::update, consumers::delete::delete,
        subscriptions::list::list, subscriptions::create::create, subscriptions::get::get,
        subscriptions::update::update, subscriptions::cancel::cancel,
        subscriptions::invoice_preview::preview, subscriptions::quota::quota,
        subscriptions::explanation::explanation,
        keys::list::list, keys::create::create, keys::rotate::rotate, keys::delete::delete,
        usage::list::list, usage::summary::summary, usage::explain::explain,
        destinations::list::list, destinations::create::create, destinations::get::get,
        destinations::update::update, destinations::delete::delete,
        destinations::deliveries::deliveries, destinations::replay::replay,
        destinations::standing::standing,
        destinations::reconciliation::list::list, destinations::reconciliation::repair::repair,
        nodes::list::list, audit::list::list, audit::export::export,
        tokens::list::list, tokens::create::create, tokens::delete::delete,
    ),
    security(("token" = [])),
    modifiers(&Bearer),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

const PATH: &str = "/api/v1/openapi.json";

pub fn table<S: Clone + Send + Sync + 'static>() -> Vec<Line<S>> {
    lines! {
        GET PATH => async || Json(description()),
    }
}

/// The description and a page to read it. Neither says anything about this installation, so both
/// are open. The page's scripts and styles are part of the program.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = SwaggerUi::new("/api/docs")
        .config(utoipa_swagger_ui::Config::from(PATH).validator_url("none"));
    routed(table(), "").merge(page)
}
