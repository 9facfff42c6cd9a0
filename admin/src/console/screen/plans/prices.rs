//! The prices of a plan in its form: a group of fields for each. Amounts are typed as people write
//! them, such as `0.05`, and go to the API in minor units.

use maud::{Markup, html};
use serde_json::{Map, Value};
use tollgate_common::price::Currency;
use tollgate_common::price::amount::AmountError;

use crate::console::field::{Choice, Sheet};
use crate::console::form::{Errors, Form};
use crate::console::text::{major, minor};

/// More is possible through the API; nobody reads more in a form.
const PRICES_MAX: usize = 30;

/// The fields of a price that are kept as they are typed.
const WORDS: [&str; 7] =
    ["name", "currency", "usage_type", "billing_scheme", "interval", "meter", "metered_aggregate"];
const NUMBERS: [&str; 2] = ["package_size", "included_units"];
const AMOUNTS: [&str; 3] = ["amount", "minimum_spend", "maximum_spend"];

/// What is wrong with a text that is no amount: the API speaks of the minor units that it reads.
const AMOUNT_TYPED: &str = "must be an amount such as 1.50, with a point and without spaces";

/// What must be typed for a price to be one: the rest has a value from the beginning.
const TYPED: [&str; 7] =
    ["name", "amount", "tiers", "package_size", "included_units", "minimum_spend", "maximum_spend"];

const USAGE_TYPES: [Choice<'_>; 2] = [
    Choice { value: "licensed", label: "Fee for the interval", hint: "" },
    Choice { value: "metered", label: "By use", hint: "" },
];
const SCHEMES: [Choice<'_>; 3] = [
    Choice { value: "flat", label: "One amount", hint: "" },
    Choice { value: "graduated", label: "Tiers, each unit in its own", hint: "" },
    Choice { value: "volume", label: "Tiers, all units in the last reached", hint: "" },
];
const INTERVALS: [Choice<'_>; 4] = [
    Choice { value: "month", label: "Month", hint: "" },
    Choice { value: "day", label: "Day", hint: "" },
    Choice { value: "week", label: "Week", hint: "" },
    Choice { value: "year", label: "Year", hint: "" },
];
const METERS: [Choice<'_>; 4] = [
    Choice { value: "units", label: "Units (calls by their cost)", hint: "" },
    Choice { value: "calls", label: "Calls", hint: "" },
    Choice { value: "bytes_in", label: "Bytes in", hint: "" },
    Choice { value: "bytes_out", label: "Bytes out", hint: "" },
];
const AGGREGATES: [Choice<'_>; 3] = [
    Choice { value: "sum", label: "Sum", hint: "" },
    Choice { value: "max", label: "Highest", hint: "" },
    Choice { value: "last_during_period", label: "Last of the period", hint: "" },
];

fn field(position: usize, name: &str) -> String {
    format!("prices[{position}].{name}")
}

/// How many prices a form holds.
fn count(form: &Form) -> usize {
    (0..PRICES_MAX).take_while(|position| form.has(&field(*position, "usage_type"))).count()
}

/// Puts prices, as the API has them, into a form.
pub fn fill(form: &mut Form, prices: &[Value]) {
    for (position, price) in prices.iter().enumerate() {
        let places = places(price["currency"].as_str().unwrap_or_default());
        for name in WORDS.iter().chain(&NUMBERS) {
            form.push(&field(position, name), plain(&price[*name]));
        }
        for name in AMOUNTS {
            form.push(&field(position, name), amount(&price[name], places));
        }
        if let Some(mode) = price["tier_mode"].as_str() {
            form.set(&field(position, "billing_scheme"), mode);
        }
        form.push(&field(position, "tiers"), tiers_text(&price["tiers"], places));
    }
}

/// Room for one more price.
pub fn add(form: &mut Form) {
    let position = count(form);
    if position < PRICES_MAX {
        let before = position.checked_sub(1).map(|before| field(before, "currency"));
        let currency = before.map_or("USD".to_owned(), |before| form.text(&before).to_owned());
        form.push(&field(position, "usage_type"), "licensed");
        form.push(&field(position, "currency"), currency);
    }
}

