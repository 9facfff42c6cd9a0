//! Billing systems: how far each is behind, what did not reach it, and what to do about that.

pub mod delete;
pub mod edit;
pub mod reconciliation;

use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::Answer;
use crate::console::ask::{List, Sending, path, with_query};
use crate::console::data::{Delivery, Destination, Standing};
use crate::console::layout::Section;
use crate::console::part::{Column, does, empty, more, opens, table};
use crate::console::text::{moment, moment_or, number};
use crate::console::visitor::{Sent, Visitor};

pub const PATH: &str = Section::Destinations.path();

const STATES: [(&str, &str); 7] = [
    ("", "All"),
    ("quarantined", "Dead letters"),
    ("frozen", "To be sent"),
    ("ambiguous", "In doubt"),
    ("acknowledged", "Acknowledged"),
    ("settled", "Settled"),
    ("voided", "Given up"),
];

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

/// Where a destination is seen.
pub fn place(destination: &str) -> String {
    format!("{PATH}/{destination}")
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let found: List<Destination> =
        visitor.get(&with_query(&path(&["destinations"]), &[("after", &asked.after)])).await?;
    let mut rows = Vec::with_capacity(found.items.len());
    for destination in &found.items {
        let standing: Standing =
            visitor.get(&path(&["destinations", &destination.id, "standing"])).await?;
        rows.push(row(destination, &standing));
    }
    let columns = [
        Column::Text("Name"),
        Column::Text("Kind"),
        Column::Text("Status"),
        Column::Number("Behind"),
        Column::Number("Dead letters"),
    ];
    let content = html! {
        div.head {
            h1 { "Destinations" }
            a.button.primary href={ (PATH) "/new" } data-dialog { "Add Destination" }
        }
        @if rows.is_empty() {
            (empty("No billing system is set up: usage is kept in the ledger and sent nowhere."))
        } @else {
            (table("Destinations", &columns, &html! { @for row in &rows { (row) } }))
        }
        (more(PATH, &[], found.next.as_deref()))
    };
    Ok(visitor.page(Section::Destinations, "Destinations", &content))
}

fn row(destination: &Destination, standing: &Standing) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(place(&destination.id)) { (destination.name) } }
            td { (destination.kind) }
            td { (badge(destination)) }
            td.number { (seconds(standing.lag_seconds)) }
            td.number { (number(count(standing, "quarantined"))) }
        }
    }
}

fn badge(destination: &Destination) -> Markup {
    html! {
        @if is_active(destination) { span.badge.active { "Active" } }
        @else { span.badge.draft { "Paused" } }
    }
}

fn is_active(destination: &Destination) -> bool {
    destination.status == "active"
}

fn count(standing: &Standing, state: &str) -> i64 {
    standing.deliveries.get(state).copied().unwrap_or(0)
}

