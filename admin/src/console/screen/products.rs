//! The catalog: a card for each product, with its plans inside.

pub mod delete;
pub mod edit;

use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use jiff::ToSpan;
use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::subscriptions::row::if_there;
use super::{Answer, plans};
use crate::console::ask::{List, Sending, path, with_query};
use crate::console::chart::spark;
use crate::console::data::{Plan, Product, Summary};
use crate::console::form::Errors;
use crate::console::layout::Section;
use crate::console::part::{empty, more, opens, search};
use crate::console::text::number;
use crate::console::visitor::{Sent, Visitor};
use crate::problem::Problem;

pub const PATH: &str = Section::Apis.path();

/// A grid of cards that is still read at a glance, and answered within 50 ms.
const CARDS: &str = "16";

/// Days of the trend on a card.
const TREND_DAYS: i64 = 30;

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    text: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    after: String,
    /// The product whose plans are to be seen.
    #[serde(default)]
    open: String,
}

/// A product and what its card shows.
struct Card {
    product: Product,
    plans: Vec<Plan>,
    has_more_plans: bool,
    calls: i64,
    refused: i64,
    trend: Vec<i64>,
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let filter = [("text", asked.text.as_str()), ("status", &asked.status)];
    let question = [&filter[..], &[("after", asked.after.as_str()), ("limit", CARDS)]].concat();
    let mut products: List<Product> =
        visitor.get(&with_query(&path(&["products"]), &question)).await?;
    if let Some(opened) = opened_elsewhere(&visitor, &products.items, &asked.open).await? {
        products.items.insert(0, opened);
    }
    let mut cards = Vec::with_capacity(products.items.len());
    for product in products.items {
        cards.push(card(&visitor, product).await?);
    }
    let content = html! {
        div.head {
            h1 { "APIs" }
            a.button.primary href="/dashboard/admin/apis/new" data-dialog { "Add Product" }
        }
        (filters(&asked))
        @if cards.is_empty() {
            @if asked.text.is_empty() && asked.status.is_empty() {
                (empty("There is no product yet. Add one: it stays a draft until you activate it."))
            } @else {
                (empty("No product is like that."))
            }
        }
        div.grid { @for card in &cards { (shown(&visitor, card, &asked.open)) } }
        (more(PATH, &filter, products.next.as_deref()))
    };
    Ok(visitor.page(Section::Apis, "APIs", &content))
}

/// The product whose plans are to be seen, where it is on another page: whoever has just saved it sees
/// it first.
async fn opened_elsewhere(
    visitor: &Visitor,
    listed: &[Product],
    open: &str,
) -> Result<Option<Product>, Problem> {
    if open.is_empty() || listed.iter().any(|product| product.id == open) {
        return Ok(None);
    }
    let found: Option<Product> = if_there(visitor.get(&path(&["products", open])).await)?;
    Ok(found.filter(|product| product.id == open))
}

async fn card(visitor: &Visitor, product: Product) -> Result<Card, Problem> {
    let plans = path(&["products", &product.id, "plans"]);
    let plans: List<Plan> = visitor.get(&with_query(&plans, &[("limit", "100")])).await?;
    let today = visitor.today();
    let first = today.saturating_sub((TREND_DAYS - 1).days()).min(today.first_of_month());
    let question = [
        ("product_id", product.id.as_str()),
        ("group_by", "product"),
        ("window", "day"),
        ("from", &format!("{first}T00:00:00Z")),
        ("limit", "100"),
    ];
    let days: List<Summary> =
        visitor.get(&with_query(&path(&["usage", "summary"]), &question)).await?;
    let month = today.strftime("%Y-%m").to_string();
    let of_month = days.items.iter().filter(|day| day.window_start.starts_with(&month));
    let (calls, refused) = of_month.fold((0, 0), |(calls, refused), day| {
        (calls + day.calls + day.calls_unbilled, refused + day.refused)
    });
    let trend = (0..TREND_DAYS).rev().map(|ago| calls_on(&days.items, today, ago)).collect();
    let has_more_plans = plans.next.is_some();
    Ok(Card { product, plans: plans.items, has_more_plans, calls, refused, trend })
}