/// The prices of a form as the API reads them. What was left empty is taken out of the form first, so
/// that a price has the same place here and in what the API says of it.
pub fn take(form: &mut Form) -> Value {
    let mut kept = Vec::new();
    for position in 0..count(form) {
        if TYPED.iter().any(|name| says_something(name, form.text(&field(position, name)))) {
            let price = object(form, position);
            kept.push((position, price));
        }
    }
    let names = || WORDS.iter().chain(&NUMBERS).chain(&AMOUNTS).chain(&["tiers"]);
    let mut closed = Form::default();
    for (place, (position, _)) in kept.iter().enumerate() {
        for name in names() {
            closed.push(&field(place, name), form.text(&field(*position, name)));
        }
    }
    form.replace("prices[", closed);
    kept.into_iter().map(|(_, price)| Value::Object(price)).collect()
}

/// No included units are what every price by use has, also one that is left empty.
fn says_something(name: &str, typed: &str) -> bool {
    !matches!((name, typed.trim()), (_, "") | ("included_units", "0"))
}

/// What is wrong with amounts, for whoever types them as people write them.
pub fn reworded(errors: Errors) -> Errors {
    errors.reworded(&AmountError::Form.to_string(), AMOUNT_TYPED)
}

fn object(form: &Form, position: usize) -> Map<String, Value> {
    let places = places(form.text(&field(position, "currency")));
    let is_metered = form.text(&field(position, "usage_type")) == "metered";
    let mut price = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            price.insert(name.to_owned(), value);
        }
    };
    for name in WORDS {
        // What only use has is in the form of a fee too, and says nothing there.
        if is_metered || !matches!(name, "meter" | "metered_aggregate") {
            put(name, form.json_optional(&field(position, name)));
        }
    }
    for name in NUMBERS {
        put(name, form.json_number(&field(position, name)));
    }
    for name in AMOUNTS {
        let typed = form.text(&field(position, name)).trim();
        if !typed.is_empty() {
            put(name, minor(typed, places).into());
        }
    }
    let mode = form.text(&field(position, "billing_scheme"));
    if matches!(mode, "graduated" | "volume") {
        put("billing_scheme", "tiered".into());
        put("tier_mode", mode.into());
    }
    let tiers = tiers(form.text(&field(position, "tiers")), places);
    if tiers.as_array().is_some_and(|tiers| !tiers.is_empty()) {
        put("tiers", tiers);
    }
    price
}

pub fn inputs(sheet: &Sheet<'_>) -> Markup {
    let count = count(sheet.form);
    html! {
        fieldset.prices {
            legend { "Prices" }
            p.hint {
                "What an invoice is made of. Free needs none; Fixed takes fees; Metered needs at least \
                 one by use. A price that is left empty is taken out."
            }
            @for error in sheet.errors.exactly("prices") { p.error { (error) } }
            @for position in 0..count { (price(sheet, position)) }
            // The first button of a form is the one that Enter presses.
            button.hidden type="submit" tabindex="-1" aria-hidden="true" { "Save" }
            button type="submit" name="add_price" value="1" formnovalidate { "Add price" }
        }
    }
}

fn price(sheet: &Sheet<'_>, position: usize) -> Markup {
    let at = |name: &str| field(position, name);
    let rare = [
        "name",
        "interval",
        "meter",
        "metered_aggregate",
        "package_size",
        "included_units",
        "tiers",
        "minimum_spend",
        "maximum_spend",
    ];
    let is_open = rare.iter().any(|name| {
        let typed = sheet.form.text(&at(name));
        let is_usual = matches!(typed, "" | "month" | "units" | "sum");
        !sheet.errors.at(&at(name)).is_empty() || (!is_usual && *name != "name")
    });
    html! {
        fieldset.price {
            legend { "Price " (position + 1) }
            @for error in sheet.errors.exactly(&format!("prices[{position}]")) { p.error { (error) } }
            div.row {
                (sheet.select(&at("usage_type"), "Charged", "", &USAGE_TYPES))
                (sheet.input("decimal", &at("amount"), "Amount", ""))
                (sheet.text(&at("currency"), "Currency", ""))
            }
            details.more open[is_open] {
                summary { "Interval, meter, tiers and bounds" span.hidden { " of price " (position + 1) } }
                (sheet.text(&at("name"), "Name", "Its line on an invoice."))
                div.row {
                    (sheet.select(&at("interval"), "Each", "", &INTERVALS))
                    (sheet.select(&at("meter"), "Meter", "", &METERS))
                    (sheet.select(&at("metered_aggregate"), "Aggregate", "", &AGGREGATES))
                }
                (sheet.select(&at("billing_scheme"), "Scheme", "", &SCHEMES))
                (sheet.area(&at("tiers"), "Tiers",
                    "One on a line: up to, amount for each unit, amount for the tier. The last begins \
                     with a star: * 0.01", 3))
                div.row {
                    (sheet.input("number", &at("package_size"), "Units in a package", ""))
                    (sheet.input("number", &at("included_units"), "Included units", ""))
                }
                div.row {
                    (sheet.input("decimal", &at("minimum_spend"), "Minimum spend", ""))
                    (sheet.input("decimal", &at("maximum_spend"), "Maximum spend", ""))
                }
            }
        }
    }
}

