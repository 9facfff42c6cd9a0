//! Settings of the log.

use crate::section::section;
use crate::value::{LogFilter, words};

section! {
    /// What is written to standard error.
    pub struct LogSettings {
        /// The least level that is written, for all modules or for one.
        filter: LogFilter = LogFilter::info();
        /// `json` for machines, `text` for people.
        format: LogFormat = LogFormat::Json;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

words!(LogFormat, "json or text", {
    "json" => LogFormat::Json,
    "text" => LogFormat::Text,
});
