//! The console: pages for owners, made on the server and served from the program alone.
//!
//! It is a client of the API in the same process: what a page shows it asks of `/api/v1`, and what a
//! form sends goes there, in the visitor's name. So a page can do nothing that its visitor may not, a
//! mistake is told in the API's words, and what is seen here is what any client sees. It must not
//! know the store, the ledger or a rule. Every dialog is also a page and every button a form, so all
//! of it works without scripts; `console.js` only makes it smoother.

mod ask;
mod asset;
mod chart;
mod data;
mod days;
mod door;
mod field;
mod form;
mod layout;
mod part;
mod screen;
pub mod stop;
mod text;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};
use tollgate_config::settings::OpenIdSettings;

use crate::access::throttle::Throttle;
use crate::control::Control;
use crate::openid::OpenId;
use screen::{
    audit, consumers, destinations, gateways, keys, plans, products, subscriptions, tokens, usage,
};

/// Nothing but the console's own files, and no script or style in a page itself.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// Marks an answer that is a page already, whatever its status.
#[derive(Clone, Copy, Debug)]
pub struct Shown;

/// What every page can reach.
pub struct Console {
    control: Arc<Control>,
    /// The table of URLs under `/api/v1`.
    api: Router,
    throttle: Throttle,
    /// Who vouches for people who have no token.
    openid: Option<OpenId>,
}

/// Whether a path is the console's.
pub fn has(path: &str) -> bool {
    path == "/" || path == "/dashboard" || path.starts_with("/dashboard/")
}

pub fn routes<S: Clone + Send + Sync + 'static>(control: Arc<Control>, api: Router) -> Router<S> {
    let openid = control.options.openid.clone().map(OpenId::new);
    let console = Arc::new(Console { control, api, throttle: Throttle::default(), openid });
    let home = || get(async || Redirect::to(products::PATH));
    let pages = Router::new()
        .route("/", home())
        .route("/dashboard", home())
        .route("/dashboard/admin", home())
        .route("/dashboard/assets/{file}", get(asset::asset))
        .route("/dashboard/sign-in", get(door::ask).post(door::sign_in))
        .route(door::openid::PATH, get(door::openid::leave))
        .route(OpenIdSettings::CALLBACK_PATH, get(door::openid::come_back))
        .route("/dashboard/sign-out", post(door::sign_out));
    let catalog = Router::new()
        .route("/apis", get(products::list))
        .route("/apis/new", get(products::edit::new).post(products::edit::create))
        .route("/apis/{product}/edit", get(products::edit::edit).post(products::edit::save))
        .route("/apis/{product}/status", post(products::status))
        .route("/apis/{product}/delete", get(products::delete::ask).post(products::delete::delete))
        .route("/apis/{product}/plans/new", get(plans::edit::new).post(plans::edit::create))
        .route("/plans/{plan}/edit", get(plans::edit::edit).post(plans::edit::save))
        .route("/plans/{plan}/delete", get(plans::delete::ask).post(plans::delete::delete));
    let owner = catalog.merge(callers()).merge(operations());
    pages.nest("/dashboard/admin", owner).with_state(console)
}

/// Who calls, and with what.
fn callers() -> Router<Arc<Console>> {
    let consumers = Router::new()
        .route("/", get(consumers::list))
        .route("/new", get(consumers::edit::new).post(consumers::edit::create))
        .route("/{consumer}", get(consumers::show))
        .route("/{consumer}/edit", get(consumers::edit::edit).post(consumers::edit::save))
        .route("/{consumer}/delete", get(consumers::delete::ask).post(consumers::delete::delete))
        .route(
            "/{consumer}/subscribe",
            get(consumers::subscribe::ask).post(consumers::subscribe::subscribe),
        );
    let subscriptions = Router::new()
        .route("/", get(subscriptions::show))
        .route("/plan", get(subscriptions::plan::ask).post(subscriptions::plan::change))
        .route("/cancel", get(subscriptions::cancel::ask).post(subscriptions::cancel::cancel))
        .route("/keys/new", get(keys::new::ask).post(keys::new::make))
        .route("/keys/{key}/rotate", get(keys::rotate::ask).post(keys::rotate::rotate))
        .route("/keys/{key}/revoke", get(keys::revoke::ask).post(keys::revoke::revoke));
    Router::new().nest("/consumers", consumers).nest("/subscriptions/{subscription}", subscriptions)
}

/// What was used and where it is sent, and who runs all of it.
fn operations() -> Router<Arc<Console>> {
    let destinations = Router::new()
        .route("/", get(destinations::list))
        .route("/new", get(destinations::edit::new).post(destinations::edit::create))
        .route("/{destination}", get(destinations::show))
        .route("/{destination}/edit", get(destinations::edit::edit).post(destinations::edit::save))
        .route("/{destination}/status", post(destinations::status))
        .route("/{destination}/replay", post(destinations::replay))
        .route(
            "/{destination}/delete",
            get(destinations::delete::ask).post(destinations::delete::delete),
        );
    Router::new()
        .route("/usage", get(usage::list))
        .route("/usage/call", get(usage::call::explain))
        .nest("/destinations", destinations)
        .route("/gateways", get(gateways::list))
        .route("/audit", get(audit::list))
        .route("/tokens", get(tokens::list))
        .route("/tokens/new", get(tokens::new::ask).post(tokens::new::make))
        .route("/tokens/{token}/delete", get(tokens::delete::ask).post(tokens::delete::delete))
}
