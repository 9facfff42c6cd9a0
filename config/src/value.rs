//! The types that a setting's value can have, and how each is written.

mod duration;
mod log_filter;
mod moment;
mod redis_url;
mod size;
mod store_url;

pub use log_filter::LogFilter;
pub use moment::Moment;
pub use redis_url::{Host, RedisUrl, Servers};
pub use size::ByteSize;
pub use store_url::{PostgresUrl, StoreUrl};

use std::net::SocketAddr;
use std::num::{IntErrorKind, NonZeroUsize, ParseIntError};
use std::path::PathBuf;

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use crate::section::{Entry, Field, Reader};

/// Why a text is no value of the type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not what [`Value::EXPECTED`] says.
    Unexpected,
    Because(String),
}

pub(crate) trait Value: Sized {
    /// Fits behind "is not" and "must be".
    const EXPECTED: &'static str;
    const EXPECTED_LIST: &'static str = "a list";
    /// What was written is never quoted.
    const SECRET: bool = false;

    fn parse(text: &str) -> Result<Self, Fault>;
    /// The text that is read as this value.
    fn show(&self) -> String;
}

macro_rules! leaves {
    ($($type:ty),* $(,)?) => { $(
        impl Field for $type {
            fn read(
                reader: &mut Reader<'_>,
                key: &'static str,
                default: Option<Self>,
            ) -> Option<Self> {
                match (reader.node(key), default) {
                    (Some(node), _) => reader.value(key, node),
                    (None, Some(default)) => Some(default),
                    (None, None) => {
                        reader.missing(key);
                        None
                    }
                }
            }

            fn describe(entry: Entry, default: Option<&Self>, entries: &mut Vec<Entry>) {
                entries.push(Entry {
                    expected: Some(<$type as Value>::EXPECTED),
                    default: default.map(Value::show),
                    ..entry
                });
            }
        }
    )* };
}

leaves!(
    bool,
    u16,
    u32,
    u64,
    usize,
    NonZeroUsize,
    std::time::Duration,
    ByteSize,
    SocketAddr,
    PathBuf,
    String,
    Url,
    SecretString,
    LogFilter,
    Moment,
    RedisUrl,
    StoreUrl,
    crate::settings::JournalSync,
    crate::settings::LogFormat,
);

macro_rules! parsed {
    ($($type:ty: $expected:literal),* $(,)?) => { $(
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Result<Self, Fault> {
                text.parse().map_err(|_| Fault::Unexpected)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}

parsed!(
    bool: "true or false",
    u16: "a whole number up to 65535",
    SocketAddr: "an address and port such as 127.0.0.1:8080",
);

macro_rules! whole_numbers {
    ($($type:ty: $expected:literal),* $(,)?) => { $(
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            /// What is too large is read as the largest: the setting's bounds refuse it, and say
            /// what they are.
            fn parse(text: &str) -> Result<Self, Fault> {
                text.parse().or_else(|error: ParseIntError| match error.kind() {
                    IntErrorKind::PosOverflow => Ok(Self::MAX),
                    _ => Err(Fault::Unexpected),
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}

whole_numbers!(
    u32: "a whole number",
    u64: "a whole number",
    usize: "a whole number",
    NonZeroUsize: "a whole number above zero",
);

impl Value for IpNet {
    const EXPECTED: &'static str = "an address range such as 10.0.0.0/8";
    const EXPECTED_LIST: &'static str = "a list of address ranges such as 10.0.0.0/8";

    fn parse(text: &str) -> Result<Self, Fault> {
        let single = |_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
        text.parse().or_else(single).map_err(|_| Fault::Unexpected)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.contains('\0') {
            return Err(Fault::Unexpected);
        }
        Ok(text.into())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for String {
    const EXPECTED: &'static str = "a text";
    const EXPECTED_LIST: &'static str = "a list of texts";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(Fault::Unexpected);
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for Url {
    const EXPECTED: &'static str = "an http or https URL without a password";
    // A URL can carry a password by mistake.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Fault> {
        let url = Url::parse(text).map_err(|_| Fault::Unexpected)?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !is_plain {
            return Err(Fault::Unexpected);
        }
        Ok(url)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A token travels in an HTTP header, so it is made of what a header may carry.
impl Value for SecretString {
    const EXPECTED: &'static str = "a secret of visible ASCII characters without blanks";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Fault::Unexpected);
        }
        Ok(text.into())
    }

    fn show(&self) -> String {
        "secret".to_owned()
    }
}

/// Implements [`Value`] for an enum that is written as one of a few words.
macro_rules! words {
    ($type:ty, $expected:literal, { $($word:literal => $value:expr),* $(,)? }) => {
        impl $crate::value::Value for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Result<Self, $crate::value::Fault> {
                match text {
                    $( $word => Ok($value), )*
                    _ => Err($crate::value::Fault::Unexpected),
                }
            }

            fn show(&self) -> String {
                let words = [$( ($value, $word) ),*];
                let named = words.iter().find(|(value, _)| value == self);
                named.expect("every value has its word").1.to_owned()
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = SecretString::parse("hunter2").unwrap();

        assert_eq!(secret.show(), "secret");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn an_address_alone_is_a_range_of_one() {
        assert_eq!(IpNet::parse("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(IpNet::parse("::1").unwrap().to_string(), "::1/128");
        assert!(IpNet::parse("10.0.0.0/33").is_err());
    }

    #[test]
    fn a_url_has_a_host_and_no_password() {
        assert!(Url::parse("https://admin.example:9090").is_ok());
        for text in ["ftp://a.example", "https://", "http://u:p@a.example", "admin.example:9090"] {
            assert_eq!(<Url as Value>::parse(text), Err(Fault::Unexpected), "{text}");
        }
    }
}
