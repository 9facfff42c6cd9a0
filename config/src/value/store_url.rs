//! Which database the control plane keeps its store in.

mod postgres;

pub use postgres::PostgresUrl;

use std::path::PathBuf;

use super::{Fault, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file, created when it is missing.
    Sqlite(PathBuf),
    /// A server, which several control planes can share.
    Postgres(PostgresUrl),
}

impl From<PathBuf> for StoreUrl {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl Value for StoreUrl {
    const EXPECTED: &'static str =
        "a URL such as sqlite:///var/lib/tollgate/tollgate.db or postgres://tollgate@db/tollgate";
    // The URL of a database server carries a password.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return PostgresUrl::parse(text).map(Self::Postgres).map_err(Fault::Because);
        }
        let path = text.strip_prefix("sqlite:").ok_or(Fault::Unexpected)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        // A store in memory would forget what was sold.
        if path.is_empty() || path.contains(['?', '\0']) || path.starts_with(':') {
            return Err(Fault::Unexpected);
        }
        Ok(Self::Sqlite(path.into()))
    }

    fn show(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_a_server() {
        let absolute = StoreUrl::parse("sqlite:///var/lib/t.db").unwrap();
        let relative = StoreUrl::parse("sqlite://t.db").unwrap();
        let server = StoreUrl::parse("postgres://user:pass@db/tollgate").unwrap();

        assert_eq!(absolute, StoreUrl::Sqlite("/var/lib/t.db".into()));
        assert_eq!(relative, StoreUrl::Sqlite("t.db".into()));
        assert_eq!(server.show(), "postgres://user@db/tollgate");
    }

    #[test]
    fn a_store_in_memory_is_refused() {
        for text in ["sqlite::memory:", "sqlite://:memory:", "sqlite:", "mysql://h/d", "t.db"] {
            assert_eq!(StoreUrl::parse(text), Err(Fault::Unexpected), "{text}");
        }
    }
}
