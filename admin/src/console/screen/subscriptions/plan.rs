//! Moving a subscription to another plan: first the plans, then what the chosen one would do.

use axum::extract::{Path, Query};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{invoice, place};
use crate::console::ask::{List, Sending, Tagged, path, with_query};
use crate::console::data::{Invoice, Plan, Subscription};
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::part::{Column, opens, table};
use crate::console::screen::{Answer, plans};
use crate::console::text::number_or;
use crate::console::visitor::{Sent, Visitor};
use crate::problem::{Code, Problem};

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    plan_id: String,
}

pub async fn ask(
    visitor: Visitor,
    Path(subscription): Path<String>,
    Query(asked): Query<Question>,
) -> Answer {
    let found: Tagged<Subscription> =
        visitor.get_tagged(&path(&["subscriptions", &subscription])).await?;
    if asked.plan_id.is_empty() {
        return choose(&visitor, &found.value).await;
    }
    let errors = Errors::default();
    Ok(preview(&visitor, StatusCode::OK, &found, &asked.plan_id, &errors).await?)
}

async fn choose(visitor: &Visitor, subscription: &Subscription) -> Answer {
    let offered = path(&["products", &subscription.product_id, "plans"]);
    let offered: List<Plan> = visitor.get(&with_query(&offered, &[("limit", "100")])).await?;
    let place = place(&subscription.id);
    let columns =
        [Column::Text("Plan"), Column::Text("Price"), Column::Text("Limits"), Column::Actions];
    let content = html! {
        p { "What was used stays used, and counts against the quota of the new plan too." }
        (table("Plans", &columns, &html! {
            @for plan in &offered.items {
                tr {
                    th scope="row" { (plan.name) }
                    td { (plan.price_label) }
                    td { (plans::limits(plan)) }
                    td.actions {
                        @if plan.id == subscription.plan_id {
                            span.quiet { "present plan" }
                        } @else {
                            @let there = with_query(&format!("{place}/plan"), &[("plan_id", &plan.id)]);
                            (opens(&there, "Preview", &format!("Preview {}", plan.name)))
                        }
                    }
                }
            }
        }))
        div.buttons { a.button href=(place) data-close { "Cancel" } }
    };
    Ok(visitor.sheet(Section::Consumers, "Change plan", &content))
}

async fn preview(
    visitor: &Visitor,
    status: StatusCode,
    found: &Tagged<Subscription>,
    plan: &str,
    errors: &Errors,
) -> Result<Response, Problem> {
    let subscription = &found.value;
    let before: Plan = visitor.get(&path(&["plans", &subscription.plan_id])).await?;
    let after: Plan = visitor.get(&path(&["plans", plan])).await?;
    let invoices = path(&["subscriptions", &subscription.id, "invoice-preview"]);
    let staying: Invoice = visitor.get(&invoices).await?;
    let moving: Invoice = visitor.get(&with_query(&invoices, &[("plan_id", plan)])).await?;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    let back = place(&subscription.id);
    let action = format!("{back}/plan");
    let submit = format!("Move to {}", after.name);
    let target = Target { action: &action, submit: &submit, back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form: &form, errors };
    let fields = html! {
        input type="hidden" name="plan_id" value=(after.id);
        (limits(&before, &after))
        h2 { "This period's invoice, if moved now" }
        (invoice::lines(&moving))
        p.quiet { "Without the move: " (total(&staying)) "." }
    };
    let content = sheet.whole(&target, &[], &fields);
    let title = format!("From {} to {}", before.name, after.name);
    Ok(visitor.sheet_with(status, Section::Consumers, &title, &content))
}

fn total(invoice: &Invoice) -> String {
    let totals: Vec<&str> = invoice.totals.iter().map(|total| total.text.as_str()).collect();
    if totals.is_empty() { "nothing".to_owned() } else { totals.join(" and ") }
}

fn limits(before: &Plan, after: &Plan) -> Markup {
    let columns = [Column::Text("Limit"), Column::Number("Now"), Column::Number("Then")];
    let lines = [
        ("Calls per period", before.monthly_quota, after.monthly_quota),
        ("Calls per minute", before.rate_limit, after.rate_limit),
    ];
    html! {
        (table("Limits", &columns, &html! {
            @for (name, before, after) in lines {
                tr {
                    th scope="row" { (name) }
                    td.number { (number_or(before, "none")) }
                    td.number { (number_or(after, "none")) }
                }
            }
        }))
    }
}

pub async fn change(Path(subscription): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let resource = path(&["subscriptions", &subscription]);
    let plan = form.text("plan_id");
    let body = Some(json!({ "plan_id": plan }));
    let sending = Sending { body, tag: Some(form.text("tag")), once: None };
    match visitor.send(Method::PATCH, &resource, sending).await {
        Ok(_) => Ok(Redirect::to(&place(&subscription)).into_response()),
        Err(problem) if problem.code == Code::PreconditionFailed => {
            let found: Tagged<Subscription> = visitor.get_tagged(&resource).await?;
            let errors = Errors::say(
                "Somebody else has changed this subscription since you opened it. Nothing was done. \
                 This is what the move would do now.",
            );
            let status = problem.code.status();
            Ok(preview(&visitor, status, &found, plan, &errors).await?)
        }
        Err(problem) => Err(problem.into()),
    }
}
