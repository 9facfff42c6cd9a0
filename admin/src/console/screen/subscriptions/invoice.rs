//! An invoice before it is one: its lines, and what they add up to.

use jiff::ToSpan;
use jiff::civil::Date;
use maud::{Markup, html};
use tollgate_common::price::currency::Money;

use crate::console::ask::with_query;
use crate::console::data::{Invoice, InvoiceLine};
use crate::console::part::{Column, empty, table};
use crate::console::text::{moment, number};
use crate::problem::Problem;

pub fn shown(place: &str, invoice: &Result<Invoice, Problem>) -> Markup {
    html! {
        h2 #invoice { "Invoice preview" }
        @match invoice {
            Ok(invoice) => {
                p {
                    (moment(&invoice.period_start)) " to " (moment(&invoice.period_end))
                    @if !invoice.ended { ", charged as if the plan were kept until then" }
                }
                (lines(invoice))
                (ways(place, invoice))
            }
            Err(problem) => {
                p.error { (reason(problem)) }
                p { a href=(place) { "To the current period" } }
            }
        }
    }
}

fn reason(problem: &Problem) -> String {
    match problem.errors.first() {
        Some(error) => format!("The period {}", error.message),
        None => problem.detail.to_string(),
    }
}

/// The lines and the totals.
pub fn lines(invoice: &Invoice) -> Markup {
    let totals = html! {
        @for total in &invoice.totals {
            tr.total {
                th scope="row" colspan="3" { "Total" }
                td.number { (total.text) }
            }
        }
    };
    with_totals(&invoice.lines, &totals)
}

/// The lines alone.
pub fn table_of(lines: &[InvoiceLine]) -> Markup {
    with_totals(lines, &html! {})
}

fn with_totals(lines: &[InvoiceLine], totals: &Markup) -> Markup {
    let columns = [
        Column::Text("Line"),
        Column::Text("Plan"),
        Column::Number("Quantity"),
        Column::Number("Amount"),
    ];
    html! {
        @if lines.is_empty() {
            (empty("Nothing was used and nothing is owed."))
        } @else {
            (table("Lines of the invoice", &columns, &html! {
                @for line in lines {
                    tr {
                        th scope="row" { (name(line)) }
                        td { (line.plan_name) }
                        td.number { (number(line.quantity)) }
                        td.number { (amount(line)) }
                    }
                }
                (totals)
            }))
        }
    }
}

fn name(line: &InvoiceLine) -> String {
    let kind = match line.kind.as_str() {
        "licensed" => "Fee",
        "usage" => "Usage",
        "overage" => "Beyond the quota",
        other => other,
    };
    let meter = line.meter.as_deref().map(|meter| format!(", {}", meter.replace('_', " ")));
    let price = line.price.as_deref().map(|price| format!(": {price}"));
    format!("{kind}{}{}", meter.unwrap_or_default(), price.unwrap_or_default())
}

fn amount(line: &InvoiceLine) -> String {
    let currency = line.currency.as_deref().and_then(|currency| currency.parse().ok());
    let money = currency.map(|currency| Money { minor_units: line.amount, currency });
    money.map_or_else(|| "not charged".to_owned(), |money| money.to_string())
}

/// What it is made of, and the periods beside it.
fn ways(place: &str, invoice: &Invoice) -> Markup {
    let month = format!("{}-01", invoice.period).parse::<Date>().ok();
    let before = month.map(|month| month.saturating_sub(1.month()).strftime("%Y-%m").to_string());
    html! {
        nav.pages aria-label="Invoice" {
            @let explanation = format!("{place}/explanation");
            a.button href=(with_query(&explanation, &[("period", &invoice.period)])) { "Explain" } " "
            @if let Some(before) = before {
                a.button href=(with_query(place, &[("period", &before)])) { "Period before" }
            }
            @if invoice.ended { " " a.button href=(place) { "Current period" } }
        }
    }
}
