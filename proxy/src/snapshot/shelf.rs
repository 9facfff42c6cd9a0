//! A catalog for tests: remembers which keys it was given, and which revisions took effect.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::snapshot::{Entry, KeyRules, Revision};

use super::batch::{Batch, Sink};

#[derive(Clone, Default)]
pub struct Shelf {
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    keys: BTreeSet<u32>,
    revisions: Vec<Revision>,
}

pub struct ShelfBatch {
    shelf: Shelf,
    full: bool,
    entries: Vec<Entry>,
}

impl Shelf {
    pub fn revision(&self) -> Option<Revision> {
        self.content.lock().revisions.last().copied()
    }

    pub fn revisions(&self) -> Vec<Revision> {
        self.content.lock().revisions.clone()
    }

    pub fn keys(&self) -> Vec<u32> {
        self.content.lock().keys.iter().copied().collect()
    }
}

impl Sink for Shelf {
    type Batch<'a> = ShelfBatch;

    fn begin(&self, full: bool) -> ShelfBatch {
        ShelfBatch { shelf: self.clone(), full, entries: Vec::new() }
    }
}

impl Batch for ShelfBatch {
    type Error = Infallible;

    fn entry(&mut self, entry: Entry) -> Result<(), Infallible> {
        self.entries.push(entry);
        Ok(())
    }

    fn commit(self, revision: Revision) -> Result<(), Infallible> {
        let mut content = self.shelf.content.lock();
        if self.full {
            content.keys.clear();
        }
        for entry in self.entries {
            match entry {
                Entry::Key(rules) => {
                    content.keys.insert(number(rules.digest));
                }
                Entry::KeyRemoved(digest) => {
                    content.keys.remove(&number(digest));
                }
                _ => {}
            }
        }
        content.revisions.push(revision);
        Ok(())
    }
}

pub fn key(number: u32) -> Entry {
    Entry::Key(KeyRules {
        digest: digest(number),
        subscription: SubscriptionId::from_bytes([1; 16]),
        expires_at: None,
    })
}

pub fn key_removed(number: u32) -> Entry {
    Entry::KeyRemoved(digest(number))
}

fn digest(number: u32) -> KeyDigest {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    KeyDigest(bytes)
}

fn number(digest: KeyDigest) -> u32 {
    u32::from_le_bytes(digest.0[..4].try_into().expect("four bytes"))
}
