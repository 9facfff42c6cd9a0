//! What is wrong with the settings, and where.

use std::fmt::{self, Write};
use std::path::PathBuf;

/// Where a setting was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line and column in the file, both from 1.
    File { line: usize, column: usize },
    /// The variable's name.
    Environment(String),
    /// Nowhere: the setting is missing.
    Missing,
}

/// One thing that is wrong. It never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub place: Place,
    /// Dotted name of the setting; empty where the file as a whole is meant.
    pub setting: String,
    pub message: String,
}

/// All that is wrong, in the order of the file, then of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    file: Option<PathBuf>,
    list: Vec<Mistake>,
}

impl Mistakes {
    pub(crate) fn new(file: Option<PathBuf>, mut list: Vec<Mistake>) -> Self {
        list.sort();
        list.dedup();
        Self { file, list }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Long enough to recognise what was written, short enough for one line.
const SHOWN_CHARS_MAX: usize = 60;

/// What was written, in a form that neither begins a line nor steers a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().take(SHOWN_CHARS_MAX) {
        write!(shown, "{}", char.escape_debug()).expect("writing to a String cannot fail");
    }
    shown
}

/// One line each, in the form `file:line:column: setting: message` that editors understand.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match (&mistake.place, &self.file) {
                (Place::File { line, column }, Some(file)) => {
                    write!(f, "{}:{line}:{column}: ", file.display())?;
                }
                (Place::File { line, column }, None) => write!(f, "{line}:{column}: ")?,
                (Place::Environment(variable), _) => write!(f, "{}: ", shown(variable))?,
                (Place::Missing, Some(file)) => write!(f, "{}: ", file.display())?,
                (Place::Missing, None) => {}
            }
            if !mistake.setting.is_empty() {
                write!(f, "{}: ", shown(&mistake.setting))?;
            }
            f.write_str(&mistake.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
