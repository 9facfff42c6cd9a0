//! What is measured of a subscription, as owners and invoices read it.

use super::tally::Counts;

/// Billed usage by its name in the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    pub const fn of(self, counts: &Counts) -> i64 {
        match self {
            Self::Calls => counts.calls,
            Self::Units => counts.units,
            Self::BytesIn => counts.bytes_in,
            Self::BytesOut => counts.bytes_out,
        }
    }
}
