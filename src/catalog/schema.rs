//! The JSON Schema of a catalog file, for editors. It is made from the API's description of itself,
//! so it knows what the API knows.

use serde_json::{Map, Value, json};

const COMPONENTS: &str = "#/components/schemas/";

pub fn schema() -> Value {
    let description = json!(tollgate_admin::openapi::description());
    let mut components = description["components"]["schemas"].clone();
    let mut product = components["ProductCreate"].take();
    let mut plans =
        json!({ "type": "array", "items": { "$ref": format!("{COMPONENTS}PlanCreate") } });
    plans["description"] = "Left out, the product's plans are left as they are.".into();
    product["properties"]["plans"] = plans;
    product["description"] = "A product and its plans. What is left out has its default.".into();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tollgate catalog",
        "type": "object",
        "additionalProperties": false,
        "required": ["products"],
        "properties": { "products": { "type": "array", "items": product } },
    });
    let mut definitions = Map::new();
    define(&mut schema, &components, &mut definitions);
    schema["$defs"] = definitions.into();
    schema
}

/// Takes along every definition that is pointed at.
fn define(value: &mut Value, components: &Value, definitions: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(name) = target.strip_prefix(COMPONENTS).map(str::to_owned)
            {
                *target = format!("#/$defs/{name}");
                if !definitions.contains_key(&name) {
                    definitions.insert(name.clone(), Value::Null);
                    let mut definition = components[&name].clone();
                    define(&mut definition, components, definitions);
                    definitions.insert(name, definition);
                }
            }
            members.values_mut().for_each(|member| define(member, components, definitions));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| define(item, components, definitions));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_there_and_a_misspelled_field_is_refused() {
        let schema = schema();

        let text = schema.to_string();
        assert!(!text.contains(COMPONENTS));
        for target in text.split("\"#/$defs/").skip(1) {
            let name = target.split('"').next().unwrap();
            assert!(schema["$defs"][name].is_object(), "{name}");
        }
        let product = &schema["properties"]["products"]["items"];
        assert_eq!(product["additionalProperties"], false);
        assert_eq!(product["required"], json!(["name"]));
        assert!(product["properties"]["gateway_endpoint"].is_object());
        assert_eq!(schema["$defs"]["PlanCreate"]["additionalProperties"], false);
        assert!(schema["$defs"]["Price"]["properties"]["tiers"].is_object());
    }
}
