//! Gateways, as they last spoke.

use maud::{Markup, html};

use super::Answer;
use crate::console::ask::{List, path};
use crate::console::data::Node;
use crate::console::layout::Section;
use crate::console::part::{Column, empty, table};
use crate::console::text::{moment, number};
use crate::console::visitor::Visitor;

pub async fn list(visitor: Visitor) -> Answer {
    let nodes: List<Node> = visitor.get(&path(&["nodes"])).await?;
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
