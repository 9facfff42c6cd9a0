//! A description of an API (OpenAPI 3) as a product: its operations are routes, and
//! `x-tollgate-weight`, at an operation or for all of a path, is what a call costs.

use std::path::Path;

use serde_json::{Value, json};
use tollgate_admin::json::Object;
use tollgate_common::endpoint::Endpoint;

use super::file::Wanted;
use super::mistake::{Mistake, Mistakes, Place};
use super::normal::Kind;
use super::write;
use super::yaml::{self, Entry, Node};

const WEIGHT: &str = "x-tollgate-weight";

/// The operations that a path can have (OpenAPI 3.2, section 4.9).
const METHODS: [&str; 9] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// A product as the description has it.
#[derive(Debug)]
pub struct Described {
    /// What the description says, as in a catalog file.
    stated: Object,
    pub product: Wanted,
}

impl Described {
    /// A catalog file with this product.
    pub fn fragment(&self) -> String {
        let root = Object::from_iter([("products".to_owned(), json!([self.stated]))]);
        let mut text = String::new();
        write::object(&root, 0, &mut text);
        text
    }
}

/// Reads a description, in YAML or JSON, as the product of this name.
pub fn read(file: &Path, text: &str, name: &str) -> Result<Described, Mistakes> {
    let mut mistakes = Vec::new();
    let described = yaml::parse(text, &mut mistakes)
        .filter(|_| mistakes.is_empty())
        .and_then(|root| describe(&root, name, &mut mistakes));
    if described.is_none() && mistakes.is_empty() {
        mistakes.push(Mistake::at(Place { line: 1, column: 1 }, "", "the file is empty"));
    }
    described.filter(|_| mistakes.is_empty()).ok_or_else(|| Mistakes::new(file, mistakes))
}

/// One operation: the route that it is, and where it stands.
struct Operation {
    route: Value,
    place: Place,
    field: String,
}

fn describe(root: &Node, name: &str, mistakes: &mut Vec<Mistake>) -> Option<Described> {
    let text = |field: &str| match root.find(field)?.to_json() {
        Value::String(text) => Some(text),
        _ => None,
    };
    if !text("openapi").is_some_and(|version| version.starts_with("3.")) {
        let message = "must be a version of OpenAPI 3, such as \"3.1.0\"";
        mistakes.push(Mistake::at(root.place_of("openapi"), "openapi", message));
        return None;
    }
    let Some(paths) = root.entry("paths").and_then(|paths| paths.node.entries()) else {
        mistakes.push(Mistake::at(root.place_of("paths"), "paths", "must be an object"));
        return None;
    };
    let is_path = |entry: &&Entry| entry.name.starts_with('/');
    let operations: Vec<Operation> =
        paths.iter().filter(is_path).flat_map(|path| read_path(path, mistakes)).collect();
    let mut stated = Object::from_iter([("name".to_owned(), json!(name))]);
    stated.extend(text("info.title").map(|title| ("title".to_owned(), json!(title))));
    // The address may be relative, or have variables; then the owner says what it is.
    let endpoint = text("servers[0].url").filter(|url| Endpoint::parse(url).is_ok());
    stated.extend(endpoint.map(|url| ("gateway_endpoint".to_owned(), json!(url))));
    let routes: Vec<&Value> = operations.iter().map(|operation| &operation.route).collect();
    stated.insert("routes".to_owned(), json!(routes));
    match Kind::Product.read(stated.clone()) {
        Ok(fields) => {
            let product =
                Wanted { name: name.to_owned(), fields, field: String::new(), place: root.place };
            Some(Described { stated, product })
        }
        Err(problem) => {
            for error in problem.errors {
                mistakes.push(translated(root, &operations, &error.field, &error.message));
            }
            None
        }
    }
}

