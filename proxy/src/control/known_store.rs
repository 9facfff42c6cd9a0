//! Which store the control plane had when this gateway first heard of it.
//!
//! A file, so that it is known after a restart too, and so that an operator who means another store can
//! say so: it is looked at again with each question.

use std::fs;
use std::io;
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

    /// None: any will do.
    pub fn name(&self) -> Option<HeaderValue> {
        let text = fs::read_to_string(self.file.as_ref()?).ok()?;
        is_name(text.trim()).then(|| HeaderValue::from_str(text.trim()).ok())?
    }

    /// Remembers the first that is heard of.
    pub fn learn(&self, said: Option<&HeaderValue>) {
        let name = said.and_then(|said| said.to_str().ok()).filter(|name| is_name(name));
        let (Some(file), Some(name)) = (&self.file, name) else { return };
        if self.name().is_some() {
            return;
        }
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
    fs::write(&beside, name)?;
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
        assert_eq!(known.name(), None);
        known.learn(Some(&one));
        known.learn(Some(&other));
        assert_eq!(KnownStore::new(Some(file.clone())).name(), Some(one));

        fs::remove_file(&file).unwrap();
        known.learn(Some(&other));
        assert_eq!(known.name(), Some(other));
    }
}
