//! Who calls: the credential in a request, and whose it is.

use std::borrow::Cow;

use tollgate_common::catalog::KeyDigest;
use tollgate_common::catalog::key::is_well_formed;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Timestamp;

use crate::fields::Known;
use crate::request::RequestHead;
use crate::snapshot::index::Index;
use crate::snapshot::subscriber::Subscriber;

/// A caller that is known by its key.
#[derive(Clone, Debug)]
pub struct Caller {
    pub key: KeyDigest,
    pub subscriber: Subscriber,
}

/// The credential that came last on a connection and could be a key: a caller that keeps its connection
/// is checked and hashed once. Whether the key is good is asked each time.
#[derive(Default)]
pub struct LastCredential {
    text: Vec<u8>,
    digest: Option<KeyDigest>,
}

impl LastCredential {
    /// None: it cannot be a key.
    fn digest(&mut self, credential: &[u8]) -> Option<KeyDigest> {
        if self.digest.is_some() && self.text == credential {
            return self.digest;
        }
        if !is_well_formed(credential) {
            return None;
        }
        self.text.clear();
        self.text.extend_from_slice(credential);
        self.digest = Some(KeyDigest::of(credential));
        self.digest
    }
}

/// The one credential of a request. With `query_parameter`, the query is looked through too, and
/// the credential is taken out of it.
pub fn credential<'a>(
    head: &'a mut RequestHead,
    query_parameter: Option<&str>,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let in_query = match query_parameter {
        Some(name) => head.target.take_query_parameter(name),
        None => Vec::new(),
    };
    let mut found: Option<Cow<'a, [u8]>> = None;
    let in_fields = head.fields.iter().filter_map(|field| match field.known {
        Known::Authorization => bearer(field.value()),
        Known::ApiKey => Some(field.value()),
        _ => None,
    });
    let all = in_fields
        .map(Cow::Borrowed)
        .chain(in_query.into_iter().map(|value| Cow::Owned(value.into_bytes())));
    for credential in all {
        match &found {
            Some(first) if *first != credential => return Err(Refusal::RequestMalformed),
            Some(_) => {}
            None => found = Some(credential),
        }
    }
    found.filter(|credential| !credential.is_empty()).ok_or(Refusal::CredentialMissing)
}

/// The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Finds the caller. Unknown, revoked and expired keys look alike.
pub fn identify(
    credential: &[u8],
    last: &mut LastCredential,
    index: &Index,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let key = last.digest(credential).ok_or(Refusal::CredentialInvalid)?;
    let entry = index.key(&key).ok_or(Refusal::CredentialInvalid)?;
    if entry.is_expired(now) {
        return Err(Refusal::CredentialInvalid);
    }
    Ok(Caller { key, subscriber: entry.subscriber })
}

#[cfg(test)]
mod tests {
    use tollgate_common::catalog::key::key_text;

    use super::*;

    fn head(target: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.target.read(target.as_bytes()).unwrap();
        for (name, value) in fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn found(fields: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut head = head("/p?key=k3", fields);
        let credential = credential(&mut head, None)?.into_owned();
        Ok(String::from_utf8(credential).unwrap())
    }

    #[test]
    fn a_key_stands_in_either_field() {
        assert_eq!(found(&[("Authorization", "Bearer k1")]).as_deref(), Ok("k1"));
        assert_eq!(found(&[("authorization", "bearer  k1 ")]).as_deref(), Ok("k1"));
        assert_eq!(found(&[("X-Api-Key", "k2")]).as_deref(), Ok("k2"));
        assert_eq!(
            found(&[("X-Api-Key", "k1"), ("Authorization", "Bearer k1")]).as_deref(),
            Ok("k1")
        );
    }

    #[test]
    fn two_that_differ_are_refused() {
        let both = [("X-Api-Key", "k1"), ("Authorization", "Bearer k2")];
        assert_eq!(found(&both), Err(Refusal::RequestMalformed));
        let twice = [("X-Api-Key", "k1"), ("X-API-Key", "k2")];
        assert_eq!(found(&twice), Err(Refusal::RequestMalformed));
    }

    #[test]
    fn none_or_an_empty_one_is_missing() {
        for fields in [&[][..], &[("X-Api-Key", "")], &[("Authorization", "Basic abc")]] {
            assert_eq!(found(fields), Err(Refusal::CredentialMissing));
        }
    }

    #[test]
    fn the_query_is_read_only_where_the_product_allows_it_and_loses_the_key() {
        let mut with_key = head("/p?a=1&key=k3", &[]);

        assert_eq!(credential(&mut with_key, Some("key")).unwrap().as_ref(), b"k3");
        assert_eq!(with_key.target.query(), Some("a=1"));

        let mut differing = head("/p?key=k3", &[("X-Api-Key", "k1")]);
        assert_eq!(credential(&mut differing, Some("key")), Err(Refusal::RequestMalformed));
    }

    #[test]
    fn a_digest_is_remembered_for_the_same_key_only() {
        let mut last = LastCredential::default();

        for random in [1, 1, 2] {
            let key = key_text(&[random; 32]);
            assert_eq!(last.digest(key.as_bytes()), Some(KeyDigest::of(key.as_bytes())));
        }
        assert_eq!(last.digest(b"tg_"), None);
    }
}
