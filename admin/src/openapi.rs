//! The API's description of itself, made from the calls themselves.

mod links;

use axum::http::Method;
use axum::{Json, Router};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{Array, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as OpenApiDocument, Ref, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::access::Role;
use crate::api::{
    audit, consumers, destinations, keys, nodes, plans, products, subscriptions, tokens, usage,
};
use crate::router::line::{Line, lines, routed};
use crate::router::{Route, table as table_of_urls};
use links::Links;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate",
        contact(name = "Tollgate", url = "https://github.com/tollgate/tollgate"),
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
        keys::list::list, keys::create::create, keys::get::get, keys::rotate::rotate,
        keys::delete::delete,
        usage::list::list, usage::summary::summary, usage::explain::explain,
        destinations::list::list, destinations::create::create, destinations::get::get,
        destinations::update::update, destinations::delete::delete,
        destinations::deliveries::deliveries, destinations::replay::replay,
        destinations::standing::standing,
        destinations::reconciliation::list::list, destinations::reconciliation::repair::repair,
        nodes::list::list, audit::list::list, audit::export::export,
        tokens::list::list, tokens::create::create, tokens::get::get, tokens::delete::delete,
    ),
    tags(
        (name = "products", description = "APIs that are sold"),
        (name = "plans", description = "What a product is sold for, and its limits"),
        (name = "consumers", description = "Whoever buys"),
        (name = "subscriptions", description = "Who buys what: its quota and its invoices"),
        (name = "keys", description = "What callers show the gateways"),
        (name = "usage", description = "What was called, and why a call was counted or refused"),
        (name = "destinations", description = "Billing systems that usage is sent to"),
        (name = "nodes", description = "Gateways, and how they do"),
        (name = "audit", description = "Who changed what"),
        (name = "tokens", description = "What callers of this API show it"),
    ),
    servers((url = "/", description = "This control plane")),
    security(("token" = [])),
    modifiers(&Bearer, &Lists, &Operations, &Links),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut OpenApiDocument) {
        let components = description.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// A list refers to what it lists, and does not describe it once more.
struct Lists;

impl Modify for Lists {
    fn modify(&self, description: &mut OpenApiDocument) {
        let components = description.components.get_or_insert_default();
        for (name, schema) in &mut components.schemas {
            let Some(item) = name.strip_prefix("List_") else { continue };
            if let RefOr::T(Schema::Object(list)) = schema {
                let items = Array::new(Ref::from_schema_name(item));
                list.properties.insert("items".to_owned(), RefOr::T(Schema::Array(items)));
            }
        }
    }
}

/// What every operation has to say and the table of URLs or the status says already: which roles it is for,
/// and what an answer means.
struct Operations;

impl Modify for Operations {
    fn modify(&self, description: &mut OpenApiDocument) {
        for Route { method, path, action, .. } in table_of_urls() {
            let item = description.paths.paths.get_mut(path);
            let operation = item.and_then(|item| operation_mut(item, &method));
            let operation = operation.expect("every line of the table is described");
            let roles = Role::ALL.into_iter().filter(|role| role.may(action)).map(Role::word);
            let roles = format!("Roles: {}.", roles.collect::<Vec<_>>().join(", "));
            operation.description = Some(match operation.description.take() {
                Some(said) => format!("{said}\n\n{roles}"),
                None => roles,
            });
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    meaning(status).clone_into(&mut response.description);
                }
            }
        }
    }
}

fn operation_mut<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

fn meaning(status: &str) -> &'static str {
    match status {
        "201" => "It is made.",
        "204" => "It is done, and there is no more to say.",
        "4XX" => "Nothing was done; code and detail say why.",
        _ => "It is done.",
    }
}

pub fn description() -> OpenApiDocument {
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
