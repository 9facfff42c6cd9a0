//! Plans: how they look on a product's card.

pub mod delete;
pub mod edit;
mod prices;

use maud::{Markup, html};

use crate::console::data::Plan;
use crate::console::field::Choice;
use crate::console::part::{self, Column, opens};
use crate::console::text::{number, number_or};

const COLUMNS: [Column<'_>; 6] = [
    Column::Text("Plan"),
    Column::Text("Billing"),
    Column::Text("Price"),
    Column::Number("Monthly quota"),
    Column::Number("Rate limit"),
    Column::Actions,
];

/// The plans of a product.
pub fn table(product: &str, plans: &[Plan]) -> Markup {
    html! {
        @if plans.is_empty() {
            p.empty { "No plan yet. Without one, nobody can subscribe." }
        } @else {
            (part::table(&format!("Plans of {product}"), &COLUMNS, &html! {
                @for plan in plans { (row(plan)) }
            }))
        }
    }
}

fn row(plan: &Plan) -> Markup {
    let place = place(&plan.id);
    html! {
        tr {
            th scope="row" { (plan.name) }
            td { (billing(&plan.billing_mode)) }
            td { (plan.price_label) }
            td.number { (number_or(plan.monthly_quota, "none")) }
            td.number { (number_or(plan.rate_limit, "none")) }
            td.actions {
                (opens(&format!("{place}/edit"), "Edit", &format!("Edit {}", plan.name)))
                (opens(&format!("{place}/delete"), "Delete", &format!("Delete {}", plan.name)))
            }
        }
    }
}

fn billing(mode: &str) -> &str {
    match mode {
        "free" => "Free",
        "fixed" => "Fixed",
        "metered" => "Metered",
        other => other,
    }
}

fn place(plan: &str) -> String {
    format!("/dashboard/admin/plans/{plan}")
}

/// A plan's limits in a line.
pub fn limits(plan: &Plan) -> String {
    let per = |limit: Option<i64>, none: &str, span: &str| {
        limit.map_or_else(|| none.to_owned(), |limit| format!("{} calls {span}", number(limit)))
    };
    let quota = per(plan.monthly_quota, "no quota", "per period");
    format!("{quota}, {}", per(plan.rate_limit, "no rate limit", "per minute"))
}

/// A plan as one of those that can be chosen.
pub fn choice<'a>(plan: &'a Plan, limits: &'a str) -> Choice<'a> {
    Choice { value: &plan.id, label: &plan.name, hint: limits }
}
