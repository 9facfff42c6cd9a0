//! The form of a product: the same for a new one and for one that is edited.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{PATH, place};
use crate::console::ask::{Tagged, path};
use crate::console::data::{Product, Route, id, read};
use crate::console::field::{Choice, Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};
use crate::problem::Problem;

const FIELDS: [&str; 8] = [
    "title",
    "description",
    "gateway_endpoint",
    "status",
    "name",
    "hosts",
    "key_query_parameter",
    "routes",
];

const STATUSES: [Choice<'_>; 2] = [
    Choice {
        value: "draft",
        label: "Draft",
        hint: "Hidden from developers. It takes no new subscriptions; those it has go on.",
    },
    Choice { value: "active", label: "Active", hint: "Can be found and subscribed to." },
];

/// As long as the API allows.
const NAME_LENGTH_MAX: usize = 63;

pub async fn new(visitor: Visitor) -> Answer {
    let mut form = Form::default();
    form.push("status", "draft");
    form.push("once", visitor.once());
    Ok(ask_new(&visitor, StatusCode::OK, &form, &Errors::default()))
}

pub async fn create(sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let mut fields = fields(&form);
    if fields["name"] == "" {
        fields.insert("name".to_owned(), machine_name(form.text("title")).into());
    }
    if form.json_text("title") == "" {
        let problem = Problem::field("title", "is needed: developers see the product under it");
        return Ok(ask_new(&visitor, StatusCode::BAD_REQUEST, &form, &Errors::of(problem)));
    }
    fields.insert("routes".to_owned(), routes(form.text("routes")));
    match visitor.make(&path(&["products"]), fields, &mut form).await {
        Ok(product) => Ok(Redirect::to(&place(id(&product))).into_response()),
        Err(Refused { status, errors }) => Ok(ask_new(&visitor, status, &form, &errors)),
    }
}

pub async fn edit(visitor: Visitor, Path(product): Path<String>) -> Answer {
    let found: Tagged<Product> = visitor.get_tagged(&path(&["products", &product])).await?;
    let form = filled(&found);
    Ok(ask(&visitor, StatusCode::OK, &found.value, &form, &Errors::default()))
}

/// The form of a product with a status that it could not get.
pub async fn ask_with(visitor: &Visitor, product: &str, status: &str, errors: &Errors) -> Answer {
    let found: Tagged<Product> = visitor.get_tagged(&path(&["products", product])).await?;
    let mut form = filled(&found);
    form.set("status", status);
    Ok(ask(visitor, StatusCode::BAD_REQUEST, &found.value, &form, errors))
}

pub async fn save(Path(product): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let resource = path(&["products", &product]);
    let present: Tagged<Value> = visitor.get_tagged(&resource).await?;
    let found: Product = read(&present.value)?;
    let mut fields = fields(&form);
    // Only what was edited is sent: a text of lines says less than a list of routes may hold.
    if form.text("routes").replace('\r', "").trim() != routes_text(&found.routes).trim() {
        fields.insert("routes".to_owned(), routes(form.text("routes")));
    }
    match visitor.save(&resource, &present, fields.clone(), &fields, &mut form).await {
        Ok(_) => Ok(Redirect::to(&place(&found.id)).into_response()),
        Err(Refused { status, errors }) => Ok(ask(&visitor, status, &found, &form, &errors)),
    }
}

fn ask_new(visitor: &Visitor, status: StatusCode, form: &Form, errors: &Errors) -> Response {
    let target = Target {
        action: "/dashboard/admin/apis/new",
        submit: "Save",
        back: PATH,
        is_dangerous: false,
    };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &FIELDS, &inputs(&sheet, "Initial status"));
    visitor.sheet_with(status, Section::Apis, "Add Product", &content)
}

fn ask(
    visitor: &Visitor,
    status: StatusCode,
    product: &Product,
    form: &Form,
    errors: &Errors,
) -> Response {
    let action = format!("{PATH}/{}/edit", product.id);
    let back = place(&product.id);
    let target = Target { action: &action, submit: "Save", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &FIELDS, &inputs(&sheet, "Status"));
    let title = format!("Edit {}", product.title);
    visitor.sheet_with(status, Section::Apis, &title, &content)
}

fn inputs(sheet: &Sheet<'_>, status: &str) -> Markup {
    let advanced = ["name", "hosts", "key_query_parameter", "routes"];
    let is_open = advanced.iter().any(|name| !sheet.errors.at(name).is_empty());
    html! {
        (sheet.text("title", "Name", "What developers see."))
        (sheet.area("description", "Description", "What the API does and who it is for.", 3))
        (sheet.input("url", "gateway_endpoint", "Gateway endpoint",
            "The URL that handles requests, such as https://gateway.example.com/v1/payments. \
             A product without one can only be a draft."))
        (sheet.radios("status", status, &STATUSES))
        details.more open[is_open] {
            summary { "Path, hosts, keys and routes" }
            (sheet.text("name", "Machine name",
                "The first part of the path that callers use: a to z, 0 to 9 and -. \
                 Left empty, it is made from the name."))
            (sheet.area("hosts", "Hosts",
                "Host names that lead to the product without its name in the path, one on a line.", 2))
            (sheet.text("key_query_parameter", "Query parameter for keys",
                "Left empty, keys are taken from header fields only."))
            (sheet.area("routes", "Routes",
                "What calls cost and how large they may be, one route on a line: GET /v1/orders/{id} \
                 cost=5 units_header=X-Units body_bytes_max=1048576. A * is every method; what \
                 matches no route costs 1.", 4))
        }
    }
}