/// Digits behind the point; none for what is no currency, which the API says.
fn places(currency: &str) -> usize {
    currency.trim().parse::<Currency>().map_or(0, |currency| usize::from(currency.exponent()))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn amount(value: &Value, places: usize) -> String {
    if value.is_null() { String::new() } else { major(&plain(value), places) }
}

fn tiers_text(tiers: &Value, places: usize) -> String {
    let line = |tier: &Value| {
        let up_to = if tier["up_to"].is_null() { "*".to_owned() } else { plain(&tier["up_to"]) };
        let mut line = format!("{up_to} {}", amount(&tier["amount"], places));
        if tier["flat_amount"] != 0 {
            line = format!("{line} {}", amount(&tier["flat_amount"], places));
        }
        line
    };
    let lines: Vec<String> = tiers.as_array().into_iter().flatten().map(line).collect();
    lines.join("\n")
}

/// Lines as the API's tiers. What is no tier goes on as it is, for the API to name.
fn tiers(text: &str, places: usize) -> Value {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| tier(line, places)).collect()
}

fn tier(line: &str, places: usize) -> Value {
    let mut words = line.split_whitespace();
    let mut tier = Map::new();
    let up_to = match words.next().unwrap_or_default() {
        "*" => Value::Null,
        text => text.parse::<u64>().map_or(text.into(), Value::from),
    };
    tier.insert("up_to".to_owned(), up_to);
    for name in ["amount", "flat_amount"] {
        if let Some(text) = words.next() {
            tier.insert(name.to_owned(), minor(text, places).into());
        }
    }
    if let Some(word) = words.next() {
        tier.insert(word.to_owned(), Value::Null);
    }
    tier.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prices_are_the_same_after_a_visit_to_the_form() {
        let prices = [
            json!({ "name": "fee", "currency": "USD", "usage_type": "licensed", "interval": "month",
                    "billing_scheme": "flat", "amount": 4900 }),
            json!({ "name": "bytes", "currency": "JPY", "usage_type": "metered", "interval": "day",
                    "billing_scheme": "tiered", "tier_mode": "volume", "meter": "bytes_out",
                    "metered_aggregate": "max", "included_units": 5, "minimum_spend": 100,
                    "tiers": [{ "up_to": 5, "amount": 7, "flat_amount": 1 },
                              { "up_to": null, "amount": "6.5", "flat_amount": 0 }] }),
        ];
        let mut form = Form::default();
        fill(&mut form, &prices);
        assert_eq!(form.text("prices[0].amount"), "49.00");
        assert_eq!(form.text("prices[1].tiers"), "5 7 1\n* 6.5");

        let read = take(&mut form);

        assert_eq!(read[0]["amount"], "4900");
        assert_eq!(
            read[1],
            json!({
                "name": "bytes", "currency": "JPY", "usage_type": "metered", "interval": "day",
                "billing_scheme": "tiered", "tier_mode": "volume", "meter": "bytes_out",
                "metered_aggregate": "max", "included_units": 5, "minimum_spend": "100",
                "tiers": [{ "up_to": 5, "amount": "7", "flat_amount": "1" },
                          { "up_to": null, "amount": "6.5" }],
            })
        );
    }

    #[test]
    fn a_price_by_use_that_is_emptied_is_taken_out() {
        let mut form = Form::default();
        let price = json!({
            "name": "price-1", "currency": "USD", "usage_type": "metered", "interval": "month",
            "billing_scheme": "flat", "amount": 5, "meter": "units", "metered_aggregate": "sum",
            "included_units": 0,
        });
        fill(&mut form, &[price]);
        form.set("prices[0].amount", "");
        form.set("prices[0].name", "");

        assert_eq!(take(&mut form), json!([]));
    }

    #[test]
    fn a_price_that_is_left_empty_is_taken_out() {
        let mut form = Form::default();
        add(&mut form);
        add(&mut form);
        form.set("prices[1].amount", "1.50");

        let read = take(&mut form);

        assert_eq!(read, json!([{ "currency": "USD", "usage_type": "licensed", "amount": "150" }]));
        assert_eq!(form.text("prices[0].amount"), "1.50");
        assert!(!form.has("prices[1].amount"));
    }
}
