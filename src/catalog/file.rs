//! What a catalog file says. A file is read whole, and every mistake in it is named.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::path::Path;

use serde_json::Value;
use tollgate_admin::json::Object;

use super::mistake::{Mistake, Mistakes, Place};
use super::normal::Kind;
use super::yaml::{self, Node};
use crate::command::Failure;

/// Some thousand products with all their routes; a larger file is not a catalog.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the catalog shall be.
#[derive(Debug, Default)]
pub struct Catalog {
    pub products: Vec<WantedProduct>,
}

#[derive(Debug)]
pub struct WantedProduct {
    pub product: Wanted,
    /// None: the file does not speak of them.
    pub plans: Option<Vec<Wanted>>,
}

/// A product or a plan as the file wants it, every field there.
#[derive(Debug)]
pub struct Wanted {
    pub name: String,
    pub fields: Object,
    /// Where the file has it: `products[0].plans[1]`, and its line.
    pub field: String,
    pub place: Place,
}

/// The text of a file, if it is not absurdly large.
pub fn load(file: &Path) -> Result<String, Failure> {
    let unreadable = |error| format!("cannot read {}: {error}", file.display());
    if std::fs::metadata(file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(format!("{} is larger than {FILE_BYTES_MAX} bytes", file.display()).into());
    }
    Ok(std::fs::read_to_string(file).map_err(unreadable)?)
}

/// Reads a file's text.
pub fn read(file: &Path, text: &str) -> Result<Catalog, Mistakes> {
    let mut reader = Reader::default();
    let catalog = reader.catalog(text);
    if reader.mistakes.is_empty() { Ok(catalog) } else { Err(Mistakes::new(file, reader.mistakes)) }
}

#[derive(Default)]
struct Reader {
    mistakes: Vec<Mistake>,
    /// Names and hosts that are taken, by what they are unique among.
    taken: HashMap<(String, String), Place>,
}

impl Reader {
    fn catalog(&mut self, text: &str) -> Catalog {
        let start = Place { line: 1, column: 1 };
        let Some(root) = yaml::parse(text, &mut self.mistakes) else {
            // What cannot be read as YAML has been named; what is empty has not.
            if self.mistakes.is_empty() {
                self.note(start, "", "must be an object with a list of `products`");
            }
            return Catalog::default();
        };
        let Some(entries) = root.entries() else {
            self.note(root.place, "", "must be an object with a list of `products`");
            return Catalog::default();
        };
        for entry in entries.iter().filter(|entry| entry.name != "products") {
            self.note(entry.place, &entry.name, "is not a known field");
        }
        let Some(products) = root.entry("products") else {
            self.note(root.place, "products", "is required");
            return Catalog::default();
        };
        let products = self.each(&products.node, "products", products.place, Self::product);
        Catalog { products }
    }

