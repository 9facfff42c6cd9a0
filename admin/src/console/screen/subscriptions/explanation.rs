//! From an invoice to the calls that it is made of: lines, windows, records.

use axum::extract::{Path, Query};
use maud::{Markup, html};
use serde::Deserialize;

use super::{invoice, place};
use crate::console::ask::{path, with_query};
use crate::console::data::{Explanation, WindowOfCalls};
use crate::console::layout::Section;
use crate::console::part::{Column, empty, more, table};
use crate::console::screen::{Answer, usage};
use crate::console::text::{moment, moment_or, number};
use crate::console::visitor::Visitor;

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    period: String,
    #[serde(default)]
    after: String,
}

pub async fn show(
    visitor: Visitor,
    Path(subscription): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let explanation = path(&["subscriptions", &subscription, "explanation"]);
    let question = [("period", asked.period.as_str()), ("after", &asked.after), ("limit", "100")];
    let found: Explanation = visitor.get(&with_query(&explanation, &question)).await?;
    let place = place(&subscription);
    let here = format!("{place}/explanation");
    let title = format!("What the invoice of {} is made of", found.period);
    let content = html! {
        div.head { h1 { (title) } a.button href=(with_query(&place, &[("period", &asked.period)])) { "Back" } }
        p { (moment(&found.period_start)) " to " (moment(&found.period_end)) }
        (invoice::table_of(&found.lines))
        h2 { "Calls by minute" }
        p.quiet { "Single calls are kept since " (moment_or(found.records_kept_since.as_deref(), "the first one")) "." }
        @if found.items.is_empty() { (empty("No call in this period.")) }
        @for window in &found.items { (shown(window)) }
        (more(&here, &[("period", &asked.period)], found.next.as_deref()))
    };
    Ok(visitor.page(Section::Consumers, &title, &content))
}

fn shown(window: &WindowOfCalls) -> Markup {
    let columns = [
        Column::Text("Request"),
        Column::Text("Admitted"),
        Column::Text("Billed"),
        Column::Number("Calls"),
        Column::Number("Units"),
    ];
    let label = format!("Calls of the minute {}", window.window_start);
    html! {
        h3 {
            (moment(&window.window_start)) ": " (number(window.billed.calls)) " calls, "
            (number(window.billed.units)) " units billed"
        }
        @if window.cut { p.quiet { "There are more than a page can hold: ask for single calls." } }
        (table(&label, &columns, &html! {
            @for record in &window.records {
                @let call = with_query(&format!("{}/call", usage::PATH), &[("request_id", &record.request_id)]);
                tr {
                    th scope="row" { a href=(call) { code { (record.request_id) } } }
                    td { (moment(&record.admitted_at)) }
                    td { @if record.billed { "yes" } @else { "no" } }
                    td.number { (number(record.calls)) }
                    td.number { (number(record.units)) }
                }
            }
        }))
    }
}
