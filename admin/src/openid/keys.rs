//! A provider's keys, and the signatures that they make (RFC 7515, RFC 7517 and RFC 7518).
//!
//! RS256 and ES256 are what providers sign with: the first is what OpenID Connect asks of every
//! provider. Anything else is refused by name, `none` and signatures with a shared secret above all.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

use super::TokenError;

/// Providers publish two or three; more than this is no set of keys.
const KEYS_MAX: usize = 64;

/// An ID token with many groups has some KB.
const TOKEN_BYTES_MAX: usize = 256 << 10;

/// A coordinate on P-256.
const COORDINATE_BYTES: usize = 32;

#[derive(Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl KeySet {
    /// Keys of other kinds and for other uses are left out: a provider may have those too.
    pub fn parse(document: &Value) -> Result<Self, String> {
        let published = document["keys"].as_array().ok_or("its key set has no keys")?;
        if published.len() > KEYS_MAX {
            return Err(format!("its key set has more than {KEYS_MAX} keys"));
        }
        let keys = published.iter().filter_map(|key| Published::deserialize(key).ok());
        let keys: Vec<Key> = keys.filter_map(Published::read).collect();
        if keys.is_empty() {
            return Err("its key set has no key for RS256 or ES256".to_owned());
        }
        Ok(Self(keys))
    }
}

impl Published {
    fn read(self) -> Option<Key> {
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: number(self.n?)?, e: number(self.e?)? },
            ("EC", Some("P-256")) => {
                let point = [vec![4], coordinate(self.x?)?, coordinate(self.y?)?];
                Material::P256(point.concat())
            }
            _ => return None,
        };
        let is_for_signatures = self.usage.is_none_or(|usage| usage == "sig");
        let is_for_this = self.alg.is_none_or(|alg| alg == material.algorithm());
        (is_for_signatures && is_for_this).then_some(Key { id: self.kid, material })
    }
}

impl Material {
    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(signed, signature)
                .is_ok(),
        }
    }
}

/// What a token says, once one of the keys has signed it.
pub fn payload(token: &str, keys: &KeySet) -> Result<Vec<u8>, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("it is too long"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(TokenError::Malformed("it has not three parts"));
    };
    let signed = &token[..header.len() + 1 + payload.len()];
    let no_base64 = TokenError::Malformed("a part of it is not base64url");
    let decoded =
        |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| no_base64.clone());
    let no_header = |_| TokenError::Malformed("its header is not that of a signed token");
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(no_header)?;
    if header.crit.is_some() {
        return Err(TokenError::Malformed("it asks for an extension"));
    }
    if !["RS256", "ES256"].contains(&header.alg.as_str()) {
        return Err(TokenError::Malformed("it is signed with neither RS256 nor ES256"));
    }
    let is_named = |key: &&Key| header.kid.is_none() || key.id.is_none() || key.id == header.kid;
    let is_meant = |key: &&Key| is_named(key) && key.material.algorithm() == header.alg;
    let mut meant = keys.0.iter().filter(is_meant).peekable();
    if meant.peek().is_none() {
        return Err(TokenError::KeyUnknown);
    }
    let (payload, signature) = (decoded(payload)?, decoded(signature)?);
    match meant.any(|key| key.material.has_signed(signed.as_bytes(), &signature)) {
        true => Ok(payload),
        false => Err(TokenError::Signature),
    }
}

/// A number without leading zeros, as the verifier wants it.
fn number(text: String) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn coordinate(text: String) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    (bytes.len() == COORDINATE_BYTES).then_some(bytes)
}

#[cfg(test)]
mod tests;
