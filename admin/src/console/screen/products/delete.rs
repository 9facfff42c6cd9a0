//! Deleting a product, once it is clear what goes with it.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use super::{PATH, place};
use crate::console::ask::{List, Sending, Tagged, path, with_query};
use crate::console::data::{Plan, Product, Subscription};
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(product): Path<String>) -> Answer {
    let found: Tagged<Product> = visitor.get_tagged(&path(&["products", &product])).await?;
    let product = &found.value;
    let plans: List<Plan> = visitor.get(&path(&["products", &product.id, "plans"])).await?;
    let live = [("product_id", product.id.as_str()), ("status", "active"), ("limit", "500")];
    let live: List<Subscription> =
        visitor.get(&with_query(&path(&["subscriptions"]), &live)).await?;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    let action = format!("{PATH}/{}/delete", product.id);
    let back = place(&product.id);
    let target =
        Target { action: &action, submit: "Delete product", back: &back, is_dangerous: true };
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &Errors::default() };
    let fields = html! {
        p { strong { (product.title) } " is removed for good:" }
        ul {
            li { (at_least(&plans)) " of its plans go with it;" }
            li {
                (at_least(&live)) " live subscriptions are canceled and their keys stop working at once, on \
                 every gateway;"
            }
            li { "callers of " code { "/" (product.name) "/…" } " get 404;" }
            li { "what was used stays in the ledger and is billed." }
        }
        p { "To hide it and keep all of this, make it a draft instead." }
    };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Apis, &format!("Delete {}?", product.title), &content))
}

fn at_least<T>(list: &List<T>) -> String {
    let more = if list.next.is_some() { "+" } else { "" };
    format!("{}{more}", list.items.len())
}

pub async fn delete(Path(product): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let sending = Sending { tag: Some(form.text("tag")), ..Sending::default() };
    visitor.send(Method::DELETE, &path(&["products", &product]), sending).await?;
    Ok(Redirect::to(PATH).into_response())
}
