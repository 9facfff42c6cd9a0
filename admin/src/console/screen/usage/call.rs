//! Why one call was counted, not counted or refused.

use axum::extract::Query;
use maud::html;
use serde::Deserialize;

use super::PATH;
use crate::console::ask::path;
use crate::console::data::Call;
use crate::console::layout::Section;
use crate::console::part::{empty, search};
use crate::console::screen::Answer;
use crate::console::screen::subscriptions::{self, row::if_there};
use crate::console::text::moment;
use crate::console::visitor::Visitor;

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
            }
            None if request.is_empty() => (empty("Which one? Its id is in X-Request-Id of the answer.")),
            None => (empty("Nothing is known of such a call: it is too old, still on its way from the gateway, or never was.")),
        }
    };
    Ok(visitor.page(Section::Usage, "One call", &content))
}

fn verdict(word: &str) -> &str {
    match word {
        "counted" => "Counted.",
        "not_counted" => "Not counted.",
        "refused" => "Refused.",
        other => other,
    }
}
