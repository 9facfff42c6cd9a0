//! What is known about the provider beforehand.

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::access::Role;
use crate::access::session::Voucher;

#[derive(Clone, Debug)]
pub struct OpenIdOptions {
    pub issuer: Url,
    pub client_id: String,
    /// None for a client that has none and shows who it is by PKCE alone.
    pub client_secret: Option<SecretString>,
    /// Where browsers come back to: this console's own URL of `OpenIdSettings::CALLBACK_PATH`.
    pub redirect_url: Url,
    /// What is asked for beside `openid`, `profile` and `email`.
    pub scopes: Vec<String>,
    pub roles: RoleRules,
}

impl OpenIdOptions {
    /// Who is asked about people, and in whose name.
    pub fn voucher(&self) -> Voucher {
        Voucher { issuer: self.issuer.to_string(), client_id: self.client_id.clone() }
    }

    pub(super) fn scope(&self) -> String {
        let scopes = ["openid", "profile", "email"]
            .into_iter()
            .chain(self.scopes.iter().map(String::as_str));
        scopes.collect::<Vec<_>>().join(" ")
    }
}

/// Which values of a claim stand for which role.
#[derive(Clone, Debug)]
pub struct RoleRules {
    /// The name of the claim; a JSON pointer (RFC 6901) when it starts with `/`.
    pub claim: String,
    pub values: Vec<(String, Role)>,
}

impl RoleRules {
    /// The widest role that the claim gives. The claim is a text or a list of texts.
    pub fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let held: Vec<&str> = match self.find(claims)? {
            Value::String(value) => vec![value.as_str()],
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let gives = |role: &Role| {
            let mut rules = self.values.iter().filter(|(_, given)| given == role);
            rules.any(|(value, _)| held.contains(&value.as_str()))
        };
        Role::ALL.into_iter().find(gives)
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(path) = self.claim.strip_prefix('/') else { return claims.get(&self.claim) };
        let unescaped = |name: &str| name.replace("~1", "/").replace("~0", "~");
        let (first, rest) = match path.split_once('/') {
            Some((first, rest)) => (first, format!("/{rest}")),
            None => (path, String::new()),
        };
        claims.get(&unescaped(first))?.pointer(&rest)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(claim: &str, claims: Value) -> Option<Role> {
        let values = [("owners", Role::PlatformOwner), ("staff", Role::Auditor)];
        let values = values.map(|(value, role)| (value.to_owned(), role)).to_vec();
        let rules = RoleRules { claim: claim.to_owned(), values };
        rules.role(claims.as_object().unwrap())
    }

    #[test]
    fn the_widest_role_that_the_claim_gives_is_taken() {
        assert_eq!(role("groups", json!({ "groups": "staff" })), Some(Role::Auditor));
        let both = json!({ "groups": ["staff", 1, "owners", "x"] });
        assert_eq!(role("groups", both), Some(Role::PlatformOwner));
    }

    #[test]
    fn a_claim_that_gives_nothing_gives_no_role() {
        for claims in [
            json!({}),
            json!({ "groups": null }),
            json!({ "groups": [] }),
            json!({ "groups": ["Owners", "owners "] }),
            json!({ "groups": { "owners": true } }),
            json!({ "roles": ["owners"] }),
        ] {
            assert_eq!(role("groups", claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn a_pointer_leads_to_a_claim_inside_of_another() {
        let claims = json!({ "realm_access": { "roles": ["owners"] }, "a/b": "staff" });
        let found = |claim| role(claim, claims.clone());

        assert_eq!(found("/realm_access/roles"), Some(Role::PlatformOwner));
        assert_eq!(found("/a~1b"), Some(Role::Auditor));
        assert_eq!(found("a/b"), Some(Role::Auditor));
        assert_eq!(found("realm_access/roles"), None);
        assert_eq!(found("/realm_access/none"), None);
    }
}
