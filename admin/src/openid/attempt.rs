//! A browser on its way to the provider and back.
//!
//! What it must bring back is made from a secret that only its own cookie holds. So nothing is stored
//! here, whichever control plane it comes back to can tell, and nobody can hand a code of their own to
//! another browser.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tollgate_common::time::Timestamp;

/// Time for a password and a second factor.
pub const ATTEMPT_MS: i64 = 600_000;

/// A page's address in a cookie, which has room for some 4 KB. A longer one is forgotten.
const NEXT_LENGTH_MAX: usize = 1_024;

pub struct Attempt {
    secret: [u8; 32],
    started_at: Timestamp,
    /// The page that was wanted.
    next: String,
}

impl Attempt {
    pub fn begin(random: [u8; 32], now: Timestamp, next: &str) -> Self {
        let next = if next.len() > NEXT_LENGTH_MAX { "" } else { next };
        Self { secret: random, started_at: now, next: next.to_owned() }
    }

    /// What the browser keeps.
    pub fn cookie(&self) -> String {
        let (secret, next) = (&self.secret[..], self.next.as_bytes());
        let encoded = |bytes| BASE64URL_NOPAD.encode(bytes);
        format!("{}.{}.{}", encoded(secret), self.started_at.0, encoded(next))
    }

    /// What the browser has kept; None when it is too old or was never ours.
    pub fn of_cookie(text: &str, now: Timestamp) -> Option<Self> {
        let mut parts = text.split('.');
        let (secret, started_at, next) = (parts.next()?, parts.next()?, parts.next()?);
        let decoded = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let started_at = Timestamp(started_at.parse().ok()?);
        let age_ms = now.0.checked_sub(started_at.0)?;
        if parts.next().is_some() || !(0..ATTEMPT_MS).contains(&age_ms) {
            return None;
        }
        let next = String::from_utf8(decoded(next)?).ok()?;
        Some(Self { secret: decoded(secret)?.try_into().ok()?, started_at, next })
    }

    pub fn next(&self) -> &str {
        &self.next
    }

    /// Binds the provider's answer to the browser.
    pub fn state(&self) -> String {
        self.derived("state")
    }

    pub fn is_state(&self, shown: &str) -> bool {
        self.state().as_bytes().ct_eq(shown.as_bytes()).into()
    }

    /// Binds the ID token to the browser.
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// Shows the provider that whoever redeems the code has asked for it.
    pub fn verifier(&self) -> String {
        self.derived("verifier")
    }

    /// RFC 7636, section 4.2, `S256`.
    pub fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.verifier()))
    }

    /// 256 bits in base64url; what was made for one purpose says nothing about the others.
    fn derived(&self, purpose: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length will do");
        mac.update(format!("tollgate sign-in {purpose} {} ", self.started_at.0).as_bytes());
        mac.update(self.next.as_bytes());
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn attempt() -> Attempt {
        Attempt::begin([7; 32], NOW, "/dashboard/admin/usage?a=b")
    }

    #[test]
    fn a_browser_that_comes_back_in_time_is_known_again() {
        let left = attempt();

        let back = Attempt::of_cookie(&left.cookie(), NOW.plus_ms(ATTEMPT_MS - 1)).unwrap();

        assert!(back.is_state(&left.state()));
        assert_eq!((back.nonce(), back.verifier()), (left.nonce(), left.verifier()));
        assert_eq!(back.next(), "/dashboard/admin/usage?a=b");
    }

    #[test]
    fn one_that_is_late_or_shows_something_else_is_not() {
        let cookie = attempt().cookie();

        assert!(Attempt::of_cookie(&cookie, NOW.plus_ms(ATTEMPT_MS)).is_none());
        assert!(Attempt::of_cookie(&cookie, NOW.plus_ms(-1)).is_none());
        for text in ["", "..", "a.1000000.b", &format!("{cookie}."), &cookie.replace('.', "")] {
            assert!(Attempt::of_cookie(text, NOW).is_none(), "{text}");
        }
    }

    #[test]
    fn nothing_that_is_shown_is_good_for_something_else() {
        let attempt = attempt();
        let shown = [attempt.state(), attempt.nonce(), attempt.verifier(), attempt.challenge()];
        let other = Attempt::begin([8; 32], NOW, attempt.next());

        for (index, text) in shown.iter().enumerate() {
            assert_eq!(text.len(), 43);
            assert!(!shown[..index].contains(text));
            assert!(!other.is_state(text));
        }
        assert!(!attempt.is_state(""));
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier));

        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
