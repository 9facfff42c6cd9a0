//! Subscribing a consumer: first the product is found, then a plan of it is chosen. The answer shows
//! the first key, once.

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::place;
use crate::console::ask::{List, path, with_query};
use crate::console::data::{Consumer, Plan, Product, id};
use crate::console::field::{Choice, Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::part::{empty, search};
use crate::console::screen::{Answer, keys, plans, subscriptions};
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};
use crate::problem::Problem;

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    text: String,
    #[serde(default)]
    product: String,
}

pub async fn ask(
    visitor: Visitor,
    Path(consumer): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let consumer: Consumer = visitor.get(&path(&["consumers", &consumer])).await?;
    if asked.product.is_empty() {
        return find_product(&visitor, &consumer, &asked.text).await;
    }
    let mut form = Form::default();
    form.push("product", asked.product);
    form.push("once", visitor.once());
    Ok(ask_plan(&visitor, StatusCode::OK, &consumer, &form, &Errors::default()).await?)
}

async fn find_product(visitor: &Visitor, consumer: &Consumer, text: &str) -> Answer {
    let question = [("text", text), ("limit", "20")];
    let products: List<Product> = visitor.get(&with_query(&path(&["products"]), &question)).await?;
    let here = format!("{}/subscribe", place(&consumer.id));
    let content = html! {
        p { "To which product?" }
        (search(&here, "Search products", "text", text))
        @if products.items.is_empty() { (empty("No product is like that.")) }
        ul.choices {
            @for product in &products.items {
                li {
                    a href=(with_query(&here, &[("product", &product.id)])) data-dialog { (product.title) }
                    @if product.status != "active" { " " span.badge.draft { "Draft" } }
                }
            }
        }
        @if products.next.is_some() { p.quiet { "There are more: search for yours." } }
        div.buttons { a.button href=(place(&consumer.id)) data-close { "Cancel" } }
    };
    Ok(visitor.sheet(Section::Consumers, &title(consumer), &content))
}

fn title(consumer: &Consumer) -> String {
    format!("Subscribe {}", consumer.name)
}

async fn ask_plan(
    visitor: &Visitor,
    status: StatusCode,
    consumer: &Consumer,
    form: &Form,
    errors: &Errors,
) -> Result<Response, Problem> {
    let product: Product = visitor.get(&path(&["products", form.text("product")])).await?;
    let offered = path(&["products", &product.id, "plans"]);
    let offered: List<Plan> = visitor.get(&with_query(&offered, &[("limit", "100")])).await?;
    let back = place(&consumer.id);
    let action = format!("{back}/subscribe");
    let target = Target { action: &action, submit: "Subscribe", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &["plan_id"], &inputs(&sheet, &product, &offered.items));
    Ok(visitor.sheet_with(status, Section::Consumers, &title(consumer), &content))
}

fn inputs(sheet: &Sheet<'_>, product: &Product, offered: &[Plan]) -> Markup {
    let hints: Vec<String> = offered.iter().map(plans::limits).collect();
    let choices: Vec<Choice<'_>> =
        offered.iter().zip(&hints).map(|(plan, hint)| plans::choice(plan, hint)).collect();
    html! {
        input type="hidden" name="product" value=(product.id);
        p { strong { (product.title) } }
        @if product.status != "active" {
            (empty("It is a draft: nobody can subscribe to it until it is active."))
        } @else if choices.is_empty() {
            (empty("This product has no plan yet, so nobody can subscribe."))
        } @else {
            (sheet.radios("plan_id", "Plan", &choices))
        }
    }
}

pub async fn subscribe(Path(consumer): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let consumer: Consumer = visitor.get(&path(&["consumers", &consumer])).await?;
    let plan = form.text("plan_id").into();
    let fields = object([("consumer_id", consumer.id.as_str().into()), ("plan_id", plan)]);
    match visitor.make(&path(&["subscriptions"]), fields, &mut form).await {
        Ok(made) => {
            let next = subscriptions::place(id(&made));
            let told = format!("{} is subscribed. This is its key:", consumer.name);
            Ok(keys::shown_once(&visitor, &made, &told, &html! {}, &next))
        }
        Err(Refused { status, errors }) => {
            Ok(ask_plan(&visitor, status, &consumer, &form, &errors).await?)
        }
    }
}
