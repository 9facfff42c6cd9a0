//! Which database the control plane keeps its store in.

use std::path::{Path, PathBuf};

use super::{Fault, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file, created when it is missing.
    Sqlite(PathBuf),
}

impl StoreUrl {
    pub fn path(&self) -> &Path {
        match self {
            Self::Sqlite(path) => path,
        }
    }
}

impl Value for StoreUrl {
    const EXPECTED: &'static str = "a URL such as sqlite:///var/lib/tollgate/tollgate.db";
    // The URL of a database server carries a password.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Err(Fault::Because("PostgreSQL is not available in this version".to_owned()));
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
        format!("sqlite://{}", self.path().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file() {
        let absolute = StoreUrl::parse("sqlite:///var/lib/t.db").unwrap();
        let relative = StoreUrl::parse("sqlite://t.db").unwrap();

        assert_eq!(absolute.path(), Path::new("/var/lib/t.db"));
        assert_eq!(relative.path(), Path::new("t.db"));
    }

    #[test]
    fn what_this_version_lacks_is_said() {
        let fault = StoreUrl::parse("postgres://user:pass@db/tollgate").unwrap_err();

        assert_eq!(fault, Fault::Because("PostgreSQL is not available in this version".into()));
    }

    #[test]
    fn a_store_in_memory_is_refused() {
        for text in ["sqlite::memory:", "sqlite://:memory:", "sqlite:", "mysql://h/d", "t.db"] {
            assert_eq!(StoreUrl::parse(text), Err(Fault::Unexpected), "{text}");
        }
    }
}