/// A span as people say it, by its largest unit.
fn seconds(seconds: i64) -> String {
    let (amount, unit) = match seconds {
        ..1 => return "nothing".to_owned(),
        1..120 => (seconds, "seconds"),
        120..7_200 => (seconds / 60, "minutes"),
        7_200..172_800 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{} {unit}", number(amount))
}

pub async fn show(
    visitor: Visitor,
    Path(destination): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let found: Destination = visitor.get(&path(&["destinations", &destination])).await?;
    let standing: Standing = visitor.get(&path(&["destinations", &found.id, "standing"])).await?;
    let deliveries = path(&["destinations", &found.id, "deliveries"]);
    let question = [("state", asked.state.as_str()), ("after", &asked.after), ("limit", "25")];
    let deliveries: List<Delivery> = visitor.get(&with_query(&deliveries, &question)).await?;
    let place = place(&found.id);
    let content = html! {
        (head(&visitor, &found, &place))
        (facts(&found, &standing))
        section aria-labelledby="deliveries" {
            div.head {
                h2 #deliveries { "Deliveries" }
                @if count(&standing, "quarantined") > 0 {
                    (does(&visitor, &format!("{place}/replay"), "Send all dead letters again",
                        "Send all dead letters again", &[("decision", "resend")]))
                }
            }
            (states(&place, &asked.state, &standing))
            @if deliveries.items.is_empty() {
                (empty("None."))
            } @else {
                (deliveries_shown(&visitor, &place, &deliveries.items))
                (more(&place, &[("state", &asked.state)], deliveries.next.as_deref()))
            }
        }
    };
    Ok(visitor.page(Section::Destinations, &found.name, &content))
}

fn head(visitor: &Visitor, destination: &Destination, place: &str) -> Markup {
    let (status, text) =
        if is_active(destination) { ("paused", "Pause") } else { ("active", "Go on") };
    let name = &destination.name;
    html! {
        div.head {
            h1 { (name) }
            div.actions {
                a.button href={ (place) "/reconciliation" } { "Reconcile" }
                (does(visitor, &format!("{place}/status"), text, &format!("{text}: {name}"), &[("status", status)]))
                (opens(&format!("{place}/edit"), "Edit", &format!("Edit {name}")))
                (opens(&format!("{place}/delete"), "Delete", &format!("Delete {name}")))
            }
        }
    }
}

fn facts(destination: &Destination, standing: &Standing) -> Markup {
    html! {
        dl {
            dt { "Kind" }
            dd { (destination.kind) }
            dt { "Status" }
            dd { (badge(destination)) @if let Some(reason) = &destination.pause_reason { span { (reason) } } }
            dt { "Sends" }
            dd { (destination.meters.join(", ").replace('_', " ")) ", by " (destination.window) }
            dt { "Usage since" }
            dd { (moment(&destination.starts_at)) }
            dt { "Secret" }
            dd { @if destination.has_secret { "kept, never shown" } @else { "none" } }
            dt { "Behind" }
            dd { (seconds(standing.lag_seconds)) }
            @if let (Some(since), Some(reason)) = (&standing.held_since, &standing.held_reason) {
                dt { "Held back" }
                dd { "since " (moment(since)) span { (reason) } }
            }
        }
    }
}

fn states(place: &str, shown: &str, standing: &Standing) -> Markup {
    html! {
        ul.tabs {
            @for (state, label) in STATES {
                li {
                    a href=(with_query(place, &[("state", state)]))
                        aria-current=[(shown == state).then_some("true")] {
                        (label) @if !state.is_empty() { " (" (number(count(standing, state))) ")" }
                    }
                }
            }
        }
    }
}

fn deliveries_shown(visitor: &Visitor, place: &str, deliveries: &[Delivery]) -> Markup {
    let columns = [
        Column::Text("Number"),
        Column::Text("State"),
        Column::Text("Of"),
        Column::Number("Tries"),
        Column::Text("Last try"),
        Column::Text("Next"),
        Column::Actions,
    ];
    let rows = html! {
        @for delivery in deliveries { (delivery_shown(visitor, place, delivery)) }
    };
    table("Deliveries", &columns, &rows)
}

fn delivery_shown(visitor: &Visitor, place: &str, delivery: &Delivery) -> Markup {
    let number_text = delivery.number.to_string();
    let decide = |text: &str, decision: &str| {
        let label = format!("{text}: delivery {number_text}");
        let fields = [("delivery", number_text.as_str()), ("decision", decision)];
        does(visitor, &format!("{place}/replay"), text, &label, &fields)
    };
    html! {
        tr {
            th scope="row" { (number_text) }
            td { (delivery.state) @if let Some(reason) = &delivery.reason { p.quiet { (reason) } } }
            td {
                details {
                    summary { (delivery.items.len()) " items" }
                    ul.differences {
                        @for item in &delivery.items {
                            li {
                                (item.customer) ": " (number(item.quantity)) " " (item.meter.replace('_', " "))
                                " from " (moment(&item.window_start))
                            }
                        }
                    }
                }
            }
            td.number { (number(delivery.attempts)) }
            td { (moment_or(delivery.attempted_at.as_deref(), "none")) }
            td { (moment_or(delivery.due_at.as_deref(), "")) }
            td.actions {
                @if delivery.state == "quarantined" {
                    (decide("Send again", "resend"))
                    (decide("It arrived", "delivered"))
                }
            }
        }
    }
}

/// Pauses a destination or lets it go on.
pub async fn status(Path(destination): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let body = Some(json!({ "status": form.text("status") }));
    let sending = Sending { body, ..Sending::default() };
    visitor.send(Method::PATCH, &path(&["destinations", &destination]), sending).await?;
    Ok(Redirect::to(&place(&destination)).into_response())
}

/// Sends what is quarantined again, or takes it for delivered.
pub async fn replay(Path(destination): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let body = json!({
        "delivery": form.json_number("delivery"), "decision": form.text("decision"),
    });
    let sending = Sending { body: Some(body), ..Sending::default() };
    visitor.send(Method::POST, &path(&["destinations", &destination, "replay"]), sending).await?;
    let there = with_query(&place(&destination), &[("state", "quarantined")]);
    Ok(Redirect::to(&there).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_by_its_largest_unit() {
        let told = [0, 1, 119, 120, 7_199, 7_200, 172_799, 172_800].map(seconds);

        assert_eq!(
            told,
            [
                "nothing",
                "1 seconds",
                "119 seconds",
                "2 minutes",
                "119 minutes",
                "2 hours",
                "47 hours",
                "2 days"
            ]
        );
    }
}
