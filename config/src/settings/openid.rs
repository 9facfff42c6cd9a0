//! Settings of signing in with a provider.

use secrecy::SecretString;
use url::{Host, Url};

use crate::section::section;

section! {
    /// Signing in at the console with an OpenID Connect provider, beside tokens. docs/sign-in.md says
    /// how to set one up.
    pub struct OpenIdSettings {
        /// The provider: what stands before `/.well-known/openid-configuration`. None: the console
        /// takes tokens alone.
        issuer: Option<Url> = None;
        /// What the provider calls this console.
        client_id: Option<String> = None;
        /// What this console shows the provider; none for a public client, which has PKCE alone.
        client_secret: Option<SecretString> = None;
        /// The console's address as browsers know it, with the path
        /// `/dashboard/sign-in/openid/callback`. It is registered with the provider.
        redirect_url: Option<Url> = None;
        /// What the provider is asked for beside `openid`, `profile` and `email`. Some give groups only
        /// to those who ask.
        scopes: Vec<String> = Vec::new();
        /// The claim of the ID token that the role comes from, a text or a list of texts. One inside
        /// of another is written as a JSON pointer: `/realm_access/roles`.
        role_claim: String = "groups".to_owned();
        /// Who has which role.
        roles: OpenIdRoles = OpenIdRoles::default();
    }
}

section! {
    /// Values of the claim that give a role. Of several roles the widest counts; without one, nobody is
    /// let in.
    pub struct OpenIdRoles {
        /// Everything.
        platform_owner: Vec<String> = Vec::new();
        /// Runs the catalog, but makes neither keys nor tokens.
        operator: Vec<String> = Vec::new();
        /// Reads.
        auditor: Vec<String> = Vec::new();
    }
}

impl OpenIdSettings {
    /// The path of the redirect URL.
    pub const CALLBACK_PATH: &'static str = "/dashboard/sign-in/openid/callback";
}

/// Whether what is sent to a URL is protected: by TLS, or because it does not leave the machine.
pub fn is_protected(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    }
}
