//! What must be true of several settings together.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};

use crate::mistake::{Mistake, Place};
use crate::settings::{AdminSettings, OpenIdSettings, Settings, is_protected};
use crate::tree::{Content, Node};

/// What a process is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Proxy and admin in one process.
    Run,
    Proxy,
    Admin,
}

impl Role {
    pub const fn has_proxy(self) -> bool {
        matches!(self, Self::Run | Self::Proxy)
    }

    pub const fn has_admin(self) -> bool {
        matches!(self, Self::Run | Self::Admin)
    }
}

/// More threads than this only wait for each other.
const THREADS_MAX: usize = 1_024;

/// One that is filled, one in reserve, one that is being delivered.
const JOURNAL_SEGMENTS_MIN: u64 = 3;

/// Notes what does not fit together, whatever the role. A rule over a setting that is itself a
/// mistake says nothing: its default stands in, which no one wrote.
pub(crate) fn check(settings: &Settings, root: &Node, mistakes: &mut Vec<Mistake>) {
    let mistaken: Vec<String> = mistakes.iter().map(|mistake| mistake.setting.clone()).collect();
    let mut note = |settings: &[&str], message: String| {
        if !settings.iter().any(|setting| mistaken.iter().any(|mistaken| mistaken == setting)) {
            let setting = settings[0].to_owned();
            mistakes.push(Mistake { place: place_of(root, &setting), setting, message });
        }
    };
    if settings.proxy.threads.is_some_and(|threads| threads.get() > THREADS_MAX) {
        note(&["proxy.threads"], format!("must be from 1 to {THREADS_MAX}"));
    }
    let journal = &settings.journal;
    if journal.bytes_max.bytes() < JOURNAL_SEGMENTS_MIN * journal.segment_bytes.bytes() {
        let involved = ["journal.bytes_max", "journal.segment_bytes"];
        note(&involved, format!("must hold {JOURNAL_SEGMENTS_MIN} segments"));
    }
    let listeners = [
        ("proxy.listen", settings.proxy.listen),
        ("admin.listen", settings.admin.listen),
        ("metrics.listen", settings.metrics.listen),
    ];
    for (index, (name, address)) in listeners.iter().enumerate() {
        let earlier = listeners[..index].iter().find(|(_, other)| same_port(*address, *other));
        if let Some((other, _)) = earlier {
            note(&[name, other], format!("is the same address and port as {other}"));
        }
    }
    let tokens = [
        ("node_token", &settings.node_token),
        ("admin.bootstrap_token", &settings.admin.bootstrap_token),
    ];
    let is_long =
        |token: &SecretString| token.expose_secret().len() > AdminSettings::TOKEN_LENGTH_MAX;
    for (name, _) in tokens.iter().filter(|(_, token)| token.as_ref().is_some_and(is_long)) {
        let message = format!("must have at most {} characters", AdminSettings::TOKEN_LENGTH_MAX);
        note(&[name], message);
    }
    check_openid(&settings.openid, &mut note);
}

/// A provider is known whole or not at all: half of it would show at the first sign-in.
fn check_openid(openid: &OpenIdSettings, note: &mut dyn FnMut(&[&str], String)) {
    let unprotected = "must be https, unless it is on this machine";
    let Some(issuer) = &openid.issuer else {
        let given = given_beside_issuer(openid).join(", ");
        if !given.is_empty() {
            let message = format!("must be given, so that the rest of openid counts: {given}");
            note(&["openid.issuer"], message);
        }
        return;
    };
    if !is_protected(issuer) {
        note(&["openid.issuer"], unprotected.to_owned());
    }
    if openid.client_id.is_none() {
        note(&["openid.client_id"], "must be given with openid.issuer".to_owned());
    }
    let path = OpenIdSettings::CALLBACK_PATH;
    match &openid.redirect_url {
        None => note(&["openid.redirect_url"], "must be given with openid.issuer".to_owned()),
        Some(url) if !is_protected(url) => note(&["openid.redirect_url"], unprotected.to_owned()),
        Some(url) if url.path() != path || url.query().is_some() || url.fragment().is_some() => {
            note(&["openid.redirect_url"], format!("must have the path {path} and end there"));
        }
        Some(_) => {}
    }
    if !gives_roles(openid) {
        let message = "must give somebody a role, since nobody could sign in".to_owned();
        let involved = [
            "openid.roles",
            "openid.roles.platform_owner",
            "openid.roles.operator",
            "openid.roles.auditor",
        ];
        note(&involved, message);
    }
}

/// The settings that are nothing without a provider, as far as they differ from their defaults.
fn given_beside_issuer(openid: &OpenIdSettings) -> Vec<&'static str> {
    let settings = [
        ("client_id", openid.client_id.is_some()),
        ("client_secret", openid.client_secret.is_some()),
        ("redirect_url", openid.redirect_url.is_some()),
        ("scopes", !openid.scopes.is_empty()),
        ("role_claim", openid.role_claim != OpenIdSettings::default().role_claim),
        ("roles", gives_roles(openid)),
    ];
    settings.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
}

fn gives_roles(openid: &OpenIdSettings) -> bool {
    let roles = &openid.roles;
    let values = [&roles.platform_owner, &roles.operator, &roles.auditor];
    values.iter().any(|values| !values.is_empty())
}

/// Notes what a role cannot start without.
pub(crate) fn check_role(settings: &Settings, role: Role) -> Vec<Mistake> {
    let missing = |setting: &str, message: &str| Mistake {
        place: Place::Missing,
        setting: setting.to_owned(),
        message: message.to_owned(),
    };
    let mut mistakes = Vec::new();
    if role == Role::Proxy && settings.proxy.admin_url.is_none() {
        mistakes.push(missing("proxy.admin_url", "`tollgate proxy` must know the control plane"));
    }
    if role != Role::Run && settings.node_token.is_none() {
        let message = "must be given, so that gateways and the control plane know each other";
        mistakes.push(missing("node_token", message));
    }
    mistakes
}

fn same_port(a: SocketAddr, b: SocketAddr) -> bool {
    let same_address = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_address
}

/// Where a setting is written, or else where the nearest section around it begins.
fn place_of(root: &Node, setting: &str) -> Place {
    let mut place = Place::Missing;
    let mut node = root;
    for name in setting.split('.') {
        let Content::Section(entries) = &node.content else { break };
        let Some((key, value)) = entries.iter().find(|(key, _)| key.name == name) else { break };
        place = match value.content {
            Content::Section(_) => key.place.clone(),
            _ => value.place.clone(),
        };
        node = value;
    }
    place
}