fn calls_on(days: &[Summary], today: Date, ago: i64) -> i64 {
    let day = today.saturating_sub(ago.days()).to_string();
    let on_day = days.iter().filter(|summary| summary.window_start.starts_with(&day));
    on_day.map(|summary| summary.calls + summary.calls_unbilled).sum()
}

fn filters(asked: &Question) -> Markup {
    let statuses = [("", "All"), ("active", "Active"), ("draft", "Draft")];
    html! {
        div.filters {
            (search(PATH, "Search products", "text", &asked.text))
            ul.tabs {
                @for (status, label) in statuses {
                    li {
                        a href=(with_query(PATH, &[("text", &asked.text), ("status", status)]))
                            aria-current=[(asked.status == status).then_some("true")] { (label) }
                    }
                }
            }
        }
    }
}

fn shown(visitor: &Visitor, card: &Card, open: &str) -> Markup {
    let Card { product, plans, .. } = card;
    let place = format!("{PATH}/{}", product.id);
    let is_active = product.status == "active";
    let trend = format!("Calls a day, the last {TREND_DAYS} days");
    html! {
        article.card #{ "product-" (product.id) } aria-labelledby={ "title-" (product.id) } {
            header {
                h2 #{ "title-" (product.id) } { (product.title) }
                (badge(is_active))
            }
            @if !product.description.is_empty() { p.description { (product.description) } }
            dl {
                dt { "Gateway endpoint" }
                dd {
                    @match &product.gateway_endpoint {
                        Some(endpoint) => code { (endpoint) },
                        None => span.quiet { "none yet" },
                    }
                }
                dt { "Called as" }
                dd { code { "/" (product.name) "/…" } }
                dt { "Calls this month" }
                dd { (number(card.calls)) (spark(&card.trend, &trend)) }
                dt { "Refused this month" }
                dd { (number(card.refused)) }
            }
            div.actions {
                form.inline method="post" action={ (place) "/status" } {
                    (visitor.proof_field())
                    input type="hidden" name="status" value=(if is_active { "draft" } else { "active" });
                    button.switch type="submit" role="switch" aria-checked=(if is_active { "true" } else { "false" })
                        aria-label={ "Active: " (product.title) } { span.knob {} }
                }
                (opens(&format!("{place}/edit"), "Edit", &format!("Edit {}", product.title)))
                (opens(&format!("{place}/delete"), "Delete", &format!("Delete {}", product.title)))
            }
            details open[open == product.id] {
                summary {
                    (plans.len()) @if card.has_more_plans { "+" }
                    @if plans.len() == 1 { " plan" } @else { " plans" }
                    span.hidden { " of " (product.title) }
                }
                (plans::table(&product.title, plans))
                (opens(&format!("{place}/plans/new"), "Add Plan", &format!("Add Plan to {}", product.title)))
            }
        }
    }
}

fn badge(is_active: bool) -> Markup {
    html! {
        @if is_active { span.badge.active { "Active" } } @else { span.badge.draft { "Draft" } }
    }
}

/// Where a product's card is seen with its plans.
pub fn place(product: &str) -> String {
    format!("{}#product-{product}", with_query(PATH, &[("open", product)]))
}

/// Activates a product, or makes it a draft again. What keeps it from being active can be mended in
/// the form that is shown then.
pub async fn status(Path(product): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let resource = path(&["products", &product]);
    let status = form.text("status");
    let sending = Sending { body: Some(json!({ "status": status })), ..Sending::default() };
    match visitor.send(Method::PATCH, &resource, sending).await {
        Ok(_) => Ok(Redirect::to(&place(&product)).into_response()),
        Err(problem) if problem.errors.is_empty() => Err(problem.into()),
        Err(problem) => edit::ask_with(&visitor, &product, status, &Errors::of(problem)).await,
    }
}