    fn each<T>(
        &mut self,
        list: &Node,
        field: &str,
        place: Place,
        mut read: impl FnMut(&mut Self, &Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let Some(items) = list.items() else {
            self.note(place, field, "must be a list; an empty one is []");
            return Vec::new();
        };
        let read_one = |(position, node)| read(self, node, &format!("{field}[{position}]"));
        items.iter().enumerate().filter_map(read_one).collect()
    }

    fn product(&mut self, node: &Node, field: &str) -> Option<WantedProduct> {
        let mut stated = self.object(node, field)?;
        stated.remove("plans");
        let product = self.wanted(node, field, stated, Kind::Product);
        let plans = node.entry("plans").map(|plans| {
            let among = format!("{field}.plans");
            self.each(&plans.node, &among, plans.place, |reader, node, place| {
                reader.plan(node, place, &among)
            })
        });
        self.take_name("products", node, field);
        let product = product?;
        for (position, host) in list(&product.fields, "hosts").iter().enumerate() {
            let host = host.as_str().unwrap_or_default();
            self.take("hosts", &format!("hosts[{position}]"), host, node, field);
        }
        Some(WantedProduct { product, plans })
    }

    fn plan(&mut self, node: &Node, field: &str, among: &str) -> Option<Wanted> {
        let stated = self.object(node, field)?;
        self.take_name(among, node, field);
        self.wanted(node, field, stated, Kind::Plan)
    }

    fn object(&mut self, node: &Node, field: &str) -> Option<Object> {
        match node.to_json() {
            Value::Object(object) => Some(object),
            _ => {
                self.note(node.place, field, "must be an object");
                None
            }
        }
    }

    fn wanted(&mut self, node: &Node, field: &str, stated: Object, kind: Kind) -> Option<Wanted> {
        match kind.read(stated) {
            Ok(fields) => {
                let name = fields["name"].as_str().unwrap_or_default().to_owned();
                Some(Wanted { name, fields, field: field.to_owned(), place: node.place })
            }
            Err(problem) => {
                for error in problem.errors {
                    let place = node.place_of(&error.field);
                    self.note(place, &format!("{field}.{}", error.field), &error.message);
                }
                None
            }
        }
    }

    /// A name is taken also by what has mistakes elsewhere.
    fn take_name(&mut self, among: &str, node: &Node, field: &str) {
        if let Some(Value::String(name)) = node.find("name").map(Node::to_json) {
            self.take(among, "name", &name, node, field);
        }
    }

    /// Notes what is there for the second time.
    fn take(&mut self, among: &str, inner: &str, name: &str, node: &Node, field: &str) {
        let place = node.place_of(inner);
        match self.taken.entry((among.to_owned(), name.to_owned())) {
            Slot::Vacant(slot) => {
                slot.insert(place);
            }
            Slot::Occupied(slot) => {
                let message = format!("\"{name}\" is there already, in line {}", slot.get().line);
                self.note(place, &format!("{field}.{inner}"), &message);
            }
        }
    }

    fn note(&mut self, place: Place, field: &str, message: &str) {
        self.mistakes.push(Mistake::at(place, field, message));
    }
}

/// The items of a field that is a list; none where it is not.
pub fn list<'a>(fields: &'a Object, name: &str) -> &'a [Value] {
    fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> String {
        read(Path::new("c.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text = "products:\n  - name: a\n    plans:\n      - name: free\n  - name: b\n";

        let catalog = read(Path::new("c.yaml"), text).unwrap();

        let [a, b] = &catalog.products[..] else { panic!("{catalog:?}") };
        assert_eq!(a.product.fields["title"], "a");
        assert_eq!(a.product.fields["status"], "draft");
        assert_eq!(a.plans.as_ref().unwrap()[0].fields["time_zone"], "UTC");
        assert!(b.plans.is_none());
    }

    #[test]
    fn every_mistake_is_named_in_one_go_with_its_line() {
        let text = "\
version: 1
products:
  - name: Weather
    titel: x
    routes:
      - path: /a
      - path: b
        cost: many
    plans:
      - name: free
        rate_limit: 0
        prices:
          - amount: -1
      - name: free
  - name: maps
    status: active
    hosts: [maps.example.com]
    plans: ~
  - name: maps
    hosts:
      - maps.example.com
    plans:
      - name: one
      - name: one
  - 7
";

        insta::assert_snapshot!(mistakes(text), @r#"
        c.yaml:1:1: version: is not a known field
        c.yaml:3:5: products[0].name: must consist of a-z, 0-9 and inner hyphens
        c.yaml:4:5: products[0].titel: is not a known field
        c.yaml:7:9: products[0].routes[1].path: must begin with a slash
        c.yaml:8:9: products[0].routes[1].cost: must be a number
        c.yaml:11:9: products[0].plans[0].rate_limit: must be a whole number from 1 to 4294967295
        c.yaml:13:13: products[0].plans[0].prices[0].amount: must be a whole number of minor units, or a decimal number in a string such as "0.05"
        c.yaml:13:13: products[0].plans[0].prices[0].currency: is required
        c.yaml:14:9: products[0].plans[1].name: "free" is there already, in line 10
        c.yaml:15:5: products[1].gateway_endpoint: is required: a product without a gateway endpoint can only be a draft
        c.yaml:18:5: products[1].plans: must be a list; an empty one is []
        c.yaml:19:5: products[2].name: "maps" is there already, in line 15
        c.yaml:24:9: products[2].plans[1].name: "one" is there already, in line 23
        c.yaml:25:5: products[3]: must be an object
        "#);
    }

    #[test]
    fn a_mistake_steers_no_terminal_and_begins_no_line() {
        insta::assert_snapshot!(
            mistakes("\"\\e[2J\\n\\u202ex\": 1\nproducts: []\n"),
            @r"c.yaml:1:1: \u{1b}[2J\u{a}\u{202e}x: is not a known field"
        );
    }

    #[test]
    fn a_number_with_many_digits_is_read_as_the_api_reads_it() {
        let number = "123456789.123456789";
        let text = format!("products:\n  - name: a\n    metadata: {{ n: {number} }}\n");

        let catalog = read(Path::new("c.yaml"), &text).unwrap();

        let sent: Value = serde_json::from_str(number).unwrap();
        assert_eq!(catalog.products[0].product.fields["metadata"]["n"], sent);
        assert_eq!(sent.to_string(), "123456789.12345679");
    }

    #[test]
    fn a_file_that_is_no_catalog_says_what_it_should_be() {
        insta::assert_snapshot!(mistakes(""), @"c.yaml:1:1: must be an object with a list of `products`");
        insta::assert_snapshot!(mistakes("- a\n"), @"c.yaml:1:1: must be an object with a list of `products`");
        insta::assert_snapshot!(mistakes("products: {}\n"), @"c.yaml:1:1: products: must be a list; an empty one is []");
        insta::assert_snapshot!(mistakes("a: [\n"), @"c.yaml:1:4: not YAML: unclosed bracket '['");
    }
}
