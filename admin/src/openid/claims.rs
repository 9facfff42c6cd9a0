//! What an ID token claims, held against what was asked for (OpenID Connect Core 1.0, section
//! 3.1.3.7).

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use tollgate_common::time::Timestamp;

use super::TokenError;
use super::options::RoleRules;
use crate::access::Role;
use crate::json::{Text, is_steering};

/// How far the provider's clock may be from ours.
const LEEWAY_S: i64 = 60;

/// OpenID Connect Core 1.0, section 2: a subject has at most 255 ASCII characters.
const SUBJECT_LENGTH_MAX: usize = 255;

/// A name for the audit and the console, as those who hold tokens have; longer ones are cut.
const NAME: Text = Text::line(1, 200);

/// Whoever the provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Never given to somebody else by the same provider.
    pub subject: String,
    pub name: String,
    /// None when the claim gives none.
    pub role: Option<Role>,
}

pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: Number,
    iat: Option<Number>,
    nbf: Option<Number>,
    nonce: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn members(&self) -> &[String] {
        match self {
            Self::One(member) => std::slice::from_ref(member),
            Self::Many(members) => members,
        }
    }
}

/// Who a token is about, if it is meant for us, now and in this browser.
pub fn person(
    payload: &[u8],
    expected: &Expected<'_>,
    roles: &RoleRules,
) -> Result<Person, TokenError> {
    let malformed = |_| TokenError::Malformed("a claim is missing or of another type");
    let claims: Claims = serde_json::from_slice(payload).map_err(malformed)?;
    if claims.iss != expected.issuer {
        return Err(TokenError::Other("issuer"));
    }
    check_audience(&claims, expected.client_id)?;
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(TokenError::Other("nonce"));
    }
    check_time(&claims, expected.now.seconds())?;
    let is_subject = !claims.sub.is_empty() && claims.sub.len() <= SUBJECT_LENGTH_MAX;
    if !is_subject || !claims.sub.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(TokenError::Malformed("its subject is no short text"));
    }
    Ok(Person {
        role: roles.role(&claims.others),
        name: name(&claims.others).unwrap_or_else(|| claims.sub.clone()),
        subject: claims.sub,
    })
}

fn check_audience(claims: &Claims, client_id: &str) -> Result<(), TokenError> {
    let members = claims.aud.members();
    if !members.iter().any(|member| member == client_id) {
        return Err(TokenError::Other("audience"));
    }
    // A token for several names the one that asked for it.
    match &claims.azp {
        Some(party) if party == client_id => Ok(()),
        None if members.len() == 1 => Ok(()),
        _ => Err(TokenError::Other("authorized party")),
    }
}

fn check_time(claims: &Claims, now: i64) -> Result<(), TokenError> {
    let seconds = |number: &Number| {
        let whole = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
        whole.ok_or(TokenError::Time)
    };
    let is_over = seconds(&claims.exp)? <= now.saturating_sub(LEEWAY_S);
    let mut is_early = false;
    for start in claims.iat.iter().chain(&claims.nbf) {
        is_early |= seconds(start)? > now.saturating_add(LEEWAY_S);
    }
    if is_over || is_early { Err(TokenError::Time) } else { Ok(()) }
}

