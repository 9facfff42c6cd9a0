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
mod submit;
mod text;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use tollgate_config::settings::OpenIdSettings;

use crate::control::Control;
use crate::openid::OpenId;
use crate::router::line::{Line, lines, routed};
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
    /// Who vouches for people who have no token.
    openid: Option<OpenId>,
}

/// Whether a path is the console's.
pub fn has(path: &str) -> bool {
    path == "/" || path == "/dashboard" || path.starts_with("/dashboard/")
}

/// Every page and every form.
pub fn table() -> Vec<Line<Arc<Console>>> {
    [entrance(), catalog(), callers(), operations()].into_iter().flatten().collect()
}

pub fn routes<S: Clone + Send + Sync + 'static>(control: Arc<Control>, api: Router) -> Router<S> {
    let openid = control.options.openid.clone();
    let openid = openid.map(|options| OpenId::new(options, Arc::clone(&control.clock)));
    let console = Arc::new(Console { control, api, openid });
    routed(table(), "").with_state(console)
}

async fn home() -> Redirect {
    Redirect::to(products::PATH)
}

/// Where everybody comes in, and may.
fn entrance() -> Vec<Line<Arc<Console>>> {
    lines! {
        GET  "/" => home,
        GET  "/dashboard" => home,
        GET  "/dashboard/admin" => home,
        GET  "/dashboard/assets/{file}" => asset::asset,
        GET  "/dashboard/sign-in" => door::ask,
        POST "/dashboard/sign-in" => door::sign_in,
        GET  door::openid::PATH => door::openid::leave,
        GET  OpenIdSettings::CALLBACK_PATH => door::openid::come_back,
        POST layout::SIGN_OUT => door::sign_out,
    }
}

/// What is offered.
fn catalog() -> Vec<Line<Arc<Console>>> {
    lines! {
        GET  "/dashboard/admin/apis" => products::list,
        GET  "/dashboard/admin/apis/new" => products::edit::new,
        POST "/dashboard/admin/apis/new" => products::edit::create,
        GET  "/dashboard/admin/apis/{product}/edit" => products::edit::edit,
        POST "/dashboard/admin/apis/{product}/edit" => products::edit::save,
        POST "/dashboard/admin/apis/{product}/status" => products::status,
        GET  "/dashboard/admin/apis/{product}/delete" => products::delete::ask,
        POST "/dashboard/admin/apis/{product}/delete" => products::delete::delete,
        GET  "/dashboard/admin/apis/{product}/plans/new" => plans::edit::new,
        POST "/dashboard/admin/apis/{product}/plans/new" => plans::edit::create,
        GET  "/dashboard/admin/plans/{plan}/edit" => plans::edit::edit,
        POST "/dashboard/admin/plans/{plan}/edit" => plans::edit::save,
        GET  "/dashboard/admin/plans/{plan}/delete" => plans::delete::ask,
        POST "/dashboard/admin/plans/{plan}/delete" => plans::delete::delete,
    }
}

/// Who calls, and with what.
fn callers() -> Vec<Line<Arc<Console>>> {
    lines! {
        GET  "/dashboard/admin/consumers" => consumers::list,
        GET  "/dashboard/admin/consumers/new" => consumers::edit::new,
        POST "/dashboard/admin/consumers/new" => consumers::edit::create,
        GET  "/dashboard/admin/consumers/{consumer}" => consumers::show,
        GET  "/dashboard/admin/consumers/{consumer}/edit" => consumers::edit::edit,
        POST "/dashboard/admin/consumers/{consumer}/edit" => consumers::edit::save,
        GET  "/dashboard/admin/consumers/{consumer}/delete" => consumers::delete::ask,
        POST "/dashboard/admin/consumers/{consumer}/delete" => consumers::delete::delete,
        GET  "/dashboard/admin/consumers/{consumer}/subscribe" => consumers::subscribe::ask,
        POST "/dashboard/admin/consumers/{consumer}/subscribe" => consumers::subscribe::subscribe,
        GET  "/dashboard/admin/subscriptions/{subscription}" => subscriptions::show,
        GET  "/dashboard/admin/subscriptions/{subscription}/plan" => subscriptions::plan::ask,
        POST "/dashboard/admin/subscriptions/{subscription}/plan" => subscriptions::plan::change,
        GET  "/dashboard/admin/subscriptions/{subscription}/explanation" => subscriptions::explanation::show,
        GET  "/dashboard/admin/subscriptions/{subscription}/cancel" => subscriptions::cancel::ask,
        POST "/dashboard/admin/subscriptions/{subscription}/cancel" => subscriptions::cancel::cancel,
        GET  "/dashboard/admin/subscriptions/{subscription}/keys/new" => keys::new::ask,
        POST "/dashboard/admin/subscriptions/{subscription}/keys/new" => keys::new::make,
        GET  "/dashboard/admin/subscriptions/{subscription}/keys/{key}/rotate" => keys::rotate::ask,
        POST "/dashboard/admin/subscriptions/{subscription}/keys/{key}/rotate" => keys::rotate::rotate,
        GET  "/dashboard/admin/subscriptions/{subscription}/keys/{key}/revoke" => keys::revoke::ask,
        POST "/dashboard/admin/subscriptions/{subscription}/keys/{key}/revoke" => keys::revoke::revoke,
    }
}

/// What was used and where it is sent, and who runs all of it.
fn operations() -> Vec<Line<Arc<Console>>> {
    lines! {
        GET  "/dashboard/admin/usage" => usage::list,
        GET  "/dashboard/admin/usage/call" => usage::call::explain,
        GET  "/dashboard/admin/destinations" => destinations::list,
        GET  "/dashboard/admin/destinations/new" => destinations::edit::new,
        POST "/dashboard/admin/destinations/new" => destinations::edit::create,
        GET  "/dashboard/admin/destinations/{destination}" => destinations::show,
        GET  "/dashboard/admin/destinations/{destination}/edit" => destinations::edit::edit,
        POST "/dashboard/admin/destinations/{destination}/edit" => destinations::edit::save,
        POST "/dashboard/admin/destinations/{destination}/status" => destinations::status,
        POST "/dashboard/admin/destinations/{destination}/replay" => destinations::replay,
        GET  "/dashboard/admin/destinations/{destination}/reconciliation" => destinations::reconciliation::list,
        POST "/dashboard/admin/destinations/{destination}/reconciliation" => destinations::reconciliation::repair,
        GET  "/dashboard/admin/destinations/{destination}/delete" => destinations::delete::ask,
        POST "/dashboard/admin/destinations/{destination}/delete" => destinations::delete::delete,
        GET  "/dashboard/admin/gateways" => gateways::list,
        GET  "/dashboard/admin/audit" => audit::list,
        GET  "/dashboard/admin/tokens" => tokens::list,
        GET  "/dashboard/admin/tokens/new" => tokens::new::ask,
        POST "/dashboard/admin/tokens/new" => tokens::new::make,
        GET  "/dashboard/admin/tokens/{token}/delete" => tokens::delete::ask,
        POST "/dashboard/admin/tokens/{token}/delete" => tokens::delete::delete,
    }
}
