//! Gateways, as they last spoke.

use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;

use super::Answer;
use crate::console::ask::{List, path, with_query};
use crate::console::data::Node;
use crate::console::layout::Section;
use crate::console::part::{Column, empty, more, table};
use crate::console::text::{moment, number};
use crate::console::visitor::Visitor;

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    after: String,
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let nodes: List<Node> =
        visitor.get(&with_query(&path(&["nodes"]), &[("after", &asked.after)])).await?;
    let columns = [
        Column::Text("Gateway"),
        Column::Text("Status"),
        Column::Text("Version"),
        Column::Number("Changes behind"),
        Column::Number("Records to deliver"),
        Column::Number("Leased calls"),
        Column::Text("Started"),
        Column::Text("Last seen"),
    ];
    let content = html! {
        div.head { h1 { "Gateways" } }
        @if nodes.items.is_empty() {
            (empty("No gateway has spoken within the last hour. One is started with tollgate proxy and a node token."))
        } @else {
            (table("Gateways", &columns, &html! { @for node in &nodes.items { (row(node)) } }))
        }
        (more(Section::Gateways.path(), &[], nodes.next.as_deref()))
    };
    Ok(visitor.page(Section::Gateways, "Gateways", &content))
}

fn row(node: &Node) -> Markup {
    html! {
        tr {
            th scope="row" { (node.address) br; code.quiet { (node.id) } }
            td {
                @if node.status == "connected" { span.badge.active { "Connected" } }
                @else { span.badge.draft { "Silent" } }
            }
            td { (node.version) }
            td.number { (number(node.revision_lag)) }
            td.number { (number(node.journal_lag_records)) }
            td.number { (number(node.leases_outstanding)) }
            td { (moment(&node.started_at)) }
            td { (moment(&node.last_seen)) }
        }
    }
}
