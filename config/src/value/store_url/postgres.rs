//! Where a PostgreSQL server is, and as whom to speak to it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Parameters that are passed on, as libpq knows them. Others are refused: a misspelled `sslmode`
/// would otherwise leave the connection open to whoever is on the way.
const PARAMETERS: [&str; 6] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "application_name"];

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The URL of a database. Shown without its password and parameters.
#[derive(Clone)]
pub struct PostgresUrl {
    text: SecretString,
    shown: String,
}

impl PostgresUrl {
    /// Says what is wrong without a word of the URL, since any part of one that is misread may be
    /// of the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| {
            "is no URL; in user and password, characters such as / # ? @ : % are written as %2F and \
             so on"
        })?;
        if url.host_str().is_none_or(str::is_empty) && !has_parameter(&url, "host") {
            return Err("names no host".to_owned());
        }
        let database = url.path().strip_prefix('/').unwrap_or_default();
        if database.is_empty() || database.contains(['/', '@']) {
            return Err("must name one database, as in postgres://user@host/database".to_owned());
        }
        if url.fragment().is_some() {
            return Err("has a #; in a password it is written as %23".to_owned());
        }
        for (name, value) in url.query_pairs() {
            if !PARAMETERS.contains(&&*name) {
                let known = PARAMETERS.join(", ");
                return Err(format!("has a parameter that is none of {known}"));
            }
            if name == "sslmode" && !SSL_MODES.contains(&&*value) {
                return Err(format!("has an sslmode that is none of {}", SSL_MODES.join(", ")));
            }
        }
        Ok(Self { shown: shown(&url), text: text.into() })
    }

    /// The whole URL, with its password.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

fn has_parameter(url: &Url, name: &str) -> bool {
    url.query_pairs().any(|(key, _)| key == name)
}

fn shown(url: &Url) -> String {
    let user = match url.username() {
        "" => String::new(),
        user => format!("{user}@"),
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("postgres://{user}{host}{port}{}", url.path())
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresUrl").field(&self.shown).finish()
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for PostgresUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        PostgresUrl::parse(text).unwrap_err()
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = PostgresUrl::parse("postgres://tollgate:hunter2@db:6432/prod?sslmode=require");

        let url = url.unwrap();
        assert_eq!(url.to_string(), "postgres://tollgate@db:6432/prod");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(url.expose().contains("hunter2"));
    }

    #[test]
    fn a_socket_can_stand_for_a_host() {
        assert!(PostgresUrl::parse("postgres:///tollgate?host=/run/postgresql").is_ok());
        assert_eq!(fault("postgres:///tollgate"), "names no host");
    }

    #[test]
    fn each_mistake_is_named_and_nothing_of_the_password_is() {
        for text in [
            "postgres://u:hunter2#1@db/t",
            "postgres://u:hunter2/1@db/t",
            "postgres://u:hunter2@db",
            "postgres://u:hunter2@db/a/b",
            "postgres://u:12/hunter2@db",
            "postgres://u:hunter2@db:port/t",
            "postgres://u:hunter2@db/t?sslmode=hunter2",
            "postgres://u:hunter2@db/t?hunter2=on",
        ] {
            let fault = fault(text);
            assert!(!fault.is_empty() && !fault.contains("hunter2"), "{fault}");
        }
        assert!(fault("postgres://u@db/t?sslmod=require").starts_with("has a parameter that is"));
        assert!(
            fault("postgres://u@db/t?sslmode=on").starts_with("has an sslmode that is none of")
        );
        assert!(fault("postgres://u@db").starts_with("must name one database"));
    }
}
