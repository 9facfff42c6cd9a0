//! The secret by which a caller is known.
//!
//! A key is `tg_`, 43 characters for 256 random bits, and 6 characters of checksum, so that a
//! secret scanner can tell a real key from a look-alike without asking anyone. It is shown once;
//! what is kept is its digest.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{KeyId, SubscriptionId};
use crate::time::{Timestamp, rfc3339};

pub const KEY_PREFIX: &str = "tg_";

/// `tg_`, 43 characters of secret, 6 of checksum.
pub const KEY_LENGTH: usize = 52;

/// How much of a key is kept and shown, to tell one from another: `tg_` and 6 characters.
pub const KEY_PREFIX_SHOWN: usize = 9;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub id: KeyId,
    pub subscription_id: SubscriptionId,
    pub digest: KeyDigest,
    pub prefix: String,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    /// With the end of an overlap, where it was rotated.
    #[serde(with = "rfc3339::option")]
    pub expires_at: Option<Timestamp>,
    /// The end that it was made with: what takes its place has the same.
    #[serde(with = "rfc3339::option")]
    pub own_expires_at: Option<Timestamp>,
    #[serde(with = "rfc3339::option")]
    pub revoked_at: Option<Timestamp>,
    #[serde(with = "rfc3339::option")]
    pub last_used_at: Option<Timestamp>,
}

/// SHA-256 of a key's text. A key has 256 bits of randomness, so a fast hash is enough: there is
/// nothing to guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The key's public name is cut from its digest, so that a node can name a key that it holds
    /// only by its digest. The half that is given away is of no use for calling.
    pub fn key_id(&self) -> KeyId {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[16..]);
        KeyId(uuid::Builder::from_custom_bytes(half).into_uuid())
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({})", self.key_id())
    }
}

/// Writes the text of a new key from 256 random bits.
pub fn key_text(random: &[u8; 32]) -> String {
    let secret = BASE64URL_NOPAD.encode(random);
    let checksum = key_checksum(secret.as_bytes());
    let checksum = str::from_utf8(&checksum).expect("base64 is ASCII");
    format!("{KEY_PREFIX}{secret}{checksum}")
}

/// Whether the text has the shape and checksum of a key. An unknown text of the right shape is
/// still unknown; one of the wrong shape needs no look-up at all.
pub fn is_well_formed(text: &[u8]) -> bool {
    let Some(body) = text.strip_prefix(KEY_PREFIX.as_bytes()) else {
        return false;
    };
    text.len() == KEY_LENGTH && body[43..] == key_checksum(&body[..43])
}

/// CRC-32C of the secret part, as six characters of the same alphabet.
fn key_checksum(secret: &[u8]) -> [u8; 6] {
    let mut text = [0; 6];
    BASE64URL_NOPAD.encode_mut(&crc32c::crc32c(secret).to_be_bytes(), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_its_own_checksum() {
        let key = key_text(&[7; 32]);

        assert_eq!(key.len(), KEY_LENGTH);
        assert!(is_well_formed(key.as_bytes()));
        assert!(!is_well_formed(key.replace("BwcH", "BwcI").as_bytes()));
        assert!(!is_well_formed(&key.as_bytes()[..KEY_LENGTH - 1]));
        assert!(!is_well_formed(b"tg_"));
    }

    #[test]
    fn a_digest_prints_only_the_public_name_of_its_key() {
        let digest = KeyDigest::of(b"secret");

        assert_eq!(format!("{digest:?}"), format!("KeyDigest({})", digest.key_id()));
    }
}