fn read_path(path: &Entry, mistakes: &mut Vec<Mistake>) -> Vec<Operation> {
    let field = format!("paths.{}", path.name);
    let Some(entries) = path.node.entries() else {
        mistakes.push(Mistake::at(path.place, field, "must be an object"));
        return Vec::new();
    };
    if let Some(reference) = path.node.entry("$ref") {
        let message = "references of paths are not followed: write the operations out";
        mistakes.push(Mistake::at(reference.place, format!("{field}.$ref"), message));
    }
    let of_path = path.node.entry(WEIGHT);
    let is_operation = |entry: &&Entry| METHODS.contains(&entry.name.as_str());
    let operation = |entry: &Entry| {
        let mut route = json!({ "method": entry.name.to_ascii_uppercase(), "path": path.name });
        let weight = entry.node.entry(WEIGHT).or(of_path);
        if let Some(weight) = weight {
            route["cost"] = weight.node.to_json();
        }
        let place = weight.map_or(entry.place, |weight| weight.place);
        Operation { route, place, field: format!("{field}.{}", entry.name) }
    };
    entries.iter().filter(is_operation).map(operation).collect()
}

/// A mistake in a product as one in the description that it is made from.
fn translated(root: &Node, operations: &[Operation], field: &str, message: &str) -> Mistake {
    let position = field.strip_prefix("routes[").and_then(|rest| rest.split_once(']'));
    let position = position.and_then(|(position, rest)| Some((position.parse().ok()?, rest)));
    if let Some((position, rest)) = position
        && let Some(operation) = operations.get::<usize>(position)
    {
        let inner = if rest == ".cost" { format!(".{WEIGHT}") } else { String::new() };
        return Mistake::at(operation.place, format!("{}{inner}", operation.field), message);
    }
    let (from, shown) = match field {
        "title" => ("info.title", "info.title"),
        "routes" => ("paths", "paths"),
        "name" => ("", "--product"),
        other => ("", other),
    };
    Mistake::at(root.place_of(from), shown, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match read(Path::new("o.yaml"), text, "weather") {
            Ok(described) => described.fragment(),
            Err(mistakes) => mistakes.to_string(),
        }
    }

    #[test]
    fn operations_are_routes_and_weights_are_costs() {
        let text = "
openapi: 3.1.0
info: { title: Weather, version: '1' }
servers: [{ url: https://api.example.com/v1 }]
paths:
  /now/{city}:
    summary: Now
    get: { responses: { 200: { description: ok } } }
  /forecast/{city}:
    x-tollgate-weight: 5
    get: {}
    post: { x-tollgate-weight: 20 }
    delete: { x-tollgate-weight: 0 }
  x-other: 1
";

        insta::assert_snapshot!(said(text), @r#"
        products:
          - name: weather
            title: Weather
            gateway_endpoint: "https://api.example.com/v1"
            routes:
              - method: GET
                path: "/now/{city}"
              - method: GET
                path: "/forecast/{city}"
                cost: 5
              - method: POST
                path: "/forecast/{city}"
                cost: 20
              - method: DELETE
                path: "/forecast/{city}"
                cost: 0
        "#);
    }

    #[test]
    fn json_is_read_too_and_an_endpoint_with_variables_is_left_to_the_owner() {
        let text = r#"{"openapi": "3.0.3", "servers": [{"url": "https://{region}.example.com"}],
            "paths": {"/a": {"get": {}}}}"#;

        insta::assert_snapshot!(said(text), @r"
        products:
          - name: weather
            routes:
              - method: GET
                path: /a
        ");
    }

    #[test]
    fn every_mistake_is_named_where_the_description_has_it() {
        let text = "
openapi: 3.1.0
paths:
  /a/{x}:
    x-tollgate-weight: many
    get: {}
    put: { x-tollgate-weight: 1.5 }
  /a/{y}:
    put: {}
  /b/{}:
    get: {}
  /c:
    $ref: '#/components/pathItems/c'
";

        insta::assert_snapshot!(said(text), @r"
        o.yaml:5:5: paths./a/{x}.get.x-tollgate-weight: must be a number
        o.yaml:7:12: paths./a/{x}.put.x-tollgate-weight: must be a whole number from 0 to 1000000
        o.yaml:9:5: paths./a/{y}.put: /a/{y} matches the same calls as /a/{x}, for the same method
        o.yaml:11:5: paths./b/{}.get: is no path pattern: Parameters must be registered with a valid name
        o.yaml:13:5: paths./c.$ref: references of paths are not followed: write the operations out
        ");
        insta::assert_snapshot!(said("swagger: '2.0'\n"), @r#"o.yaml:1:1: openapi: must be a version of OpenAPI 3, such as "3.1.0""#);
        insta::assert_snapshot!(said(""), @"o.yaml:1:1: the file is empty");
    }
}
