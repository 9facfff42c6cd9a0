use std::path::Path;

use super::super::file;
use super::*;

fn wanted(text: &str) -> Catalog {
    file::read(Path::new("c.yaml"), text).unwrap()
}

/// A catalog as it is, written as one that is wanted.
fn present(text: &str) -> Present {
    let held = |kind: &str, it: Wanted| Held {
        path: format!("{kind}/id-of-{}", it.name),
        name: it.name,
        fields: it.fields,
        etag: "\"e\"".to_owned(),
    };
    let product = |it: WantedProduct| HeldProduct {
        product: held("products", it.product),
        plans: it.plans.into_iter().flatten().map(|plan| held("plans", plan)).collect(),
    };
    Present { products: wanted(text).products.into_iter().map(product).collect() }
}

fn said(file: &str, there: &str, prune: bool) -> String {
    match compare(&wanted(file), &present(there), prune) {
        Ok(steps) => steps.to_string(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

const THERE: &str = "
products:
  - name: maps
    gateway_endpoint: https://maps.example.com
    hosts: [m.example.com, both.example.com]
    plans:
      - { name: free, rate_limit: 60 }
      - { name: old }
  - name: gone
    plans: [{ name: last }]
";

#[test]
fn what_is_as_the_file_says_needs_nothing() {
    assert_eq!(said(THERE, THERE, true), "nothing to do");
}

#[test]
fn products_come_before_their_plans_and_removals_come_last_plans_first() {
    let file = "
products:
  - name: maps
    gateway_endpoint: https://maps.example.com/v2
    hosts: [m.example.com, both.example.com]
    plans:
      - { name: free, rate_limit: 30, monthly_quota: 1000 }
  - name: weather
    plans:
      - { name: free }
";

    insta::assert_snapshot!(said(file, THERE, true), @r#"
    ~ product maps
        gateway_endpoint: "https://maps.example.com" -> "https://maps.example.com/v2"
    + product weather
    ~ plan maps/free
        monthly_quota: null -> 1000
        rate_limit: 60 -> 30
    + plan weather/free
    - plan maps/old
    - plan gone/last
    - product gone
    2 to create, 2 to change, 3 to remove
    "#);
}

#[test]
fn without_prune_what_the_file_does_not_name_stays_and_is_said() {
    let file = "products: [{ name: maps, gateway_endpoint: 'https://maps.example.com', hosts: \
                [m.example.com, both.example.com], plans: [{ name: free, rate_limit: 60 }] }]";

    insta::assert_snapshot!(said(file, THERE, false), @r"
      plan maps/old: not in the file; stays without --prune
      product gone: not in the file; stays without --prune
    nothing to do
    ");
}

#[test]
fn plans_that_the_file_does_not_speak_of_stay_also_with_prune() {
    let file = "products: [{ name: maps, gateway_endpoint: 'https://maps.example.com', hosts: \
                [m.example.com, both.example.com] }, { name: gone }]";

    assert_eq!(said(file, THERE, true), "nothing to do");
}

#[test]
fn a_host_that_changes_hands_is_let_go_first() {
    let file = "
products:
  - name: new
    hosts: [both.example.com]
  - name: maps
    gateway_endpoint: https://maps.example.com
    hosts: [m.example.com]
";

    insta::assert_snapshot!(said(file, THERE, false), @r#"
    ~ product maps
        hosts: ["m.example.com","both.example.com"] -> ["m.example.com"]
    + product new
        hosts: ["both.example.com"]
      product gone: not in the file; stays without --prune
    1 to create, 1 to change, 0 to remove
    "#);
}

#[test]
fn a_host_of_a_product_that_the_file_leaves_alone_is_a_mistake() {
    let file = "products: [{ name: new, hosts: [both.example.com] }]";

    insta::assert_snapshot!(said(file, THERE, false), @r#"1:12: products[0].hosts: "both.example.com" leads to the product maps, which the file does not name"#);
    assert!(said(file, THERE, true).starts_with("~ product maps\n    hosts: "));
}

#[test]
fn a_null_that_an_edit_cannot_set_is_a_mistake_unless_it_is_there() {
    let file = "products: [{ name: a, metadata: { b: { c: ~ } } }]";

    assert_eq!(said(file, file, false), "nothing to do");
    assert!(said(file, "products: [{ name: a }]", false).contains("cannot be set by an edit"));
    assert!(said(file, "products: []", false).starts_with("+ product a"));
}
