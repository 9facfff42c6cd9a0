//! Which log lines are written.

use std::fmt;

use super::{Fault, Value};

/// Directives of `tracing`, separated by commas: `info`, or `info,tollgate_proxy=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogFilter {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn info() -> Self {
        Self("info".to_owned())
    }

    /// What a person at a terminal wants to know.
    pub fn warnings() -> Self {
        Self("warn".to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for LogFilter {
    const EXPECTED: &'static str = "a level (off, error, warn, info, debug, trace) or a list such as info,tollgate_proxy=debug";

    fn parse(text: &str) -> Result<Self, Fault> {
        let is_directive = |directive: &&str| match directive.split_once('=') {
            None => LEVELS.contains(directive),
            Some((target, level)) => is_target(target) && LEVELS.contains(&level),
        };
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        if !directives.iter().all(is_directive) {
            return Err(Fault::Unexpected);
        }
        Ok(Self(directives.join(",")))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A module's path: `tollgate_proxy::journal`.
fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_by_module() {
        for text in ["info", "off", "warn,tollgate_proxy::journal=trace", "info, hyper=warn"] {
            // What follows a blank would be passed over.
            assert_eq!(LogFilter::parse(text).unwrap().as_str(), text.replace(' ', ""));
        }
        for text in ["", "loud", "info,", "=debug", "tollgate=", "a b=info"] {
            assert_eq!(LogFilter::parse(text), Err(Fault::Unexpected), "{text}");
        }
    }
}
