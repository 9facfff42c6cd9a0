//! Which store the control plane had when this gateway first heard of it.
//!
//! A file, so that it is known after a restart too, and so that an operator who means another store can
//! say so: it is looked at again with each question.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use http::header::HeaderValue;

const NAME_LENGTH_MAX: usize = 64;

#[derive(Clone, Debug)]
pub struct KnownStore {
    /// None: whatever store there is, is followed.
    file: Option<PathBuf>,
}

impl KnownStore {
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// None: any will do. What cannot be read is an error, since any would be the wrong one.
    pub fn name(&self) -> io::Result<Option<HeaderValue>> {
        let Some(file) = &self.file else { return Ok(None) };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = Some(text.trim()).filter(|name| is_name(name));
        let name = name.and_then(|name| HeaderValue::from_str(name).ok());
        name.map(Some).ok_or_else(|| io::Error::other("it names no store"))
    }

    /// Remembers the first that is heard of.
    pub fn learn(&self, said: Option<&HeaderValue>) {
        let name = said.and_then(|said| said.to_str().ok()).filter(|name| is_name(name));
        let (Some(file), Some(name)) = (&self.file, name) else { return };
        match write(file, name) {
            Ok(()) => tracing::info!(store = name, "this gateway follows the store from now on"),
            Err(error) => tracing::warn!(%error, "which store is followed cannot be kept"),
        }
    }

    /// Where an operator says that another is meant.
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn write(file: &PathBuf, name: &str) -> io::Result<()> {
    let beside = file.with_added_extension("new");
    let mut new = File::create(&beside)?;
    new.write_all(name.as_bytes())?;
    new.sync_all()?;
    fs::rename(beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_store_is_followed_until_an_operator_says_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store");
        let known = KnownStore::new(Some(file.clone()));
        let [one, other] = ["0a1b", "ffff"].map(HeaderValue::from_static);

        known.learn(None);
        known.learn(Some(&HeaderValue::from_static("no name")));
        assert_eq!(known.name().unwrap(), None);
        known.learn(Some(&one));
        assert_eq!(KnownStore::new(Some(file.clone())).name().unwrap(), Some(one));

        fs::remove_file(&file).unwrap();
        known.learn(Some(&other));
        assert_eq!(known.name().unwrap(), Some(other));
        // Emptied by a power cut, it is no permission for any.
        fs::write(&file, "").unwrap();
        assert!(known.name().is_err());
    }
}
