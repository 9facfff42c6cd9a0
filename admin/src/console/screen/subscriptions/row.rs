//! Subscriptions in a table.

use maud::{Markup, html};

use crate::console::ask::path;
use crate::console::chart::meter;
use crate::console::data::{Plan, Product, Quota, Subscription};
use crate::console::part::{self, Column};
use crate::console::text::moment;
use crate::console::visitor::Visitor;
use crate::problem::{Code, Problem};

/// A subscription with the names of what it is to. A product or plan may be gone by now.
pub struct Row {
    pub subscription: Subscription,
    pub product: Option<Product>,
    pub plan: Option<Plan>,
    pub quota: Option<Quota>,
}

impl Row {
    pub fn product_title(&self) -> &str {
        self.product.as_ref().map_or("a deleted product", |product| &product.title)
    }

    pub fn plan_name(&self) -> &str {
        self.plan.as_ref().map_or("a deleted plan", |plan| &plan.name)
    }
}

pub async fn read(visitor: &Visitor, subscription: &Subscription) -> Result<Row, Problem> {
    let product = path(&["products", &subscription.product_id]);
    let plan = path(&["plans", &subscription.plan_id]);
    let quota = path(&["subscriptions", &subscription.id, "quota"]);
    Ok(Row {
        subscription: subscription.clone(),
        product: if_there(visitor.get(&product).await)?,
        plan: if_there(visitor.get(&plan).await)?,
        quota: if_there(visitor.get(&quota).await)?,
    })
}

/// None for what is not there.
pub fn if_there<T>(answer: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(problem) if problem.code == Code::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

pub fn table(label: &str, rows: &[Row]) -> Markup {
    let columns = [
        Column::Text("Product"),
        Column::Text("Plan"),
        Column::Text("Status"),
        Column::Text("Used of the quota"),
        Column::Text("Since"),
    ];
    part::table(label, &columns, &html! { @for row in rows { (shown(row)) } })
}

fn shown(row: &Row) -> Markup {
    let subscription = &row.subscription;
    html! {
        tr {
            th scope="row" { a href=(super::place(&subscription.id)) { (row.product_title()) } }
            td { (row.plan_name()) }
            td { (status(subscription)) }
            td { (used(row.quota.as_ref())) }
            td { (moment(&subscription.started_at)) }
        }
    }
}

pub fn status(subscription: &Subscription) -> Markup {
    html! {
        @if subscription.is_live() { span.badge.active { "Active" } }
        @else { span.badge.draft { "Canceled" } }
    }
}

pub fn used(quota: Option<&Quota>) -> Markup {
    html! { @if let Some(quota) = quota { (meter(quota.used, quota.quota)) } }
}
