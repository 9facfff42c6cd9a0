//! What is wrong with a file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::difference::harmless;

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    place: Place,
    /// Such as `products[0].plans[1].rate_limit`; empty where the text itself is meant.
    field: String,
    message: String,
}

impl Mistake {
    pub fn at(place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", harmless(self.field.chars()))?;
        }
        f.write_str(&harmless(self.message.chars()))
    }
}

/// All that is wrong with a file, in its order.
#[derive(Debug)]
pub struct Mistakes {
    file: PathBuf,
    list: Vec<Mistake>,
}

impl Mistakes {
    pub fn new(file: &Path, mut list: Vec<Mistake>) -> Self {
        list.sort();
        list.dedup();
        Self { file: file.to_owned(), list }
    }
}

/// One line each, in the form `file:line:column: field: message` that editors understand.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            writeln!(f, "{}:{mistake}", self.file.display())?;
        }
        Ok(())
    }
}
