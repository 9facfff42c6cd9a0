//! Puts a file in its place: a temporary file, to the disk, renamed, and the directory to the disk.
//!
//! Whoever looks at the directory sees the whole file or none, also after the power failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::fresh;

/// Hidden, and told from exports by whoever lists them.
const TEMPORARY: &str = ".tmp-";

/// Why a file is not known to be in its place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It is not.
    #[error("{0}")]
    NotThere(String),
    /// It may be.
    #[error("{0}")]
    Unknown(String),
    /// Another one is.
    #[error("{0}")]
    Other(String),
}

/// Stores a file whole. When it is there already, nothing is changed.
pub fn store(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
    let place = directory.join(name);
    let not_there = |error: io::Error| Trouble::NotThere(said(&place, &error));
    let unknown = |error: io::Error| Trouble::Unknown(said(&place, &error));
    fs::create_dir_all(directory).map_err(not_there)?;
    match fs::read(&place) {
        Ok(known) if known == bytes => {}
        Ok(_) => {
            let reason = format!("{} is there with something else in it", place.display());
            return Err(Trouble::Other(reason));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            put(directory, name, bytes).map_err(not_there)?;
        }
        Err(error) => return Err(unknown(error)),
    }
    // Also when it was there: whoever put it there may have died before this.
    settle(directory).map_err(unknown)?;
    clear(directory, name).map_err(unknown)
}

fn put(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(directory, name);
    fill(&temporary, bytes).and_then(|()| fs::rename(&temporary, directory.join(name))).inspect_err(
        |_| {
            // It may not have come about; if it has, the next try clears it away.
            let _ = fs::remove_file(&temporary);
        },
    )
}

/// Never the same twice: one who was thought dead may still be writing.
fn temporary(directory: &Path, name: &str) -> PathBuf {
    let chance = data_encoding::HEXLOWER.encode(&fresh::random::<8>());
    directory.join(format!(".{name}{TEMPORARY}{chance}"))
}

fn fill(temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Names are safe once their directory is; the directory's own name is in the one above.
fn settle(directory: &Path) -> io::Result<()> {
    for directory in directory.ancestors().take(3) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Takes away what earlier tries left behind.
fn clear(directory: &Path, name: &str) -> io::Result<()> {
    let beginning = format!(".{name}{TEMPORARY}");
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&beginning) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

fn said(place: &Path, error: &io::Error) -> String {
    format!("{}: {error}", place.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "20261126T0900Z-1.jsonl";
    const BYTES: &[u8] = b"{\"id\":1}\n{\"id\":2}\n";

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn after_a_crash_at_any_step_the_next_try_leaves_the_one_whole_file() {
        // What is on the disk when the writer dies: before, in and after each step.
        let empty: &[&[u8]] = &[];
        let crashes: [(&[&[u8]], bool); 5] = [
            (empty, false),
            (&[b""], false),
            (&[&BYTES[..7]], false),
            (&[BYTES, &BYTES[..3]], false),
            (&[&BYTES[..3]], true),
        ];
        for (temporaries, is_renamed) in crashes {
            let root = tempfile::tempdir().unwrap();
            let directory = root.path().join("usage/2026-11-26");
            fs::create_dir_all(&directory).unwrap();
            for bytes in temporaries {
                fs::write(temporary(&directory, NAME), bytes).unwrap();
            }
            if is_renamed {
                fs::write(directory.join(NAME), BYTES).unwrap();
            }

            for _ in 0..2 {
                store(&directory, NAME, BYTES).unwrap();
            }

            assert_eq!(names(&directory), [NAME], "{temporaries:?} {is_renamed}");
            assert_eq!(fs::read(directory.join(NAME)).unwrap(), BYTES);
        }
    }

    #[test]
    fn what_another_file_left_behind_is_not_touched() {
        let root = tempfile::tempdir().unwrap();
        let other = temporary(root.path(), "20261126T0900Z-2.jsonl");
        fs::write(&other, b"half").unwrap();

        store(root.path(), NAME, BYTES).unwrap();

        assert!(other.exists());
    }

    #[test]
    fn a_file_with_something_else_in_it_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(NAME), b"mine").unwrap();

        let stored = store(root.path(), NAME, BYTES);

        assert!(matches!(stored, Err(Trouble::Other(_))), "{stored:?}");
        assert_eq!(fs::read(root.path().join(NAME)).unwrap(), b"mine");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("usage");
        fs::write(&file, b"").unwrap();

        let stored = store(&file.join("2026-11-26"), NAME, BYTES);

        let Err(Trouble::NotThere(reason)) = stored else { panic!("{stored:?}") };
        assert!(reason.contains("usage/2026-11-26"), "{reason}");
    }
}
