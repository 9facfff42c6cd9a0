//! How a section of settings is declared, read and described: once, in one place per setting.

use std::ops::RangeInclusive;

use crate::mistake::{Mistake, Place, shown};
use crate::tree::{Content, Key, Node};
use crate::value::{Fault, Value};

/// What stands under a key: a value, a list, or a section of further keys.
pub(crate) trait Field: Sized {
    /// Notes every mistake; None if there was one.
    fn read(reader: &mut Reader<'_>, key: &'static str, default: Option<Self>) -> Option<Self>;

    /// Adds what a reader of the documentation should know.
    fn describe(entry: Entry, default: Option<&Self>, entries: &mut Vec<Entry>);
}

/// One setting, or one section, in the documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Dotted; empty for the settings as a whole.
    pub path: String,
    pub doc: &'static str,
    /// What can be written there; None for a section.
    pub expected: Option<&'static str>,
    /// None where a value must be given.
    pub default: Option<String>,
    /// As in `from 1 to 10`; None where every value of the form will do.
    pub bounds: Option<String>,
}

impl Entry {
    /// The entry of a key inside this section.
    pub fn inside(&self, key: &str, doc: &'static str) -> Self {
        Self { path: join(&self.path, key), doc, ..Self::default() }
    }
}

/// Declares a section: a struct whose fields are settings with their defaults, and where it makes
/// sense the bounds of the value. Each field's doc comment is its documentation for users.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        pub struct $section:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $type:ty = $default:expr $(, $bounds:expr)?;
            )*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug)]
        pub struct $section {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::section::Field for $section {
            fn read(
                reader: &mut $crate::section::Reader<'_>,
                key: &'static str,
                _default: Option<Self>,
            ) -> Option<Self> {
                let mut inner = reader.section(key, &[$( stringify!($field) ),*])?;
                let defaults = Self::default();
                $(
                    let $field = $crate::section::Field::read(
                        &mut inner, stringify!($field), Some(defaults.$field),
                    );
                    $( let $field = inner.within(stringify!($field), $field, $bounds); )?
                )*
                // What is wrong is noted; the default stands in so that the rest is checked too.
                let defaults = Self::default();
                Some(Self { $( $field: $field.unwrap_or(defaults.$field), )* })
            }

            fn describe(
                entry: $crate::section::Entry,
                _default: Option<&Self>,
                entries: &mut Vec<$crate::section::Entry>,
            ) {
                let defaults = Self::default();
                let section = entry.clone();
                entries.push($crate::section::Entry {
                    doc: concat!($( $section_doc, "\n" ),*), ..entry
                });
                $(
                    let entry = $crate::section::Entry {
                        $( bounds: Some($crate::section::bounds_shown::<$type>(&$bounds)), )?
                        ..section.inside(stringify!($field), concat!($( $doc, "\n" ),*))
                    };
                    <$type as $crate::section::Field>::describe(
                        entry, Some(&defaults.$field), entries,
                    );
                )*
            }
        }
    };
}
pub(crate) use section;

/// A section while it is read.
pub(crate) struct Reader<'t> {
    entries: &'t [(Key, Node)],
    path: String,
    /// Where the section begins, for what is missing in it.
    place: Place,
    mistakes: &'t mut Vec<Mistake>,
}

impl<'t> Reader<'t> {
    /// A reader that holds the whole tree under the empty key.
    pub fn above(root: &'t [(Key, Node)], mistakes: &'t mut Vec<Mistake>) -> Self {
        Self { entries: root, path: String::new(), place: Place::Missing, mistakes }
    }

