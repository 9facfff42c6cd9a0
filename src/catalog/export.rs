//! The present catalog as a file that, applied, changes nothing.

use serde_json::{Value, json};
use tollgate_admin::json::Object;

use super::normal::Kind;
use super::present::{HeldProduct, Present};
use super::write;

/// What has its default is left out, as people do.
pub fn file(present: &Present) -> String {
    let products: Vec<Value> = present.products.iter().map(product).collect();
    let root = Object::from_iter([("products".to_owned(), json!(products))]);
    let mut text = String::new();
    write::object(&root, 0, &mut text);
    text
}

fn product(it: &HeldProduct) -> Value {
    let mut stated = Kind::Product.stated(&it.product.fields);
    let plans: Vec<Object> = it.plans.iter().map(|it| Kind::Plan.stated(&it.fields)).collect();
    stated.insert("plans".to_owned(), json!(plans));
    Value::Object(stated)
}
