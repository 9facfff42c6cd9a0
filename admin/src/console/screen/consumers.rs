//! Consumers: who calls, and what each is subscribed to.

pub mod delete;
pub mod edit;
pub mod subscribe;

use axum::extract::{Path, Query};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Answer, subscriptions};
use crate::console::ask::{List, path, with_query};
use crate::console::data::{Consumer, Subscription};
use crate::console::days::Days;
use crate::console::layout::Section;
use crate::console::part::{Column, empty, more, opens, search, table};
use crate::console::text::moment;
use crate::console::visitor::Visitor;

pub const PATH: &str = Section::Consumers.path();

/// Subscriptions on a consumer's page.
const SUBSCRIPTIONS: &str = "25";

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    text: String,
    #[serde(default)]
    after: String,
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let filter = [("text", asked.text.as_str())];
    let question = [&filter[..], &[("after", asked.after.as_str())]].concat();
    let consumers: List<Consumer> =
        visitor.get(&with_query(&path(&["consumers"]), &question)).await?;
    let columns =
        [Column::Text("Name"), Column::Text("Email"), Column::Text("Since"), Column::Actions];
    let content = html! {
        div.head {
            h1 { "Consumers" }
            a.button.primary href={ (PATH) "/new" } data-dialog { "Add Consumer" }
        }
        div.filters { (search(PATH, "Search consumers", "text", &asked.text)) }
        @if consumers.items.is_empty() {
            @if asked.text.is_empty() {
                (empty("There is no consumer yet. Add one, subscribe it to a plan, and hand over its key."))
            } @else {
                (empty("No consumer is like that."))
            }
        } @else {
            (table("Consumers", &columns, &html! { @for consumer in &consumers.items { (row(consumer)) } }))
        }
        (more(PATH, &filter, consumers.next.as_deref()))
    };
    Ok(visitor.page(Section::Consumers, "Consumers", &content))
}

fn row(consumer: &Consumer) -> Markup {
    let place = place(&consumer.id);
    html! {
        tr {
            th scope="row" { a href=(place) { (consumer.name) } }
            td { (consumer.email.as_deref().unwrap_or_default()) }
            td { (moment(&consumer.created_at)) }
            td.actions { (opens(&format!("{place}/edit"), "Edit", &format!("Edit {}", consumer.name))) }
        }
    }
}

/// Where a consumer is seen.
pub fn place(consumer: &str) -> String {
    format!("{PATH}/{consumer}")
}

pub async fn show(
    visitor: Visitor,
    Path(consumer): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let consumer: Consumer = visitor.get(&path(&["consumers", &consumer])).await?;
    let question =
        [("consumer_id", consumer.id.as_str()), ("after", &asked.after), ("limit", SUBSCRIPTIONS)];
    let found: List<Subscription> =
        visitor.get(&with_query(&path(&["subscriptions"]), &question)).await?;
    let mut rows = Vec::with_capacity(found.items.len());
    let mut days = Days::of_month(visitor.today());
    for subscription in &found.items {
        rows.push(subscriptions::row::read(&visitor, subscription).await?);
        days.add(&visitor, &subscription.id).await?;
    }
    let place = place(&consumer.id);
    let content = html! {
        div.head {
            h1 { (consumer.name) }
            div.actions {
                (opens(&format!("{place}/edit"), "Edit", &format!("Edit {}", consumer.name)))
                (opens(&format!("{place}/delete"), "Delete", &format!("Delete {}", consumer.name)))
            }
        }
        dl {
            dt { "Email" }
            dd { (consumer.email.as_deref().unwrap_or("none")) }
            @for (destination, id) in &consumer.external_ids {
                dt { "Id at " (destination) }
                dd { code { (id) } }
            }
            dt { "Since" }
            dd { (moment(&consumer.created_at)) }
        }
        section aria-labelledby="subscriptions" {
            div.head {
                h2 #subscriptions { "Subscriptions" }
                a.button.primary href={ (place) "/subscribe" } data-dialog { "Subscribe" }
            }
            @if rows.is_empty() {
                (empty("No subscription yet. To subscribe makes the first key."))
            } @else {
                (subscriptions::row::table(&format!("Subscriptions of {}", consumer.name), &rows))
                (more(&place, &[], found.next.as_deref()))
            }
        }
        @if !rows.is_empty() {
            section aria-labelledby="usage" {
                h2 #usage { "Billed calls this month, by day" }
                (days.shown("Billed calls"))
            }
        }
    };
    Ok(visitor.page(Section::Consumers, &consumer.name, &content))
}
