//! Small files that are replaced as a whole: a checksum, then the value in postcard.

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::Disk;
use super::error::{FileError, at};
use super::scan::contents;
use super::segment::replace;

const MAGIC: &[u8; 8] = b"TOLLDOC1";
const BODY_AT: usize = 12;

/// What a file was found to hold.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded<T> {
    Value(T),
    Missing,
    Damaged,
}

pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Loaded<T>, FileError> {
    let bytes = match contents(path) {
        Ok(bytes) => bytes,
        Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(Loaded::Missing),
        Err(error) => return Err(error),
    };
    let Some((head, body)) = bytes.split_first_chunk::<BODY_AT>() else {
        return Ok(Loaded::Damaged);
    };
    let is_good = &head[..8] == MAGIC && head[8..] == crc32c::crc32c(body).to_le_bytes();
    match postcard::from_bytes(body) {
        Ok(value) if is_good => Ok(Loaded::Value(value)),
        Ok(_) | Err(_) => Ok(Loaded::Damaged),
    }
}

/// Replaces the file; the old one stays whole until the new one is on the disk.
pub fn store<T: Serialize>(disk: &dyn Disk, path: &Path, value: &T) -> Result<(), FileError> {
    let body = postcard::to_stdvec(value)
        .map_err(|error| at("encode", path)(std::io::Error::other(error)))?;
    replace(disk, path, |mut file| {
        file.write_all(MAGIC)?;
        file.write_all(&crc32c::crc32c(&body).to_le_bytes())?;
        file.write_all(&body)
    })
}
