//! Keys: made, rotated with an overlap, revoked. The text of one is shown once.

pub mod new;
pub mod revoke;
pub mod rotate;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use crate::console::data::Key;
use crate::console::layout::Section;
use crate::console::part::{self, Column, opens, secret};
use crate::console::text::{moment, moment_or};
use crate::console::visitor::Visitor;

/// Where things are done with a key.
fn place(key: &Key) -> String {
    format!("/dashboard/admin/subscriptions/{}/keys/{}", key.subscription_id, key.id)
}

pub fn table(visitor: &Visitor, keys: &[Key]) -> Markup {
    let columns = [
        Column::Text("Key"),
        Column::Text("Made"),
        Column::Text("Last used"),
        Column::Text("Ends"),
        Column::Actions,
    ];
    let now = visitor.now().to_string();
    part::table("Keys", &columns, &html! { @for key in keys { (row(key, &now)) } })
}

fn row(key: &Key, now: &str) -> Markup {
    let place = place(key);
    // All moments are in UTC and of one length, so their order is that of their letters.
    let has_expired = key.expires_at.as_deref().is_some_and(|at| at <= now);
    html! {
        tr {
            th scope="row" { code { (key.prefix) "…" } }
            td { (moment(&key.created_at)) }
            td { (moment_or(key.last_used_at.as_deref(), "never")) }
            td {
                @match (&key.revoked_at, &key.expires_at) {
                    (Some(at), _) => { "revoked " (moment(at)) }
                    (None, Some(at)) if has_expired => { "expired " (moment(at)) }
                    (None, at) => { (moment_or(at.as_deref(), "when it is revoked")) }
                }
            }
            td.actions {
                @if key.revoked_at.is_none() && !has_expired {
                    (opens(&format!("{place}/rotate"), "Rotate", &format!("Rotate {}", key.prefix)))
                    (opens(&format!("{place}/revoke"), "Revoke", &format!("Revoke {}", key.prefix)))
                }
            }
        }
    }
}

/// A new key. This page has no address of its own: whoever comes back finds the key's beginning.
pub fn shown_once(
    visitor: &Visitor,
    made: &Value,
    told: &str,
    more: &Markup,
    next: &str,
) -> Response {
    let content = html! {
        p { (told) }
        (secret("Key", made["api_key"].as_str()))
        (more)
        div.buttons { a.button.primary href=(next) data-done { "Done" } }
    };
    visitor.sheet_with(StatusCode::CREATED, Section::Consumers, "New key", &content)
}
