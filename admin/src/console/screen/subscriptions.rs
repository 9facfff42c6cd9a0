//! A subscription: its keys, its quota, what it used and what it owes.

pub mod cancel;
pub mod explanation;
pub mod invoice;
pub mod plan;
pub mod row;

use axum::extract::{Path, Query};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Answer, consumers, keys};
use crate::console::ask::{List, path, segment, with_query};
use crate::console::data::{Consumer, Invoice, Key, Node, Subscription};
use crate::console::days::Days;
use crate::console::layout::Section;
use crate::console::part::{empty, in_force, more, opens};
use crate::console::text::moment;
use crate::console::visitor::Visitor;
use row::{Row, if_there};

#[derive(Deserialize)]
pub struct Question {
    /// The period of the invoice.
    #[serde(default)]
    period: String,
    /// The last key of the page of keys before.
    #[serde(default)]
    after: String,
    /// A change that was just made: the page says how far it has come.
    revision: Option<u64>,
}

/// Where a subscription is seen.
pub fn place(subscription: &str) -> String {
    // It may be what a URL said, and leads to where a header says.
    format!("/dashboard/admin/subscriptions/{}", segment(subscription))
}

pub async fn show(
    visitor: Visitor,
    Path(subscription): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let found: Subscription = visitor.get(&path(&["subscriptions", &subscription])).await?;
    let row = row::read(&visitor, &found).await?;
    let consumer: Option<Consumer> =
        if_there(visitor.get(&path(&["consumers", &found.consumer_id])).await)?;
    let keys_path = path(&["subscriptions", &found.id, "keys"]);
    let keys = keys::page(visitor.all(&keys_path).await?, &asked.after, &visitor);
    let invoice = path(&["subscriptions", &found.id, "invoice-preview"]);
    let invoice: Result<Invoice, _> =
        visitor.get(&with_query(&invoice, &[("period", &asked.period)])).await;
    let mut days = Days::of_month(visitor.today());
    days.add(&visitor, &found.id).await?;
    // A revocation is done when it is in force on each of them.
    let nodes: Option<Vec<Node>> = match asked.revision {
        Some(_) => Some(visitor.all(&path(&["nodes"])).await?),
        None => None,
    };
    let place = place(&found.id);
    let title = format!("{}: {}", row.product_title(), row.plan_name());
    let content = html! {
        @if let (Some(revision), Some(nodes)) = (asked.revision, &nodes) {
            (in_force(nodes, revision, &with_query(&place, &[("revision", &revision.to_string())])))
        }
        (head(&row, &title, &place))
        (facts(&row, consumer.as_ref()))
        (keys_shown(&visitor, &row, &keys, &place))
        section aria-labelledby="invoice" { (invoice::shown(&place, &invoice)) }
        section aria-labelledby="usage" {
            h2 #usage { "Billed calls this month, by day" }
            (days.shown("Billed calls"))
        }
    };
    Ok(visitor.page(Section::Consumers, &title, &content))
}

fn head(row: &Row, title: &str, place: &str) -> Markup {
    html! {
        div.head {
            h1 { (title) }
            @if row.subscription.is_live() {
                div.actions {
                    (opens(&format!("{place}/plan"), "Change plan", "Change plan"))
                    (opens(&format!("{place}/cancel"), "Cancel subscription", "Cancel subscription"))
                }
            }
        }
    }
}

fn facts(row: &Row, consumer: Option<&Consumer>) -> Markup {
    let subscription = &row.subscription;
    html! {
        dl {
            dt { "Consumer" }
            dd {
                @match consumer {
                    Some(consumer) => a href=(consumers::place(&consumer.id)) { (consumer.name) },
                    None => span.quiet { "deleted" },
                }
            }
            dt { "Status" }
            dd { (row::status(subscription)) }
            dt { "Since" }
            dd { (moment(&subscription.started_at)) }
            @if let Some(canceled_at) = &subscription.canceled_at {
                dt { "Canceled" }
                dd { (moment(canceled_at)) }
            }
            @if let Some(quota) = &row.quota {
                dt { "Used of the quota" }
                dd { (row::used(Some(quota))) }
                dt { "Starts anew" }
                dd { (moment(&quota.period_end)) }
            }
            dt { "Id" }
            dd { code { (subscription.id) } }
        }
    }
}

fn keys_shown(visitor: &Visitor, row: &Row, keys: &List<Key>, place: &str) -> Markup {
    let is_live = row.subscription.is_live();
    html! {
        section aria-labelledby="keys" {
            div.head {
                h2 #keys { "Keys" }
                @if is_live { (opens(&format!("{place}/keys/new"), "New key", "New key")) }
            }
            @if keys.items.is_empty() {
                (empty("No key."))
            } @else {
                (keys::table(visitor, &keys.items))
                (more(place, &[], keys.next.as_deref()))
            }
        }
    }
}
