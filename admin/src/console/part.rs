//! Parts that many pages have: tables, facts, buttons that do one thing, the way through a list.

use maud::{Markup, html};

use super::ask::with_query;
use super::data::Node;
use super::text::number;
use super::visitor::Visitor;

/// What to do where a list is empty.
pub fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// The link to the next page of a list.
pub fn more(path: &str, pairs: &[(&str, &str)], next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            @let pairs = [pairs, &[("after", next)]].concat();
            nav.pages aria-label="Pages" {
                a.button rel="next" href=(with_query(path, &pairs)) { "Next page" }
            }
        }
    }
}

/// Looks for something in a list.
pub fn search(path: &str, label: &str, name: &str, text: &str) -> Markup {
    html! {
        form.search method="get" action=(path) role="search" {
            label for="search" { (label) }
            input #search type="search" name=(name) value=(text);
            button type="submit" { "Search" }
        }
    }
}

/// The head of a column.
pub enum Column<'a> {
    Text(&'a str),
    Number(&'a str),
    /// Buttons, whose head is only heard.
    Actions,
}

/// A table that scrolls by itself where it is wider than the page.
pub fn table(label: &str, columns: &[Column<'_>], rows: &Markup) -> Markup {
    html! {
        div.wide tabindex="0" role="group" aria-label=(label) {
            table {
                thead {
                    tr {
                        @for column in columns {
                            @match column {
                                Column::Text(text) => th scope="col" { (text) },
                                Column::Number(text) => th.number scope="col" { (text) },
                                Column::Actions => th scope="col" { span.hidden { "Actions" } },
                            }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}

/// A link that looks like a button and opens as a dialog. The label says it without its context.
pub fn opens(path: &str, text: &str, label: &str) -> Markup {
    html! { a.button href=(path) data-dialog aria-label=(label) { (text) } }
}

/// A form that is a button and nothing else to be seen.
pub fn does(
    visitor: &Visitor,
    path: &str,
    text: &str,
    label: &str,
    fields: &[(&str, &str)],
) -> Markup {
    html! {
        form.inline method="post" action=(path) {
            (visitor.proof_field())
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button type="submit" aria-label=(label) { (text) }
        }
    }
}

/// How far a change has come, where a page was opened because of one.
pub fn in_force(nodes: &[Node], revision: u64, again: &str) -> Markup {
    let connected = nodes.iter().filter(|node| node.status == "connected");
    let (current, total) = connected.fold((0, 0), |(current, total), node| {
        (current + i64::from(node.revision >= revision), total + 1)
    });
    html! {
        div.told role="status" {
            p { "Done. In force on " (number(current)) " of " (number(total)) " connected gateways." }
            @if current < total { p { a href=(again) { "Look again" } } }
        }
    }
}

/// A secret that is shown this one time, ready to be copied.
pub fn secret(name: &str, text: Option<&str>) -> Markup {
    html! {
        @match text {
            Some(text) => {
                p { "Copy it now: it is not kept and is never shown again." }
                div.secret {
                    label.hidden for="secret" { (name) }
                    input #secret type="text" readonly value=(text) autocomplete="off" spellcheck="false";
                    button type="button" data-copy="secret" hidden { "Copy" }
                }
            }
            None => p {
                "It was shown before and is not kept. If nobody has it, make another one and revoke this one."
            },
        }
    }
}
