//! A YAML document as JSON would have it, whose every part knows its place.
//!
//! What YAML readers take in different ways is a mistake here: aliases, tags, a name that comes
//! twice, numbers such as `012`.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Number, Value};

use super::mistake::{Mistake, Place};

/// Deeper than descriptions of APIs are in practice, and far from the end of the stack.
const NESTING_MAX: usize = 64;

#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Object(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Object(entries) => {
                let member = |entry: &Entry| (entry.name.clone(), entry.node.to_json());
                Value::Object(entries.iter().map(member).collect::<Map<_, _>>())
            }
        }
    }

    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Object(entries) => Some(entries),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    pub fn items(&self) -> Option<&[Node]> {
        match &self.content {
            Content::List(items) => Some(items),
            Content::Scalar(_) | Content::Object(_) => None,
        }
    }

    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.name == name)
    }

    /// A field such as `servers[0].url`.
    pub fn find(&self, field: &str) -> Option<&Node> {
        self.follow(field).0
    }

    /// Where a field such as `routes[1].cost` stands; of one that is missing, where it belongs.
    pub fn place_of(&self, field: &str) -> Place {
        self.follow(field).1
    }

    fn follow(&self, field: &str) -> (Option<&Node>, Place) {
        let mut node = self;
        let mut place = self.place;
        for step in field.split('.').flat_map(|part| part.split('[')) {
            let next = match step.strip_suffix(']') {
                Some(position) => {
                    let position = position.parse::<usize>().ok();
                    let item = position.and_then(|position| node.items()?.get(position));
                    item.map(|item| (item, item.place))
                }
                None => node.entry(step).map(|entry| (&entry.node, entry.place)),
            };
            let Some(next) = next else { return (None, place) };
            (node, place) = next;
        }
        (Some(node), place)
    }
}

/// Reads one document. A syntax error ends the reading; every other mistake is noted beside it.
/// None when there is no document.
pub fn parse(text: &str, mistakes: &mut Vec<Mistake>) -> Option<Node> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = NESTING_MAX;
    options.block_nesting_limit = NESTING_MAX;
    let events = Parser::new_from_str_with_options(text, options);
    Reader { events, mistakes }.document()
}

struct Reader<'t, 'm> {
    events: Parser<'t, StrInput<'t>>,
    mistakes: &'m mut Vec<Mistake>,
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some((event, span)) = self.next() {
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    self.note(place(&span), "a second document: one file is one document");
                    return root;
                }
                Event::StreamEnd => return root,
                event => root = Some(self.node(event, &span)?),
            }
        }
        root
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Option<Node> {
        let place = place(span);
        let tag = match &event {
            Event::Scalar(.., tag)
            | Event::SequenceStart(.., tag)
            | Event::MappingStart(.., tag) => tag.is_some(),
            _ => false,
        };
        if tag {
            self.note(place, "tags are not read here: write the value without one");
        }
        let content = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => match plain(&text) {
                Some(value) => Content::Scalar(value),
                None => {
                    let message = format!("`{text}` is a number to some readers: put it in quotes");
                    self.note(place, &message);
                    Content::Scalar(Value::Null)
                }
            },
            Event::Scalar(text, ..) => Content::Scalar(text.into_owned().into()),
            Event::SequenceStart(..) => Content::List(self.list()?),
            Event::MappingStart(..) => Content::Object(self.object()?),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.note(place, "aliases are not read here: write the value out");
                Content::Scalar(Value::Null)
            }
            _ => Content::Scalar(Value::Null),
        };
        Some(Node { place, content })
    }

    fn list(&mut self) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(nodes),
                (event, span) => nodes.push(self.node(event, &span)?),
            }
        }
    }

    fn object(&mut self) -> Option<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (name, at) = match self.next()? {
                (Event::MappingEnd, _) => return Some(entries),
                (Event::Scalar(text, ..), span) => (Some(text.into_owned()), place(&span)),
                (event, span) => {
                    self.node(event, &span)?;
                    (None, place(&span))
                }
            };
            let (event, span) = self.next()?;
            let node = self.node(event, &span)?;
            match name {
                None => self.note(at, "a field's name must be text"),
                Some(name) if entries.iter().any(|entry| entry.name == name) => {
                    self.note(at, &format!("`{name}` is there twice"));
                }
                Some(name) => entries.push(Entry { name, place: at, node }),
            }
        }
    }

    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        match self.events.next_event()? {
            Ok(next) => Some(next),
            Err(error) => {
                let at = error.marker();
                let place = Place { line: at.line(), column: at.col() + 1 };
                self.note(place, &format!("not YAML: {}", error.info()));
                None
            }
        }
    }

    fn note(&mut self, place: Place, message: &str) {
        self.mistakes.push(Mistake::at(place, "", message));
    }
}

