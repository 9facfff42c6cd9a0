//! Where the ledger and a billing system differ, why, and what can be done about it.

use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::place;
use crate::console::ask::{Sending, path, with_query};
use crate::console::data::{Destination, Difference, Reconciliation};
use crate::console::layout::Section;
use crate::console::part::{Column, does, more, table};
use crate::console::screen::{Answer, subscriptions};
use crate::console::text::{moment, number, number_or};
use crate::console::visitor::{Sent, Visitor};

#[derive(Deserialize)]
pub struct Question {
    /// Whether the billing system is asked what it has.
    #[serde(default)]
    ask: String,
    #[serde(default)]
    after: String,
}

pub async fn list(
    visitor: Visitor,
    Path(destination): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let destination: Destination = visitor.get(&path(&["destinations", &destination])).await?;
    let differences = path(&["destinations", &destination.id, "reconciliation"]);
    let filter = [("ask", asked.ask.as_str())];
    let question = [&filter[..], &[("after", asked.after.as_str())]].concat();
    let found: Reconciliation = visitor.get(&with_query(&differences, &question)).await?;
    let here = format!("{}/reconciliation", place(&destination.id));
    let content = html! {
        div.head {
            h1 { "Reconciliation with " (destination.name) }
            a.button href=(with_query(&here, &[("ask", "true")])) { "Ask " (destination.name) " what it has" }
        }
        p role="status" {
            (number(found.windows)) " windows were looked at"
            @if found.subscriptions_left > 0 {
                "; " (number(found.subscriptions_left)) " subscriptions are on later pages"
            }
            "."
        }
        @if found.items.is_empty() {
            p.empty { "No difference here." }
        } @else {
            (shown(&visitor, &here, &found.items))
        }
        (more(&here, &filter, found.next.as_deref()))
        p { a href=(place(&destination.id)) { "Back to " (destination.name) } }
    };
    let title = format!("Reconciliation with {}", destination.name);
    Ok(visitor.page(Section::Destinations, &title, &content))
}

fn shown(visitor: &Visitor, here: &str, differences: &[Difference]) -> Markup {
    let columns = [
        Column::Text("Window"),
        Column::Text("Subscription"),
        Column::Text("Cause"),
        Column::Number("Difference"),
        Column::Number("Ledger"),
        Column::Number("Acknowledged"),
        Column::Number("Shown there"),
        Column::Actions,
    ];
    table(
        "Differences",
        &columns,
        &html! {
            @for difference in differences { (row(visitor, here, difference)) }
        },
    )
}

fn row(visitor: &Visitor, here: &str, difference: &Difference) -> Markup {
    html! {
        tr {
            th scope="row" { (moment(&difference.window_start)) }
            td {
                a href=(subscriptions::place(&difference.subscription_id)) {
                    code { (difference.subscription_id) }
                }
            }
            td {
                (difference.cause.replace('_', " "))
                @if let Some(reason) = &difference.reason { p.quiet { (reason) } }
            }
            td.number { (number(difference.quantity)) " " (difference.meter.replace('_', " ")) }
            td.number { (number(difference.ledger)) }
            td.number { (number(difference.acknowledged)) }
            td.number { (number_or(difference.read_back, "not known")) }
            td.actions {
                @for repair in &difference.repairs { (repair_button(visitor, here, difference, repair)) }
            }
        }
    }
}

fn repair_button(visitor: &Visitor, here: &str, difference: &Difference, repair: &str) -> Markup {
    let text = match repair {
        "resend" => "Send again",
        "void" => "Give up",
        "compensate" => "Compensate",
        "accept" => "Accept",
        other => other,
    };
    let label = format!("{text}: the window of {}", difference.window_start);
    let quantity = difference.quantity.to_string();
    let fields = [
        ("subscription_id", difference.subscription_id.as_str()),
        ("plan_id", &difference.plan_id),
        ("meter", &difference.meter),
        ("window_start", &difference.window_start),
        ("cause", &difference.cause),
        ("quantity", &quantity),
        ("repair", repair),
    ];
    does(visitor, here, text, &label, &fields)
}

/// Orders a repair of a difference as it was shown: if it is another one by now, nothing is done.
pub async fn repair(Path(destination): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let body = json!({
        "subscription_id": form.text("subscription_id"),
        "plan_id": form.text("plan_id"),
        "meter": form.text("meter"),
        "window_start": form.text("window_start"),
        "cause": form.text("cause"),
        "quantity": form.json_number("quantity"),
        "repair": form.text("repair"),
    });
    let sending = Sending { body: Some(body), ..Sending::default() };
    let repairs = path(&["destinations", &destination, "reconciliation", "repairs"]);
    visitor.send(Method::POST, &repairs, sending).await?;
    Ok(Redirect::to(&format!("{}/reconciliation", place(&destination))).into_response())
}
