//! Keys and subscriptions: what changes one by one, among millions.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::snapshot::KeyRules;
use tollgate_common::time::Timestamp;

use super::subscriber::Subscriber;

/// Every request reads `keys`; only changes touch `subscriptions`.
#[derive(Default)]
pub struct Index {
    keys: papaya::HashMap<Digest, KeyEntry, BuildHasherDefault<FirstWord>>,
    /// Handles alone, which know their identity: a million of them are a third of what pairs would be.
    subscriptions: Mutex<HashSet<Subscriber, RandomState>>,
}

#[derive(Clone, Debug)]
pub struct KeyEntry {
    pub subscriber: Subscriber,
    expires_at: Timestamp,
}

impl KeyEntry {
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

/// A key that never expires.
const NEVER: Timestamp = Timestamp(i64::MAX);

impl Index {
    pub fn key(&self, digest: &KeyDigest) -> Option<KeyEntry> {
        self.keys.pin().get(&Digest(digest.0)).cloned()
    }

    pub fn put_key(&self, rules: &KeyRules, subscriber: Subscriber) {
        let expires_at = rules.expires_at.unwrap_or(NEVER);
        self.keys.pin().insert(Digest(rules.digest.0), KeyEntry { subscriber, expires_at });
    }

    pub fn remove_key(&self, digest: &KeyDigest) {
        self.keys.pin().remove(&Digest(digest.0));
    }

    pub fn subscriber(&self, id: SubscriptionId) -> Option<Subscriber> {
        self.subscriptions.lock().get(&id).cloned()
    }

    pub fn put_subscriber(&self, subscriber: Subscriber) {
        self.subscriptions.lock().replace(subscriber);
    }

    /// Those that another index lacks.
    pub fn subscribers_not_in(&self, other: &Self) -> Vec<Subscriber> {
        let (all, others) = (self.subscriptions.lock(), other.subscriptions.lock());
        all.difference(&others).cloned().collect()
    }

    pub fn remove_subscriber(&self, id: SubscriptionId) -> Option<Subscriber> {
        self.subscriptions.lock().take(&id)
    }

    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }

    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.lock().len()
    }
}

/// A digest is evenly spread already, and callers cannot choose which digests are stored, so its
/// first word is its hash.
#[derive(PartialEq, Eq)]
struct Digest([u8; 32]);

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [word, ..] = self.0.as_chunks().0 else { unreachable!("a digest has four words") };
        state.write_u64(u64::from_le_bytes(*word));
    }
}

#[derive(Default)]
struct FirstWord(u64);

impl Hasher for FirstWord {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a digest is hashed as one word");
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
