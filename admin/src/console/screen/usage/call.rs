//! Why one call was counted, not counted or refused.

use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;

use super::PATH;
use crate::console::ask::path;
use crate::console::data::{Call, CallDelivery};
use crate::console::layout::Section;
use crate::console::part::{Column, empty, search, table};
use crate::console::screen::Answer;
use crate::console::screen::destinations;
use crate::console::screen::subscriptions::{self, invoice, row::if_there};
use crate::console::text::moment;
use crate::console::visitor::Visitor;

const DELIVERIES: [Column<'_>; 3] =
    [Column::Text("Destination"), Column::Text("Delivery"), Column::Text("Window")];

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    request_id: String,
}

pub async fn explain(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let request = asked.request_id.trim();
    let found: Option<Call> = match request {
        "" => None,
        request => if_there(visitor.get(&path(&["usage", "requests", request])).await)?,
    };
    let content = html! {
        div.head { h1 { "One call" } }
        (search(&format!("{PATH}/call"), "Request id", "request_id", request))
        @match &found {
            Some(call) => {
                p.verdict { strong { (verdict(&call.verdict)) } " " (call.reason) }
                dl {
                    @if let Some(subscription) = &call.subscription_id {
                        dt { "Subscription" }
                        dd { a href=(subscriptions::place(subscription)) { code { (subscription) } } }
                    }
                    @if let Some(admitted) = &call.admitted {
                        dt { "Admitted" }
                        dd { (moment(&admitted.admitted_at)) }
                        dt { "In the window of" }
                        dd { (moment(&admitted.window_start)) }
                        dt { "Outcome" }
                        dd { (admitted.outcome.replace('_', " ")) ", status " (admitted.status) }
                    }
                }
                @if !call.lines.is_empty() {
                    h2 { "Part of these lines of its invoice" }
                    (invoice::table_of(&call.lines))
                }
                @if !call.deliveries.is_empty() {
                    h2 { "Sent as part of" }
                    (table("Deliveries", &DELIVERIES, &html! { @for sent in &call.deliveries { (delivery(sent)) } }))
                }
            }
            None if request.is_empty() => (empty("Which one? Its id is in X-Request-Id of the answer.")),
            None => (empty("Nothing is known of such a call: it is too old, still on its way from the gateway, or never was.")),
        }
    };
    Ok(visitor.page(Section::Usage, "One call", &content))
}

fn delivery(sent: &CallDelivery) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(destinations::place(&sent.destination_id)) { (sent.destination_name) } }
            td { "number " (sent.delivery) ", " (sent.state) }
            td { (sent.meter.replace('_', " ")) " from " (moment(&sent.window_start)) }
        }
    }
}

fn verdict(word: &str) -> &str {
    match word {
        "counted" => "Counted.",
        "not_counted" => "Not counted.",
        "refused" => "Refused.",
        other => other,
    }
}
