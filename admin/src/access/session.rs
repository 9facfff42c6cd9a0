//! Sessions of the console: whoever signed in with a token holds a cookie of 256 random bits, kept as
//! a digest. What its holder may do is what the token may do at the moment, so a token that ends, or
//! has another role, is felt by the next request.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::time::Timestamp;

use super::Role;

/// A working day: whoever comes back the next morning signs in again.
pub const SESSION_MS: i64 = 12 * 3_600_000;

/// Nobody tells us when a provider takes a role away, so it is asked again after half a working day.
/// An ID token's own end says only until when it may be shown: minutes, with most providers.
pub const PROVIDER_SESSION_MS: i64 = 4 * 3_600_000;

const SESSION_PREFIX: &str = "tgs_";

/// What a form's proof is made for, so that it is good for nothing else.
const FORM_PURPOSE: &[u8] = b"tollgate console form";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Of the text in the cookie.
    pub digest: KeyDigest,
    pub standing: Standing,
    /// Who it is, for people.
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What a session stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The token with this digest.
    Token(KeyDigest),
    /// What an OpenID provider said.
    Provider { voucher: Voucher, subject: String, role: Role },
}

/// Who vouches for somebody: a provider, to a client of its. An empty one is nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voucher {
    pub issuer: String,
    pub client_id: String,
}

/// Writes the text of a new session from 256 random bits.
pub fn session_text(random: &[u8; 32]) -> String {
    format!("{SESSION_PREFIX}{}", BASE64URL_NOPAD.encode(random))
}

/// What a form carries to show that it came from a page of this session (a synchronizer token, made
/// from the session so that nothing has to be stored).
pub fn form_proof(session_text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(session_text.as_bytes())
        .expect("a key of any length will do");
    mac.update(FORM_PURPOSE);
    BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
}

/// Whether a proof belongs to a session, in a time that says nothing about where it differs.
pub fn is_proof(session_text: &str, shown: &str) -> bool {
    form_proof(session_text).as_bytes().ct_eq(shown.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_its_session_only() {
        let (one, other) = (session_text(&[1; 32]), session_text(&[2; 32]));

        assert!(is_proof(&one, &form_proof(&one)));
        assert!(!is_proof(&other, &form_proof(&one)));
        assert!(!is_proof(&one, ""));
        assert!(!form_proof(&one).contains(&one));
    }
}