fn place(span: &Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

/// What a scalar without quotes is, by the core schema (YAML 1.2.2, section 10.3). None: a number
/// in a form that JSON does not have, which readers of YAML 1.1 and 1.2 take in different ways.
pub(super) fn plain(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    if let Ok(number) = text.parse::<Number>() {
        return Some(Value::Number(number));
    }
    (!is_number_elsewhere(text)).then(|| text.into())
}

fn is_number_elsewhere(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let is_based = ["0x", "0o", "0b"].iter().any(|base| {
        let digits = lower.strip_prefix(base);
        digits.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    let is_decimal = lower.bytes().any(|byte| byte.is_ascii_digit())
        && lower.bytes().all(|byte| byte.is_ascii_digit() || b".e+-_".contains(&byte))
        && lower.replace('_', "").parse::<f64>().is_ok();
    is_based || is_decimal || matches!(&*lower, ".inf" | ".nan")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Value, Vec<String>) {
        let mut mistakes = Vec::new();
        let node = parse(text, &mut mistakes);
        let said = mistakes.iter().map(ToString::to_string).collect();
        (node.map_or(Value::Null, |node| node.to_json()), said)
    }

    #[test]
    fn a_document_is_what_json_would_have_of_it() {
        let text =
            "a: [1, -2.5, 1e3, true, ~, 'true', \"7\", 1.2.3, 2026-11-01]\nb: {}\nc: |\n  x\n";

        let (value, mistakes) = read(text);

        assert_eq!(mistakes, Vec::<String>::new());
        let list = json!([1, -2.5, 1e3, true, null, "true", "7", "1.2.3", "2026-11-01"]);
        assert_eq!(value, json!({ "a": list, "b": {}, "c": "x\n" }));
        assert_eq!(read("{\"a\": [\"\\u00e4\"]}").0, json!({ "a": ["ä"] }));
    }

    #[test]
    fn what_has_two_readings_is_a_mistake_with_its_place() {
        let text = "a: 012\nb: &x 0x1f\nc: *x\nd: !!str 5\na: 1\n? [e]\n: 1\nf: 1_000\n";

        insta::assert_snapshot!(read(text).1.join("\n"), @r"
        1:4: `012` is a number to some readers: put it in quotes
        2:7: `0x1f` is a number to some readers: put it in quotes
        3:4: aliases are not read here: write the value out
        4:10: tags are not read here: write the value without one
        5:1: `a` is there twice
        6:3: a field's name must be text
        8:4: `1_000` is a number to some readers: put it in quotes
        ");
    }

    #[test]
    fn a_field_has_the_place_of_its_name_and_a_missing_one_that_of_its_object() {
        let node = parse("a:\n  - b: 1\n  - c:\n      d: 2\n", &mut Vec::new()).unwrap();
        let place = |field| node.place_of(field).to_string();

        assert_eq!(place("a[1].c.d"), "4:7");
        assert_eq!(place("a[0].x"), "2:5");
        assert_eq!(place("a[7].x"), "1:1");
    }

    #[test]
    fn a_document_that_is_too_deep_is_refused() {
        let text = "[".repeat(10_000);

        assert!(read(&text).1[0].starts_with("1:"), "{:?}", read(&text).1);
    }
}
