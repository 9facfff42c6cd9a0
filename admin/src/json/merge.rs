//! Patches onto objects, and the one that leads from one object to another.

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

/// The merge patch that makes `wanted` of `present`. Null at the top is a value; fields that `wanted`
/// does not have stay as they are.
pub fn patch(present: &Object, wanted: &Object) -> Object {
    let differs = |(name, value): &(&String, &Value)| present.get(*name) != Some(*value);
    let changed = wanted.iter().filter(differs);
    changed.map(|(name, value)| (name.clone(), inner_patch(present.get(name), value))).collect()
}

fn inner_patch(present: Option<&Value>, wanted: &Value) -> Value {
    let (Some(Value::Object(present)), Value::Object(wanted)) = (present, wanted) else {
        return wanted.clone();
    };
    let gone = present.keys().filter(|name| !wanted.contains_key(*name));
    let mut patch: Object = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, value) in wanted {
        if present.get(name) != Some(value) {
            patch.insert(name.clone(), inner_patch(present.get(name), value));
        }
    }
    Value::Object(patch)
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

    #[test]
    fn the_patch_merged_onto_what_is_there_gives_what_is_wanted() {
        let present = object(json!({
            "quota": 5, "title": "a", "metadata": { "x": 1, "y": { "z": 2, "w": 3 }, "s": 1 },
        }));
        let wanted = object(json!({
            "quota": null, "title": "a", "metadata": { "y": { "z": 4 }, "s": 1, "n": {} },
        }));

        let patch = patch(&present, &wanted);

        assert_eq!(
            json!(patch),
            json!({ "quota": null, "metadata": { "x": null, "y": { "z": 4, "w": null }, "n": {} } })
        );
        let mut merged = present;
        merge(&mut merged, patch);
        assert_eq!(merged, wanted);
    }
}
