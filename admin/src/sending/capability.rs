//! What a destination can do, in its own words. The sender obeys and assumes nothing else.

use tollgate_common::time::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// Two clocks of one installation, or one clock before and after a correction, differ by no more.
pub const CLOCK_SKEW_MS_MAX: i64 = 5 * MINUTE_MS;

/// Since when something is in doubt of whose sending nothing is remembered: other content may have had
/// its id, so that no destination recognises it for what it is.
pub const FORGOTTEN: Timestamp = Timestamp(0);

/// Whether a moment that is past by all accounts was told by a clock that was ahead.
pub fn is_ahead(moment: Timestamp, now: Timestamp) -> bool {
    moment > now.plus_ms(CLOCK_SKEW_MS_MAX)
}

/// How long an answer is waited for. Standard Webhooks asks for 15 to 30 seconds.
pub const ANSWER_MS_MAX: i64 = 30_000;

/// A request that was given up arrives within this time or never: proxies and kernels that hold one
/// let go of it long before.
pub const IN_FLIGHT_MS_MAX: i64 = 10 * MINUTE_MS;

/// What becomes of a second arrival of the same item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// It counts again.
    Never,
    /// It is recognised for so long after the first one.
    Within { ms: i64 },
    /// It is recognised for ever.
    Always,
}

/// How what has arrived can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    Never,
    /// Item by item. An item that arrived is shown after at most `lag_ms`.
    Items {
        lag_ms: i64,
    },
    /// As a total per customer, meter and hour.
    Totals {
        lag_ms: i64,
    },
}

/// What a number means when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amounts {
    /// It is added to what is there.
    Added,
    /// It takes the place of what was there for its customer, meter and hour.
    Replacing,
}

/// What a destination declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub dedupe: Dedupe,
    pub read_back: ReadBack,
    pub amounts: Amounts,
    /// Items of one request.
    pub batch_items_max: usize,
    /// Requests at the same time. Two of the same lane are never at the same time.
    pub requests_at_once_max: usize,
    /// Usage that is older is not taken. None: any age.
    pub age_ms_max: Option<i64>,
    /// Whether a number below zero takes back what was sent before.
    pub takes_negative: bool,
}

impl Dedupe {
    /// Whether a request that may have arrived at `first` can be sent again now without counting
    /// twice, whatever the clocks do within their bound.
    pub fn covers(self, first: Timestamp, now: Timestamp) -> bool {
        match self {
            _ if first == FORGOTTEN => false,
            Self::Never => false,
            Self::Always => true,
            Self::Within { ms } => {
                // Also when the network holds the repeat back for as long as it can.
                let last = first.plus_ms(ms - 2 * CLOCK_SKEW_MS_MAX - IN_FLIGHT_MS_MAX);
                let earliest = first.plus_ms(-CLOCK_SKEW_MS_MAX);
                earliest <= now && now < last
            }
        }
    }
}

impl Dedupe {
    /// Whether a request that arrived at `last` is surely no longer recognised, whatever the clocks do
    /// within their bound.
    pub fn has_forgotten(self, last: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Never => true,
            Self::Always => false,
            Self::Within { ms } => {
                now >= last.plus_ms(ms + 2 * CLOCK_SKEW_MS_MAX + IN_FLIGHT_MS_MAX)
            }
        }
    }
}

impl Capabilities {
    /// What holds of what was sent at a moment, where the destination is set up as it is since another one. For
    /// how long single events are recognised is a setting there, and was another one before, or none.
    pub fn of(self, sent_at: Timestamp, set_up_at: Timestamp) -> Self {
        match (self.dedupe, self.read_back) {
            (Dedupe::Within { .. }, ReadBack::Items { .. }) if sent_at <= set_up_at => {
                Self { dedupe: Dedupe::Never, ..self }
            }
            _ => self,
        }
    }
}

impl ReadBack {
    /// How long after the last attempt an answer tells the truth about it; None when there is none.
    pub const fn settled_after_ms(self) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::Items { lag_ms } | Self::Totals { lag_ms } => {
                Some(lag_ms + IN_FLIGHT_MS_MAX + CLOCK_SKEW_MS_MAX)
            }
        }
    }
}
