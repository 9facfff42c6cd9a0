//! Plans: how they look on a product's card.

pub mod delete;
pub mod edit;
mod prices;

use maud::{Markup, html};

use crate::console::data::Plan;
use crate::console::text::number_or;

/// The plans of a product.
pub fn table(product: &str, plans: &[Plan]) -> Markup {
    html! {
        @if plans.is_empty() {
            p.empty { "No plan yet. Without one, nobody can subscribe." }
        } @else {
            div.wide tabindex="0" role="group" aria-label={ "Plans of " (product) } {
                table {
                    thead {
                        tr {
                            th scope="col" { "Plan" }
                            th scope="col" { "Billing" }
                            th scope="col" { "Price" }
                            th.number scope="col" { "Monthly quota" }
                            th.number scope="col" { "Rate limit" }
                            th scope="col" { span.hidden { "Actions" } }
                        }
                    }
                    tbody { @for plan in plans { (row(plan)) } }
                }
            }
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
                a.button href={ (place) "/edit" } data-dialog aria-label={ "Edit " (plan.name) } { "Edit" }
                a.button href={ (place) "/delete" } data-dialog aria-label={ "Delete " (plan.name) } { "Delete" }
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
