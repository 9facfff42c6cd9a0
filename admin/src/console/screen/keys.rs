//! Keys: made, rotated with an overlap, revoked. The text of one is shown once.

pub mod new;
pub mod revoke;
pub mod rotate;

use std::cmp::Reverse;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use crate::console::ask::List;
use crate::console::data::Key;
use crate::console::layout::Section;
use crate::console::part::{self, Column, opens, secret};
use crate::console::text::{moment, moment_or};
use crate::console::visitor::Visitor;

/// Keys on a subscription's page: all that can be in force at once, and some of before.
const KEYS: usize = 25;

/// Where things are done with a key.
fn place(key: &Key) -> String {
    format!("/dashboard/admin/subscriptions/{}/keys/{}", key.subscription_id, key.id)
}

/// The keys that follow one, of all that there ever were: first those in force, and of each kind the
/// newest.
pub fn page(mut keys: Vec<Key>, after: &str, visitor: &Visitor) -> List<Key> {
    let now = visitor.now().to_string();
    let rank = |key: &Key| (is_in_force(key, &now), key.created_at.clone(), key.id.clone());
    keys.sort_by_cached_key(|key| Reverse(rank(key)));
    let shown_before = keys.iter().position(|key| key.id == after).map_or(0, |place| place + 1);
    let mut items = keys.split_off(shown_before);
    let has_more = items.len() > KEYS;
    items.truncate(KEYS);
    let next = items.last().filter(|_| has_more).map(|last| last.id.clone());
    List { items, next }
}

/// All moments are in UTC and of one length, so their order is that of their letters.
fn has_expired(key: &Key, now: &str) -> bool {
    key.expires_at.as_deref().is_some_and(|at| at <= now)
}

fn is_in_force(key: &Key, now: &str) -> bool {
    key.revoked_at.is_none() && !has_expired(key, now)
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
    html! {
        tr {
            th scope="row" { code { (key.prefix) "…" } }
            td { (moment(&key.created_at)) }
            td { (moment_or(key.last_used_at.as_deref(), "never")) }
            td {
                @match (&key.revoked_at, &key.expires_at) {
                    (Some(at), _) => { "revoked " (moment(at)) }
                    (None, Some(at)) if has_expired(key, now) => { "expired " (moment(at)) }
                    (None, at) => { (moment_or(at.as_deref(), "when it is revoked")) }
                }
            }
            td.actions {
                @if is_in_force(key, now) {
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
