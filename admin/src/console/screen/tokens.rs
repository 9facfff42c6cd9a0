//! Administrators' tokens. The text of one is shown once.

pub mod delete;
pub mod new;

use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;

use super::Answer;
use crate::console::ask::{List, path, with_query};
use crate::console::data::Token;
use crate::console::layout::Section;
use crate::console::part::{Column, empty, more, opens, table};
use crate::console::text::{moment, moment_or};
use crate::console::visitor::Visitor;

pub const PATH: &str = Section::Tokens.path();

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    after: String,
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let tokens: List<Token> =
        visitor.get(&with_query(&path(&["tokens"]), &[("after", &asked.after)])).await?;
    let columns = [
        Column::Text("Name"),
        Column::Text("Role"),
        Column::Text("Made"),
        Column::Text("Ends"),
        Column::Actions,
    ];
    let content = html! {
        div.head {
            h1 { "Tokens" }
            a.button.primary href={ (PATH) "/new" } data-dialog { "Add Token" }
        }
        @if tokens.items.is_empty() {
            (empty("No token yet but the one that this installation began with."))
        } @else {
            (table("Tokens", &columns, &html! { @for token in &tokens.items { (row(token)) } }))
        }
        (more(PATH, &[], tokens.next.as_deref()))
    };
    Ok(visitor.page(Section::Tokens, "Tokens", &content))
}

fn row(token: &Token) -> Markup {
    html! {
        tr {
            th scope="row" { (token.name) }
            td { code { (token.role) } }
            td { (moment(&token.created_at)) }
            td { (moment_or(token.expires_at.as_deref(), "when it is deleted")) }
            td.actions {
                (opens(&format!("{PATH}/{}/delete", token.id), "Delete", &format!("Delete {}", token.name)))
            }
        }
    }
}
