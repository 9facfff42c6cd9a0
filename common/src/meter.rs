//! What is measured of a subscription, as owners and invoices read it.

use serde::{Deserialize, Serialize};

/// Billed usage by its name in the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    Calls,
    Units,
    BytesIn,
    BytesOut,
}

impl Meter {
    /// In the order of a page.
    pub const ALL: [Meter; 4] = [Self::Calls, Self::Units, Self::BytesIn, Self::BytesOut];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Units => "units",
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
        }
    }

    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.label() == label)
    }
}
