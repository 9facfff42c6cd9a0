//! Administrators' tokens: `tga_` and 43 characters for 256 random bits, kept as a digest.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::TokenId;
use tollgate_common::time::{Timestamp, rfc3339};

use super::Role;

pub const TOKEN_PREFIX: &str = "tga_";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    pub id: TokenId,
    pub name: String,
    pub role: Role,
    /// SHA-256 of the text, as of a key's. The audit has no use for it.
    #[serde(skip)]
    pub digest: KeyDigest,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339::option")]
    pub expires_at: Option<Timestamp>,
}

impl Token {
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// Writes the text of a new token from 256 random bits.
pub fn token_text(random: &[u8; 32]) -> String {
    format!("{TOKEN_PREFIX}{}", BASE64URL_NOPAD.encode(random))
}

/// Whether two digests are equal, in a time that says nothing about where they differ.
pub fn is_same(left: &KeyDigest, right: &KeyDigest) -> bool {
    left.0.ct_eq(&right.0).into()
}