/// How people call whoever signed in, by the first claim that says so.
fn name(claims: &Map<String, Value>) -> Option<String> {
    let clean = |text: &str| {
        let visible = text.trim().chars().filter(|char| !is_steering(*char));
        visible.take(NAME.length_max).collect::<String>()
    };
    let claims =
        ["name", "preferred_username", "email"].iter().filter_map(|name| claims.get(*name));
    let mut names = claims.filter_map(Value::as_str).map(clean);
    names.find(|name| NAME.check(name).is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn read(edit: impl FnOnce(&mut Value)) -> Result<Person, TokenError> {
        let mut claims = json!({
            "iss": "https://id.example", "sub": "248289", "aud": "tollgate", "nonce": "n",
            "exp": 1_000_300, "iat": 1_000_000, "name": "Ada", "groups": ["owners"],
        });
        edit(&mut claims);
        let (issuer, client_id, nonce) = ("https://id.example", "tollgate", "n");
        let expected = Expected { issuer, client_id, nonce, now: NOW };
        let values = vec![("owners".to_owned(), Role::PlatformOwner)];
        let roles = RoleRules { claim: "groups".to_owned(), values };
        person(claims.to_string().as_bytes(), &expected, &roles)
    }

    fn with(claim: &'static str, value: Value) -> Result<Person, TokenError> {
        read(|claims| claims[claim] = value)
    }

    #[test]
    fn a_token_as_it_was_asked_for_is_believed() {
        let ada = Person {
            subject: "248289".into(),
            name: "Ada".into(),
            role: Some(Role::PlatformOwner),
        };

        assert_eq!(read(|_| {}), Ok(ada.clone()));
        assert_eq!(with("aud", json!(["tollgate"])), Ok(ada.clone()));
        let for_two = read(|claims| {
            claims["aud"] = json!(["tollgate", "other"]);
            claims["azp"] = json!("tollgate");
        });
        assert_eq!(for_two, Ok(ada));
    }

    #[test]
    fn a_token_from_or_for_somebody_else_is_not() {
        let other = |claim, value, what| {
            assert_eq!(with(claim, value), Err(TokenError::Other(what)));
        };

        other("iss", json!("https://id.example/"), "issuer");
        other("aud", json!("other"), "audience");
        other("aud", json!([]), "audience");
        other("aud", json!(["tollgate", "other"]), "authorized party");
        other("azp", json!("other"), "authorized party");
        other("nonce", json!("m"), "nonce");
        other("nonce", Value::Null, "nonce");
    }

    #[test]
    fn a_token_of_another_time_is_not_but_clocks_may_differ_a_little() {
        for (claim, seconds, is_good) in [
            ("exp", 999_941, true),
            ("exp", 999_940, false),
            ("iat", 1_000_060, true),
            ("iat", 1_000_061, false),
            ("nbf", 1_000_060, true),
            ("nbf", 1_000_061, false),
        ] {
            assert_eq!(with(claim, json!(seconds)).is_ok(), is_good, "{claim} {seconds}");
        }
        assert!(with("exp", json!(1_000_300.5)).is_ok());
        assert_eq!(with("exp", json!(1.0)), Err(TokenError::Time));
    }

    #[test]
    fn a_claim_of_another_type_is_no_claim_that_is_missing() {
        for (claim, value) in [
            ("exp", json!("1000300")),
            ("nbf", json!("soon")),
            ("iat", json!([])),
            ("azp", json!(1)),
            ("sub", json!(1)),
            ("sub", json!("")),
            ("sub", json!("x".repeat(256))),
            ("sub", json!("a\nb")),
            ("aud", json!({})),
        ] {
            let found = with(claim, value.clone());
            assert!(matches!(found, Err(TokenError::Malformed(_))), "{claim} {value}");
        }
        for claim in ["iss", "sub", "aud", "exp"] {
            let found = read(|claims| {
                claims.as_object_mut().unwrap().remove(claim);
            });
            assert!(matches!(found, Err(TokenError::Malformed(_))), "{claim}");
        }
    }

    #[test]
    fn a_person_has_a_name_for_people_whatever_the_provider_sends() {
        let name = |edit: fn(&mut Value)| read(edit).unwrap().name;

        assert_eq!(name(|claims| claims["name"] = json!(" A\u{0}da ")), "Ada");
        assert_eq!(name(|claims| claims["name"] = json!("\u{202e}A\u{2066}da")), "Ada");
        assert_eq!(name(|claims| claims["name"] = json!("\u{200b}")), "248289");
        assert_eq!(name(|claims| claims["name"] = json!("x".repeat(999))).len(), 200);
        assert_eq!(name(|claims| claims["name"] = json!(1)), "248289");
        let by_email = |claims: &mut Value| {
            claims["name"] = json!("");
            claims["email"] = json!("ada@example.com");
        };
        assert_eq!(name(by_email), "ada@example.com");
    }

    #[test]
    fn whoever_has_no_role_is_known_all_the_same() {
        assert_eq!(with("groups", json!(["staff"])).unwrap().role, None);
    }
}
