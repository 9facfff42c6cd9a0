//! A YAML document as a tree whose every part knows its place.
//!
//! Scalars stay the text that was written, so that a token of digits or a time such as `10s` is
//! read by the setting it is for and by nothing before it.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};

use crate::mistake::{Mistake, Place, shown};

/// Deeper than any setting, and far from the end of the stack.
const NESTING_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub place: Place,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Empty,
    Scalar(String),
    List(Vec<Node>),
    Section(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub name: String,
    pub place: Place,
}

impl Node {
    pub fn empty() -> Self {
        Self { place: Place::Missing, content: Content::Empty }
    }

    /// Puts a scalar at a path of keys, over what the file has there.
    pub fn set(&mut self, path: &[&str], place: &Place, text: &str) {
        let [name, rest @ ..] = path else {
            self.place = place.clone();
            self.content = Content::Scalar(text.to_owned());
            return;
        };
        if matches!(self.content, Content::Empty) {
            self.content = Content::Section(Vec::new());
        }
        // What is no section in the file stays, and is reported where it stands.
        let Content::Section(entries) = &mut self.content else { return };
        let index = entries.iter().position(|(key, _)| key.name == *name).unwrap_or_else(|| {
            let key = Key { name: (*name).to_owned(), place: place.clone() };
            entries.push((key, Node { place: place.clone(), content: Content::Empty }));
            entries.len() - 1
        });
        entries[index].1.set(rest, place, text);
    }
}

/// Reads one document. A syntax error ends the reading; every other mistake is noted beside it.
pub(crate) fn parse(text: &str, mistakes: &mut Vec<Mistake>) -> Node {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = NESTING_MAX;
    options.block_nesting_limit = NESTING_MAX;
    let mut builder =
        Builder { events: Parser::new_from_str_with_options(text, options), mistakes };
    builder.document().unwrap_or_else(Node::empty)
}

struct Builder<'t, 'm> {
    events: Parser<'t, StrInput<'t>>,
    mistakes: &'m mut Vec<Mistake>,
}

impl<'t> Builder<'t, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some((event, span)) = self.next() {
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    self.note(place(&span), "a second document: settings are one document");
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
        let content = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null") => {
                Content::Empty
            }
            Event::Scalar(text, ..) => Content::Scalar(text.into_owned()),
            Event::SequenceStart(..) => Content::List(self.list()?),
            Event::MappingStart(..) => Content::Section(self.section()?),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.note(place.clone(), "aliases are not read here: write the value out");
                Content::Empty
            }
            _ => Content::Empty,
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

    fn section(&mut self) -> Option<Vec<(Key, Node)>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => return Some(entries),
                start => start,
            };
            let key_node = self.node(event, &span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            let Content::Scalar(name) = key_node.content else {
                self.note(key_node.place, "a setting's name must be plain text");
                continue;
            };
            if entries.iter().any(|(key, _)| key.name == name) {
                self.note(key_node.place, &format!("`{}` is set twice", shown(&name)));
                continue;
            }
            entries.push((Key { name, place: key_node.place }, value));
        }
    }

    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        match self.events.next_event()? {
            Ok(next) => Some(next),
            Err(error) => {
                let at = error.marker();
                let place = Place::File { line: at.line(), column: at.col() + 1 };
                self.note(place, &format!("not YAML: {}", error.info()));
                None
            }
        }
    }

    fn note(&mut self, place: Place, message: &str) {
        let message = message.to_owned();
        self.mistakes.push(Mistake { place, setting: String::new(), message });
    }
}

fn place(span: &Span) -> Place {
    Place::File { line: span.start.line(), column: span.start.col() + 1 }
}
