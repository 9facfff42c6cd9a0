//! The audit as a chain: each record's hash is SHA-256 over the hash before it and its own content, so
//! nothing can be changed, removed or moved without a break that everybody can find.
//!
//! The content is the record's line of JSON in the export without its hash, to the byte. So the chain
//! is checked with any SHA-256 at hand, and no rule about how JSON is written is needed. It must not
//! know where records are kept.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::AuditRecord;
use crate::store::catalog::AuditPlace;

/// What stands between a line's content and its hash, which is always last.
const HASH_FIELD: &str = ",\"hash\":";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What the first record follows.
    pub const START: Self = Self([0; 32]);

    /// The hash of the record that comes next.
    pub fn next(self, place: AuditPlace, record: &AuditRecord) -> Self {
        self.followed_by(&content(place, record))
    }

    fn followed_by(self, content: &str) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(content).finalize().into())
    }
}

/// Hexadecimal, in lower case.
impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for ChainHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("must be 64 hexadecimal digits in lower case")
    }
}

/// A record as it is exported, up to its states. The order of its fields is part of every hash: a new
/// field goes to the end and is left out where there is none.
#[derive(Serialize)]
struct Line<'a> {
    revision: u64,
    position: u64,
    at: String,
    actor: &'a str,
    actor_name: &'a str,
    request_id: &'a str,
    action: &'a str,
    resource: &'a str,
    resource_id: &'a str,
}

fn content(place: AuditPlace, record: &AuditRecord) -> String {
    let line = Line {
        revision: place.revision,
        position: place.position,
        at: record.at.to_string(),
        actor: &record.actor,
        actor_name: &record.actor_name,
        request_id: &record.request_id,
        action: &record.action,
        resource: &record.resource,
        resource_id: &record.resource_id,
    };
    let mut line = super::state(&line);
    line.pop();
    let (from, to) = (stored(record.before.as_ref()), stored(record.after.as_ref()));
    line + ",\"from\":" + &from + ",\"to\":" + &to + "}"
}

/// The JSON of a state as it is stored, to the byte. What is no JSON was tampered with; it becomes a
/// text, and its hash does not fit.
fn stored(state: Option<&String>) -> Cow<'_, str> {
    match state {
        None => "null".into(),
        Some(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => text.into(),
        Some(text) => super::state(text).into(),
    }
}

/// A record's line of the export, without its end.
pub fn line(place: AuditPlace, record: &AuditRecord, hash: Option<ChainHash>) -> String {
    let mut line = content(place, record);
    line.pop();
    match hash {
        Some(hash) => line + HASH_FIELD + "\"" + &hash.to_string() + "\"}",
        None => line + HASH_FIELD + "null}",
    }
}

/// The content of a line, and its hash; None is no line of an export.
fn split(line: &str) -> Option<(String, Option<ChainHash>)> {
    let (content, hash) = line.rsplit_once(HASH_FIELD)?;
    let hash = match hash {
        "null}" => None,
        hash => Some(hash.strip_prefix('"')?.strip_suffix("\"}")?.parse().ok()?),
    };
    Some((format!("{content}}}"), hash))
}

/// An export whose lines follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub lines: u64,
    /// Lines at the beginning that are older than the chain: nothing shows whether they were changed.
    pub unchained: u64,
    pub last: ChainHash,
}

/// The first thing about an export that does not fit. Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("line {line} cannot be read: {source}")]
    Unreadable { line: u64, source: io::Error },
    #[error("line {line} is no line of an audit export")]
    Malformed { line: u64 },
    #[error("line {line} has no hash, but stands after one that has")]
    Unchained { line: u64 },
    #[error(
        "line {line} does not follow from the one before: it was changed or moved, or what stood \
         before it was changed, moved or removed"
    )]
    Misfit { line: u64 },
    #[error("all {lines} lines fit, but none of them has the hash {expected}")]
    Missing { lines: u64, expected: ChainHash },
}

/// Checks an export from its first line to its last.
///
/// Whoever can write the whole store can also make a whole new chain, or cut off its end: only a
/// hash that was noted elsewhere shows that. `expected` is one that must be among the lines.
///
/// # Errors
///
/// The first line that does not fit, or that no line has the hash that was expected.
pub fn verify(export: impl BufRead, expected: Option<ChainHash>) -> Result<Verified, Broken> {
    let mut verified = Verified { lines: 0, unchained: 0, last: ChainHash::START };
    let mut is_missing = expected.is_some();
    for text in export.lines() {
        verified.lines += 1;
        let line = verified.lines;
        let text = text.map_err(|source| Broken::Unreadable { line, source })?;
        let (content, hash) = split(&text).ok_or(Broken::Malformed { line })?;
        let Some(hash) = hash else {
            if verified.unchained + 1 != line {
                return Err(Broken::Unchained { line });
            }
            verified.unchained = line;
            continue;
        };
        if verified.last.followed_by(&content) != hash {
            return Err(Broken::Misfit { line });
        }
        verified.last = hash;
        is_missing &= expected != Some(hash);
    }
    match expected.filter(|_| is_missing) {
        Some(expected) => Err(Broken::Missing { lines: verified.lines, expected }),
        None => Ok(verified),
    }
}

#[cfg(test)]
mod tests;