fn filled(found: &Tagged<Product>) -> Form {
    let product = &found.value;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    form.push("title", product.title.clone());
    form.push("description", product.description.clone());
    form.push("gateway_endpoint", product.gateway_endpoint.clone().unwrap_or_default());
    form.push("status", product.status.clone());
    form.push("name", product.name.clone());
    form.push("hosts", product.hosts.join("\n"));
    form.push("key_query_parameter", product.key_query_parameter.clone().unwrap_or_default());
    form.push("routes", routes_text(&product.routes));
    form
}

fn fields(form: &Form) -> Map<String, Value> {
    object([
        ("title", form.json_text("title")),
        // Lines end as they were stored, not as forms send them.
        ("description", form.text("description").replace("\r\n", "\n").into()),
        ("gateway_endpoint", form.json_optional("gateway_endpoint")),
        ("status", form.json_text("status")),
        ("name", form.json_text("name")),
        ("hosts", form.json_lines("hosts")),
        ("key_query_parameter", form.json_optional("key_query_parameter")),
    ])
}

/// A machine name from a title: `Payments & Payouts` is `payments-payouts`.
fn machine_name(title: &str) -> String {
    let mut name = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(NAME_LENGTH_MAX);
    name.trim_end_matches('-').to_owned()
}

fn routes_text(routes: &[Route]) -> String {
    let line = |route: &Route| {
        let mut line = format!("{} {}", route.method.as_deref().unwrap_or("*"), route.path);
        if route.cost != 1 {
            line.push_str(&format!(" cost={}", route.cost));
        }
        if let Some(name) = &route.units_header {
            line.push_str(&format!(" units_header={name}"));
        }
        if let Some(bytes) = route.body_bytes_max {
            line.push_str(&format!(" body_bytes_max={bytes}"));
        }
        line
    };
    routes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Lines as the API's list. What is no route goes on as it is, for the API to name.
fn routes(text: &str) -> Value {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(route).collect()
}

fn route(line: &str) -> Value {
    let mut words = line.split_whitespace();
    let method = match words.next().unwrap_or_default() {
        "*" => Value::Null,
        method => method.into(),
    };
    let mut route = json!({ "method": method, "path": words.next().unwrap_or_default() });
    for word in words {
        let (name, text) = word.split_once('=').unwrap_or((word, ""));
        let number = text.parse::<u64>().ok().filter(|_| name != "units_header");
        // Of two, neither is the one that is meant.
        let is_twice = route.get(name).is_some();
        let name = if is_twice { format!("{name} twice") } else { name.to_owned() };
        route[name] = number.map_or(text.into(), Value::from);
    }
    route
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_name_is_made_from_the_title() {
        assert_eq!(machine_name("Payments & Payouts"), "payments-payouts");
        assert_eq!(machine_name("  \u{dc}ber-API 2! "), "ber-api-2");
        assert_eq!(machine_name(&"ab ".repeat(40)).len(), 62);
        assert_eq!(machine_name("\u{5929}\u{6c17}"), "");
    }

    #[test]
    fn routes_are_the_same_after_a_visit_to_the_form() {
        let routes_before = json!([
            { "method": "GET", "path": "/a/{id}", "cost": 5, "units_header": "X-Units", "body_bytes_max": 9 },
            { "method": null, "path": "/b/{*rest}", "cost": 1, "units_header": null, "body_bytes_max": null },
        ]);
        let read: Vec<Route> = serde_json::from_value(routes_before).unwrap();

        let text = routes_text(&read);

        assert_eq!(text, "GET /a/{id} cost=5 units_header=X-Units body_bytes_max=9\n* /b/{*rest}");
        assert_eq!(
            routes(&text),
            json!([
                { "method": "GET", "path": "/a/{id}", "cost": 5, "units_header": "X-Units", "body_bytes_max": 9 },
                { "method": null, "path": "/b/{*rest}" },
            ])
        );
        assert_eq!(routes("GET"), json!([{ "method": "GET", "path": "" }]));
        assert_eq!(
            routes("GET /a cost=1 cost=2"),
            json!([{ "method": "GET", "path": "/a", "cost": 1, "cost twice": 2 }])
        );
        assert_eq!(
            routes("GET /a price=x"),
            json!([{ "method": "GET", "path": "/a", "price": "x" }])
        );
    }
}
