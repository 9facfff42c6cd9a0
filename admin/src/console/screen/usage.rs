//! What was called and refused in a month: of all products, and of one by day and plan.

pub mod call;

use axum::extract::Query;
use jiff::ToSpan;
use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::Answer;
use super::subscriptions::row::if_there;
use crate::console::ask::{List, path, with_query};
use crate::console::data::{Plan, Product, Summary};
use crate::console::days::Days;
use crate::console::layout::Section;
use crate::console::part::{Column, empty, more, search, table};
use crate::console::text::number;
use crate::console::visitor::Visitor;
use crate::problem::Problem;

pub const PATH: &str = Section::Usage.path();

/// Rows of a page.
const ROWS: &str = "50";

#[derive(Deserialize)]
pub struct Question {
    /// Such as 2026-11; the present one where nothing is said.
    #[serde(default)]
    month: String,
    #[serde(default)]
    product: String,
    #[serde(default)]
    after: String,
}

/// A month that has begun.
struct Month {
    first: Date,
    today: Date,
}

impl Month {
    fn asked(text: &str, today: Date) -> Self {
        let asked = format!("{text}-01").parse::<Date>().ok();
        let first = asked.filter(|first| *first <= today && first.year() >= 1970);
        Self { first: first.unwrap_or_else(|| today.first_of_month()), today }
    }

    fn name(first: Date) -> String {
        first.strftime("%Y-%m").to_string()
    }

    fn last(&self) -> Date {
        self.first.last_of_month().min(self.today)
    }

    fn is_present(&self) -> bool {
        self.first == self.today.first_of_month()
    }

    /// The summary of this month, by `grouping` and `window`.
    fn question<'a>(&self, grouping: &'a str, window: &'a str) -> [(&'a str, String); 4] {
        [
            ("group_by", grouping.to_owned()),
            ("window", window.to_owned()),
            ("from", format!("{}T00:00:00Z", self.first)),
            ("to", format!("{}T23:59:59Z", self.last())),
        ]
    }
}

async fn summary(
    visitor: &Visitor,
    question: &[(&str, String)],
    others: &[(&str, &str)],
) -> Result<List<Summary>, Problem> {
    let question: Vec<(&str, &str)> = question
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(others.iter().copied())
        .collect();
    visitor.get(&with_query(&path(&["usage", "summary"]), &question)).await
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let month = Month::asked(&asked.month, visitor.today());
    let content = if asked.product.is_empty() {
        of_all(&visitor, &month, &asked.after).await?
    } else {
        of_one(&visitor, &month, &asked.product).await?
    };
    Ok(visitor.page(Section::Usage, "Usage", &content))
}

async fn of_all(visitor: &Visitor, month: &Month, after: &str) -> Result<Markup, Problem> {
    let page = [("after", after), ("limit", ROWS)];
    let found = summary(visitor, &month.question("product", "month"), &page).await?;
    let name = Month::name(month.first);
    let mut rows = Vec::with_capacity(found.items.len());
    for summary in &found.items {
        let product: Option<Product> =
            if_there(visitor.get(&path(&["products", &summary.product_id])).await)?;
        let title = product.map_or_else(|| "a deleted product".to_owned(), |product| product.title);
        let place = with_query(PATH, &[("product", &summary.product_id), ("month", &name)]);
        rows.push(row(&html! { a href=(place) { (title) } }, summary));
    }
    Ok(html! {
        div.head { h1 { "Usage in " (name) } (months(month, "")) }
        @if rows.is_empty() {
            (empty("Nothing was called in this month."))
        } @else {
            (counts("Product", "Usage by product", &rows))
            (more(PATH, &[("month", &name)], found.next.as_deref()))
        }
        section aria-labelledby="call" {
            h2 #call { "Why was a call counted, or not?" }
            p.quiet { "Every answer of a gateway names its request in X-Request-Id." }
            (search(&format!("{PATH}/call"), "Request id", "request_id", ""))
        }
    })
}

async fn of_one(visitor: &Visitor, month: &Month, product: &str) -> Result<Markup, Problem> {
    let found: Option<Product> = if_there(visitor.get(&path(&["products", product])).await)?;
    // What was used stays in the ledger when a product is gone, under its id.
    let (id, title) = match &found {
        Some(found) => (found.id.as_str(), found.title.as_str()),
        None if product.parse::<Uuid>().is_ok() => (product, "A deleted product"),
        None => return Err(Problem::not_found("product")),
    };
    let of_product = [("product_id", id), ("limit", "100")];
    let by_day = summary(visitor, &month.question("product", "day"), &of_product).await?;
    let by_plan = summary(visitor, &month.question("plan", "month"), &of_product).await?;
    let mut days = Days::between(month.first, month.last());
    for day in &by_day.items {
        days.count(&day.window_start, day.calls + day.calls_unbilled);
    }
    let mut rows = Vec::with_capacity(by_plan.items.len());
    for summary in &by_plan.items {
        let plan: Option<Plan> = match &summary.plan_id {
            Some(plan) => if_there(visitor.get(&path(&["plans", plan])).await)?,
            None => None,
        };
        let name = plan.map_or_else(|| "a deleted plan".to_owned(), |plan| plan.name);
        rows.push(row(&html! { (name) }, summary));
    }
    let name = Month::name(month.first);
    Ok(html! {
        div.head {
            h1 { (title) " in " (name) }
            (months(month, id))
        }
        (days.shown("Calls"))
        h2 { "By plan" }
        @if rows.is_empty() {
            (empty("Nothing was called in this month."))
        } @else {
            (counts("Plan", "Usage by plan", &rows))
        }
        p { a href=(with_query(PATH, &[("month", &name)])) { "All products" } }
    })
}

fn months(month: &Month, product: &str) -> Markup {
    let there =
        |first: Date| with_query(PATH, &[("product", product), ("month", &Month::name(first))]);
    html! {
        nav aria-label="Months" {
            a.button href=(there(month.first.saturating_sub(1.month()))) { "Month before" }
            @if !month.is_present() {
                " " a.button href=(there(month.first.saturating_add(1.month()))) { "Month after" }
            }
        }
    }
}

fn counts(of: &str, label: &str, rows: &[Markup]) -> Markup {
    let columns = [
        Column::Text(of),
        Column::Number("Billed calls"),
        Column::Number("Calls not billed"),
        Column::Number("Refused"),
        Column::Number("Units"),
        Column::Number("Bytes in"),
        Column::Number("Bytes out"),
    ];
    table(label, &columns, &html! { @for row in rows { (row) } })
}

fn row(name: &Markup, summary: &Summary) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td.number { (number(summary.calls)) }
            td.number { (number(summary.calls_unbilled)) }
            td.number { (number(summary.refused)) }
            td.number { (number(summary.units)) }
            td.number { (number(summary.bytes_in)) }
            td.number { (number(summary.bytes_out)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_month_that_makes_no_sense_is_the_present_one() {
        let today = date(2026, 11, 28);
        for (text, first, last) in [
            ("2026-10", date(2026, 10, 1), date(2026, 10, 31)),
            ("2026-11", date(2026, 11, 1), today),
            ("2026-12", date(2026, 11, 1), today),
            ("", date(2026, 11, 1), today),
            ("-4000-01", date(2026, 11, 1), today),
            ("2026-11-03", date(2026, 11, 1), today),
        ] {
            let month = Month::asked(text, today);

            assert_eq!((month.first, month.last()), (first, last), "{text}");
        }
    }
}
