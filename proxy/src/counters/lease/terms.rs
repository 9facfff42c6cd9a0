//! What a plan asks of the counters, as a lease needs it.

use std::num::NonZeroU32;

use tollgate_common::catalog::OutageMode;
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

const MINUTE_NS: u64 = 60_000_000_000;

/// What a full burst may be worth: 52 days. A script counts in doubles, and this is far below where
/// they stop being whole.
const WINDOW_NS_MAX: u64 = 1 << 52;

/// The largest quota that a script can count to. What is above is never reached.
const LIMIT_MAX: u64 = 1 << 52;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub quota: Option<QuotaTerms>,
    pub rate: Option<RateTerms>,
    pub outage: OutageMode,
    /// Of the catalog that the terms are from: of two limits the newer one counts.
    pub revision: Revision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaTerms {
    /// None: calls pass over the quota too, and are only counted.
    pub limit: Option<u64>,
    /// The quota as the plan states it.
    pub stated: u64,
    /// Nothing can have been used before.
    pub unused_until: Timestamp,
}

/// Calls as time: each call is worth an interval, and a full burst a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTerms {
    /// Calls per minute.
    pub limit: u32,
    pub interval_ns: u64,
    pub window_ns: u64,
}

impl Terms {
    /// Of a lease that no plan was read for yet.
    pub const NONE: Self =
        Self { quota: None, rate: None, outage: OutageMode::Strict, revision: 0 };
}

impl QuotaTerms {
    pub fn hard(limit: u64, unused_until: Timestamp) -> Self {
        Self { limit: Some(limit.min(LIMIT_MAX)), stated: limit, unused_until }
    }

    pub fn soft(stated: u64, unused_until: Timestamp) -> Self {
        Self { limit: None, stated, unused_until }
    }
}

impl RateTerms {
    pub fn new(limit: NonZeroU32, burst: NonZeroU32) -> Self {
        // Rounded up, so that no span ever admits more than the rate says.
        let interval_ns = MINUTE_NS.div_ceil(u64::from(limit.get()));
        let burst = u64::from(burst.get()).min(WINDOW_NS_MAX / interval_ns);
        Self { limit: limit.get(), interval_ns, window_ns: burst * interval_ns }
    }

    pub fn burst(&self) -> u64 {
        self.window_ns / self.interval_ns
    }
}