    /// Enters a section, which may be missing. Keys that it does not have are mistakes.
    pub fn section(&mut self, key: &'static str, known: &[&str]) -> Option<Reader<'_>> {
        let path = join(&self.path, key);
        let (place, entries) = match self.find(key) {
            None => (self.place.clone(), &[][..]),
            Some((key, node)) => match &node.content {
                Content::Empty => (key.place.clone(), &[][..]),
                Content::Section(entries) => (key.place.clone(), &entries[..]),
                Content::Scalar(_) | Content::List(_) => {
                    self.note(node.place.clone(), path, "must be a section of settings".into());
                    return None;
                }
            },
        };
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                let path = join(&path, &key.name);
                let message = unknown(&key.name, known);
                self.note(key.place.clone(), path, message);
            }
        }
        Some(Reader { entries, path, place, mistakes: self.mistakes })
    }

    /// The node under a key, unless there is none or nothing is written there.
    pub fn node(&self, key: &str) -> Option<&'t Node> {
        let (_, node) = self.find(key)?;
        (!matches!(node.content, Content::Empty)).then_some(node)
    }

    /// Notes that a value is out of its bounds.
    pub fn within<T: Value + PartialOrd>(
        &mut self,
        key: &'static str,
        value: Option<T>,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let value = value?;
        if bounds.contains(&value) {
            return Some(value);
        }
        let place = self.node(key).map_or(Place::Missing, |node| node.place.clone());
        self.note(place, join(&self.path, key), format!("must be {}", bounds_shown(&bounds)));
        None
    }

    pub fn value<T: Value>(&mut self, key: &str, node: &Node) -> Option<T> {
        let message = match &node.content {
            Content::Scalar(text) => match T::parse(text.trim()) {
                Ok(value) => return Some(value),
                Err(Fault::Because(message)) => message,
                Err(Fault::Unexpected) if T::SECRET => format!("must be {}", T::EXPECTED),
                Err(Fault::Unexpected) => format!("`{}` is not {}", shown(text), T::EXPECTED),
            },
            Content::List(_) => format!("must be {}, not a list", T::EXPECTED),
            Content::Section(_) => format!("must be {}, not a section", T::EXPECTED),
            Content::Empty => format!("must be {}", T::EXPECTED),
        };
        self.note(node.place.clone(), join(&self.path, key), message);
        None
    }

    pub fn missing(&mut self, key: &str) {
        let place = self.find(key).map_or(&self.place, |(key, _)| &key.place).clone();
        self.note(place, join(&self.path, key), "must be given".into());
    }

    fn find(&self, key: &str) -> Option<&'t (Key, Node)> {
        self.entries.iter().find(|(found, _)| found.name == key)
    }

    fn note(&mut self, place: Place, setting: String, message: String) {
        self.mistakes.push(Mistake { place, setting, message });
    }
}

impl<T: Field> Field for Option<T> {
    fn read(reader: &mut Reader<'_>, key: &'static str, default: Option<Self>) -> Option<Self> {
        if reader.node(key).is_none() {
            return Some(default.flatten());
        }
        T::read(reader, key, default.flatten()).map(Some)
    }

    fn describe(entry: Entry, default: Option<&Self>, entries: &mut Vec<Entry>) {
        let first = entries.len();
        T::describe(entry, default.and_then(Option::as_ref), entries);
        if default.is_some() && entries[first].default.is_none() {
            entries[first].default = Some("none".to_owned());
        }
    }
}

/// A list in the file; separated by commas in the environment.
impl<T: Value> Field for Vec<T> {
    fn read(reader: &mut Reader<'_>, key: &'static str, default: Option<Self>) -> Option<Self> {
        let Some(node) = reader.node(key) else { return default };
        let items = match &node.content {
            Content::List(items) => items.clone(),
            Content::Scalar(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Node {
                    place: node.place.clone(),
                    content: Content::Scalar(item.to_owned()),
                })
                .collect(),
            Content::Empty | Content::Section(_) => vec![node.clone()],
        };
        let values: Vec<Option<T>> = items.iter().map(|item| reader.value(key, item)).collect();
        values.into_iter().collect()
    }

    fn describe(entry: Entry, default: Option<&Self>, entries: &mut Vec<Entry>) {
        let default = default.map(|values| {
            let shown: Vec<String> = values.iter().map(Value::show).collect();
            format!("[{}]", shown.join(", "))
        });
        entries.push(Entry { expected: Some(T::EXPECTED_LIST), default, ..entry });
    }
}

pub(crate) fn bounds_shown<T: Value>(bounds: &RangeInclusive<T>) -> String {
    format!("from {} to {}", bounds.start().show(), bounds.end().show())
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(crate) fn unknown(name: &str, known: &[&str]) -> String {
    match known.iter().map(|known| (distance(name, known), known)).min() {
        Some((1..=2, near)) => format!("there is no such setting; did you mean `{near}`?"),
        _ => "there is no such setting".to_owned(),
    }
}

/// Edits from one name to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, char) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(char != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
