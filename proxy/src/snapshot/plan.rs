//! A plan, ready to be decided by.

use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tollgate_common::ids::PlanId;
use tollgate_common::period::Calendar;
use tollgate_common::snapshot::PlanRules;

use super::product::ProductEntry;
use super::subscriber::Subscriber;
use crate::counters::lease::terms::RateTerms;
use crate::counters::local::RateRule;
use crate::limits::Policy;
use crate::metrics::PlanMetrics;

pub struct PlanEntry {
    pub rules: PlanRules,
    pub product: Arc<ProductEntry>,
    /// None: calls per minute are not limited.
    pub rate: Option<RateRule>,
    /// The same as shared counters have it.
    pub rate_terms: Option<RateTerms>,
    /// None: no quota, so no period either.
    quota_time_zone: Option<TimeZone>,
    /// The name as a header field may carry it.
    pub field_name: String,
    /// What callers are told of the limits.
    pub policy: Policy,
    pub metrics: PlanMetrics,
}

impl PlanEntry {
    pub fn new(rules: PlanRules, product: Arc<ProductEntry>, metrics: PlanMetrics) -> Self {
        let rate_limit = rules
            .rate_limit
            .and_then(NonZeroU32::new)
            .map(|limit| (limit, rules.burst.and_then(NonZeroU32::new).unwrap_or(limit)));
        let policy = Policy::new(rate_limit.map(|(limit, _)| limit.get()), rules.quota);
        let rate = rate_limit.map(|(limit, burst)| RateRule::new(limit, burst));
        let rate_terms = rate_limit.map(|(limit, burst)| RateTerms::new(limit, burst));
        let quota_time_zone = rules.quota.map(|_| time_zone(&rules));
        let field_name = field_text(&rules.name);
        Self { rules, product, rate, rate_terms, quota_time_zone, field_name, policy, metrics }
    }

    pub fn id(&self) -> PlanId {
        self.rules.id
    }

    /// What the periods of a subscription's quota go by; None: no quota.
    pub fn quota_calendar(&self, subscriber: &Subscriber) -> Option<Calendar> {
        let time_zone = self.quota_time_zone.clone()?;
        Some(Calendar { kind: self.rules.period, time_zone, started_at: subscriber.started_at() })
    }
}

/// Owners type names as they like; what is not plain ASCII is percent-encoded, as in a URL.
fn field_text(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text.trim().to_owned()
}

/// The control plane has checked the name; a zone that only this machine lacks is logged and read
/// as UTC, which every node without it does alike.
fn time_zone(rules: &PlanRules) -> TimeZone {
    TimeZone::get(&rules.time_zone).unwrap_or_else(|error| {
        tracing::error!(plan = rules.name, time_zone = rules.time_zone, %error, "unknown time zone");
        TimeZone::UTC
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(field_text("Pro\r\nX-A: b"), "Pro%0D%0AX-A: b");
        assert_eq!(field_text("Größe 100%"), "Gr%C3%B6%C3%9Fe 100%25");
    }
}
