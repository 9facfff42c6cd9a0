//! A patch onto an object.

use serde_json::Value;

use super::Object;

/// A JSON merge patch (RFC 7396), except that a null at the top stays: there it stands for a field
/// that is empty, and only the field itself knows whether it can be.
pub fn merge(target: &mut Object, patch: Object) {
    for (name, value) in patch {
        match (target.get_mut(&name), value) {
            (Some(Value::Object(inner)), Value::Object(patch)) => merge_inner(inner, patch),
            (_, value) => {
                target.insert(name, without_nulls(value));
            }
        }
    }
}

fn merge_inner(target: &mut Object, patch: Object) {
    for (name, value) in patch {
        match (target.get_mut(&name), value) {
            (_, Value::Null) => {
                target.remove(&name);
            }
            (Some(Value::Object(inner)), Value::Object(patch)) => merge_inner(inner, patch),
            (_, value) => {
                target.insert(name, without_nulls(value));
            }
        }
    }
}

/// A patch onto nothing: its own nulls stand for nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let mut target = object(json!({
            "title": "a", "quota": 5, "metadata": {"x": 1, "y": {"z": 2}}, "hosts": ["a"],
        }));

        merge(
            &mut target,
            object(json!({
                "quota": null,
                "metadata": {"x": null, "y": {"w": 3}, "n": {"m": null}},
                "hosts": ["b"],
            })),
        );

        assert_eq!(
            Value::Object(target),
            json!({
                "title": "a", "quota": null,
                "metadata": {"y": {"z": 2, "w": 3}, "n": {}}, "hosts": ["b"],
            })
        );
    }
}
