//! The documentation of every setting, from its declaration.

use std::fmt::Write;

use crate::section::{Entry, Field};
use crate::settings::Settings;
use crate::sources::variable;

const HEAD: &str = "\
# Settings

All settings are in one YAML file, given with `--config FILE`. None is needed: every setting has a
default. The variable beside a setting overrides the file. `tollgate check-config FILE` names every
mistake in a file with its line and column; with `--with-environment` it reads the variables too.

Times are written as `100ms`, `10s`, `5m`, `12h`, `30d`; sizes as `512B`, `32KiB`, `64MiB`, `8GiB`.
Examples are in [config/examples](../config/examples).

This page is made from the declarations in `config/src/settings`; `make docs` writes it anew.
";

/// Every section and setting, in the order of the declarations.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    Settings::describe(Entry::default(), None, &mut entries);
    entries
}

/// `docs/configuration.md`.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for entry in entries() {
        write(&mut page, &entry).expect("writing to a String cannot fail");
    }
    page
}

fn write(page: &mut String, entry: &Entry) -> std::fmt::Result {
    let doc: Vec<&str> = entry.doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let doc = doc.join("\n");
    let Some(expected) = entry.expected else {
        let title = if entry.path.is_empty() { "The process" } else { &entry.path };
        return writeln!(page, "\n## {title}\n\n{doc}");
    };
    writeln!(page, "\n### `{}`\n\n{doc}\n", entry.path)?;
    match &entry.default {
        Some(default) => writeln!(page, "- default: `{default}`")?,
        None => writeln!(page, "- must be given in this section")?,
    }
    match &entry.bounds {
        Some(bounds) => writeln!(page, "- value: {expected}, {bounds}")?,
        None => writeln!(page, "- value: {expected}")?,
    }
    writeln!(page, "- variable: `{}`", variable(&entry.path))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn every_setting_says_what_it_is_for() {
        for entry in entries() {
            assert!(!entry.doc.trim().is_empty(), "{} has no documentation", entry.path);
        }
    }

    /// A number too large for its type is read as the largest, which must be out of bounds.
    #[test]
    fn every_whole_number_has_bounds() {
        for entry in entries().iter().filter(|e| e.expected == Some("a whole number")) {
            let too_large = [(variable(&entry.path), "99999999999999999999999".to_owned())];
            let said = Settings::parse(None, too_large).unwrap_err().to_string();
            let bounds = entry.bounds.as_ref().unwrap();
            assert_eq!(
                said,
                format!("{}: {}: must be {bounds}", variable(&entry.path), entry.path)
            );
        }
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if written == reference() {
            return;
        }
        std::fs::write(&path, reference()).unwrap();
        panic!("{} was out of date and is written anew: commit it", path.display());
    }

    #[test]
    fn every_default_that_is_shown_is_read_as_the_default() {
        for entry in entries() {
            let (Some(_), Some(default)) = (entry.expected, entry.default) else { continue };
            if default == "none" || default == "[]" {
                continue;
            }
            let environment = [(variable(&entry.path), default)];
            let settings = Settings::parse(None, environment).unwrap();
            assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
        }
    }

    #[test]
    fn the_examples_have_no_mistake() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let files: Vec<PathBuf> =
            std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 4);
        for file in files {
            if let Err(error) = Settings::load(Some(&file), []) {
                panic!("{error}");
            }
        }
    }
}
