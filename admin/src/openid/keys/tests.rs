use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

/// RFC 7515, appendices A.2 and A.3: one payload, signed by either kind of key.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RS256_HEADER: &str = "eyJhbGciOiJSUzI1NiJ9";
const RS256_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7\
    AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75\
    vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7n\
    oOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RSA_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4q\
    PCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-b\
    Sf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4L\
    T6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const ES256_HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";
const ES256_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn rsa_key() -> Value {
    json!({ "kty": "RSA", "n": RSA_MODULUS, "e": "AQAB" })
}

fn ec_key() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(&json!({ "keys": keys })).unwrap()
}

fn rs256() -> String {
    [RS256_HEADER, PAYLOAD, RS256_SIGNATURE].join(".")
}

fn es256() -> String {
    [ES256_HEADER, PAYLOAD, ES256_SIGNATURE].join(".")
}

/// A key of its own, and a way to sign any header with it.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn fresh() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    fn key(&self, id: &str) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let encoded = |bytes| BASE64URL_NOPAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": encoded(x), "y": encoded(y) })
    }

    fn sign(&self, header: &Value) -> String {
        let header = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
        let signed = format!("{header}.{PAYLOAD}");
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

#[test]
fn the_signatures_of_the_standard_fit() {
    let keys = key_set(&[rsa_key(), ec_key()]);

    for token in [rs256(), es256()] {
        let payload = payload(&token, &keys).unwrap();
        assert_eq!(BASE64URL_NOPAD.encode(&payload), PAYLOAD);
    }
}

#[test]
fn a_token_that_was_changed_anywhere_does_not_fit() {
    let keys = key_set(&[rsa_key(), ec_key()]);

    for token in [rs256(), es256()] {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let flipped = |text: &str| match text.strip_prefix('A') {
            Some(rest) => format!("B{rest}"),
            None => format!("A{}", &text[1..]),
        };
        let changed_claims = format!("{header}.{}.{signature}", flipped(claims));
        let changed_signature = format!("{signed}.{}", flipped(signature));
        assert_eq!(payload(&changed_claims, &keys), Err(TokenError::Signature));
        assert_eq!(payload(&changed_signature, &keys), Err(TokenError::Signature));
        assert_eq!(payload(&format!("{signed}."), &keys), Err(TokenError::Signature));
    }
}

#[test]
fn the_key_that_the_token_names_is_the_one_that_counts() {
    let (known, foreign) = (Signer::fresh(), Signer::fresh());
    let keys = key_set(&[known.key("1"), known.key("2")]);
    let header = |id: &str| json!({ "alg": "ES256", "kid": id });

    assert!(payload(&known.sign(&header("2")), &keys).is_ok());
    assert!(payload(&known.sign(&json!({ "alg": "ES256" })), &keys).is_ok());
    assert_eq!(payload(&known.sign(&header("3")), &keys), Err(TokenError::KeyUnknown));
    assert_eq!(payload(&foreign.sign(&header("1")), &keys), Err(TokenError::Signature));
}

#[test]
fn a_token_chooses_neither_its_algorithm_nor_its_key() {
    let signer = Signer::fresh();
    let keys = key_set(&[signer.key("1")]);
    let header = |alg: &str| json!({ "alg": alg, "jwk": Signer::fresh().key("1") });

    assert!(payload(&signer.sign(&header("ES256")), &keys).is_ok());
    assert_eq!(payload(&signer.sign(&header("RS256")), &keys), Err(TokenError::KeyUnknown));
    for alg in ["none", "None", "HS256", "ES384", "es256", ""] {
        let refused = payload(&signer.sign(&header(alg)), &keys);
        assert!(matches!(refused, Err(TokenError::Malformed(_))), "{alg}");
    }
    let critical = json!({ "alg": "ES256", "crit": ["b64"], "b64": false });
    assert!(matches!(payload(&signer.sign(&critical), &keys), Err(TokenError::Malformed(_))));
}

#[test]
fn what_is_no_signed_token_is_refused() {
    let keys = key_set(&[ec_key()]);
    let es256 = es256();

    for token in [
        "",
        "..",
        "a.b",
        &format!("{es256}.{PAYLOAD}"),
        &format!("{es256}="),
        &es256.replacen('.', " .", 1),
        &"a".repeat(TOKEN_BYTES_MAX + 1),
    ] {
        let refused = payload(token, &keys);
        assert!(matches!(refused, Err(TokenError::Malformed(_))), "{refused:?}");
    }
}

#[test]
fn keys_for_something_else_are_left_out() {
    let with = |mut key: Value, field: &str, value: &str| {
        key[field] = json!(value);
        key
    };
    let others = [
        with(ec_key(), "use", "enc"),
        with(ec_key(), "alg", "ES384"),
        with(ec_key(), "crv", "P-384"),
        with(ec_key(), "x", "AA"),
        with(rsa_key(), "alg", "RS512"),
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!("no key"),
    ];

    let refused = KeySet::parse(&json!({ "keys": others })).unwrap_err();
    let mixed = key_set(&[&others[..], &[ec_key()]].concat());

    assert_eq!(refused, "its key set has no key for RS256 or ES256");
    assert!(payload(&es256(), &mixed).is_ok());
    assert!(KeySet::parse(&json!({})).is_err());
    let many = vec![ec_key(); KEYS_MAX + 1];
    assert!(KeySet::parse(&json!({ "keys": many })).is_err());
}
