//! Patches: a change of some fields, as a JSON merge patch (RFC 7396) onto what is there. The
//! result is read like a new resource, so there is one set of rules for both.

use serde::Serialize;
use serde_json::Value;

use crate::json::{Object, merge};

/// The writable part of a resource with a patch on it. What the patch names and cannot set stays
/// in, so that it is refused by name together with all else that is wrong.
pub fn patched(view: &impl Serialize, patch: Object, read_only: &[&str]) -> Object {
    let Ok(Value::Object(mut whole)) = serde_json::to_value(view) else {
        return patch;
    };
    whole.retain(|name, _| !read_only.contains(&name.as_str()));
    merge(&mut whole, patch);
    whole
}
