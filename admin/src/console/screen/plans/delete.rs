//! Deleting a plan, once it is clear what goes with it.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use crate::console::ask::{Sending, Tagged, path};
use crate::console::data::Plan;
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::{Answer, products};
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(plan): Path<String>) -> Answer {
    let found: Tagged<Plan> = visitor.get_tagged(&path(&["plans", &plan])).await?;
    let plan = &found.value;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    let action = format!("{}/delete", super::place(&plan.id));
    let back = products::place(&plan.product_id);
    let target = Target { action: &action, submit: "Delete plan", back: &back, is_dangerous: true };
    let errors = Errors::default();
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &errors };
    let fields = html! {
        p {
            strong { (plan.name) } " is removed for good. A plan that somebody is subscribed to is \
             not deleted: move its subscriptions first."
        }
    };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Apis, &format!("Delete {}?", plan.name), &content))
}

pub async fn delete(Path(plan): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let resource = path(&["plans", &plan]);
    let found: Plan = visitor.get(&resource).await?;
    let sending = Sending { tag: Some(form.text("tag")), ..Sending::default() };
    visitor.send(Method::DELETE, &resource, sending).await?;
    Ok(Redirect::to(&products::place(&found.product_id)).into_response())
}
