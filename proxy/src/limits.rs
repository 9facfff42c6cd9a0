//! What a caller is told of its limits.
//!
//! `RateLimit-Policy` and `RateLimit` are structured fields as in draft-ietf-httpapi-ratelimit-
//! headers-10; `X-RateLimit-*` say the same of the limit that is nearer, with the reset in seconds
//! from now. No time stated is earlier than the truth.

use serde::Serialize;
use tollgate_common::period::Period;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Timestamp;

use crate::counters::{Limits, QuotaLeft, RateLeft};
use crate::fields::Fields;
use crate::http1::response::write_number;

const MINUTE_SECONDS: u64 = 60;

/// The largest integer of a structured field (RFC 9651, section 3.3.1). Quotas may be larger.
const FIELD_INTEGER_MAX: u64 = 999_999_999_999_999;

/// What a plan's `RateLimit-Policy` says in every period: `"minute";q=100;w=60, "month";q=5000;w=`,
/// where the length of the period goes on.
#[derive(Debug)]
pub struct Policy {
    text: Vec<u8>,
    has_quota: bool,
}

impl Policy {
    pub fn new(rate_limit: Option<u32>, quota: Option<u64>) -> Self {
        let mut text = Vec::new();
        if let Some(limit) = rate_limit {
            write_item(b"\"minute\";q=", u64::from(limit), b";w=", &mut text);
            write_number(MINUTE_SECONDS, &mut text);
        }
        if let Some(limit) = quota {
            write_separator(rate_limit.is_some(), &mut text);
            write_item(b"\"month\";q=", limit, b";w=", &mut text);
        }
        Self { text, has_quota: quota.is_some() }
    }

    fn write(&self, period: Period, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
        if self.has_quota {
            write_number(period.start.seconds_until(period.end), out);
        }
    }
}

/// Limits as an answer states them: the plan's policy, and what is left.
#[derive(Clone, Copy, Debug)]
pub struct Stated<'a> {
    pub policy: &'a Policy,
    pub left: &'a Limits,
}

impl Stated<'_> {
    /// Adds the limit fields of one answer.
    pub fn push(self, now: Timestamp, fields: &mut Fields) {
        let Self { policy, left } = self;
        let Some(tighter) = Tighter::of(left, now) else { return };
        fields.push_written(b"RateLimit-Policy", |text| policy.write(left.period, text));
        fields.push_written(b"RateLimit", |text| write_left(left, now, text));
        push_numbered(b"X-RateLimit-Limit", tighter.limit, fields);
        push_numbered(b"X-RateLimit-Remaining", tighter.remaining, fields);
        push_numbered(b"X-RateLimit-Reset", tighter.reset_seconds, fields);
    }
}

/// `"minute";r=99;t=1, "month";r=12;t=2591000`
fn write_left(limits: &Limits, now: Timestamp, out: &mut Vec<u8>) {
    if let Some(rate) = &limits.rate {
        write_item(b"\"minute\";r=", remaining(rate), b";t=", out);
        write_number(reset_seconds(rate), out);
    }
    if let Some(quota) = &limits.quota {
        write_separator(limits.rate.is_some(), out);
        write_item(b"\"month\";r=", quota.remaining(), b";t=", out);
        write_number(now.seconds_until(quota.resets_at), out);
    }
}

fn write_separator(is_second: bool, out: &mut Vec<u8>) {
    if is_second {
        out.extend_from_slice(b", ");
    }
}

/// A member of the list, up to the number that ends it.
fn write_item(name: &[u8], number: u64, parameter: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    write_number(number.min(FIELD_INTEGER_MAX), out);
    out.extend_from_slice(parameter);
}

pub fn push_numbered<const N: usize>(name: &[u8; N], number: u64, fields: &mut Fields) {
    fields.push_written(name, |out| write_number(number, out));
}

/// More than a minute's calls may pass at once; more are not stated than the limit beside it.
fn remaining(rate: &RateLeft) -> u64 {
    u64::from(rate.remaining.min(rate.limit))
}

/// Until one more call passes when there is none left, until all are back otherwise.
fn reset_ns(rate: &RateLeft) -> u64 {
    if rate.remaining == 0 { rate.next_ns } else { rate.full_ns }
}

fn reset_seconds(rate: &RateLeft) -> u64 {
    reset_ns(rate).div_ceil(1_000_000_000)
}

/// The limit that will stop the caller first if nothing comes back: the one with less left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tighter {
    limit: u64,
    remaining: u64,
    reset_seconds: u64,
}

impl Tighter {
    fn of(limits: &Limits, now: Timestamp) -> Option<Tighter> {
        let rate = limits.rate.as_ref().map(|rate| Tighter {
            limit: u64::from(rate.limit),
            remaining: remaining(rate),
            reset_seconds: reset_seconds(rate),
        });
        let quota = limits.quota.as_ref().map(|quota| Tighter {
            limit: quota.limit,
            remaining: quota.remaining(),
            reset_seconds: now.seconds_until(quota.resets_at),
        });
        match (rate, quota) {
            (Some(rate), Some(quota)) if quota.remaining <= rate.remaining => Some(quota),
            (Some(rate), _) => Some(rate),
            (None, quota) => quota,
        }
    }
}

/// What a refusal for a limit says of that limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub limit: u64,
    pub remaining: u64,
    pub resets_at: Timestamp,
    pub retry_after_seconds: u64,
}

impl Exceeded {
    pub fn of(refusal: Refusal, limits: &Limits, now: Timestamp) -> Option<Exceeded> {
        match refusal {
            Refusal::RateLimitExceeded => {
                limits.rate.as_ref().map(|rate| Exceeded::rate(rate, now))
            }
            Refusal::QuotaExceeded => {
                limits.quota.as_ref().map(|quota| Exceeded::quota(quota, now))
            }
            _ => None,
        }
    }

    fn rate(rate: &RateLeft, now: Timestamp) -> Exceeded {
        let wait_ms = rate.next_ns.div_ceil(1_000_000).max(1);
        let resets_at = now.plus_ms(wait_ms as i64);
        Exceeded {
            limit: u64::from(rate.limit),
            remaining: remaining(rate),
            resets_at,
            retry_after_seconds: now.seconds_until(resets_at),
        }
    }

    fn quota(quota: &QuotaLeft, now: Timestamp) -> Exceeded {
        Exceeded {
            limit: quota.limit,
            remaining: quota.remaining(),
            resets_at: quota.resets_at,
            retry_after_seconds: now.seconds_until(quota.resets_at),
        }
    }
}

/// The answer of `GET /.tollgate/usage`.
#[derive(Debug, Serialize)]
pub struct OwnUsage<'a> {
    pub product: &'a str,
    pub plan: &'a str,
    pub subscription_id: String,
    pub limits: Vec<OwnLimit>,
}

#[derive(Debug, Serialize)]
pub struct OwnLimit {
    /// `minute` or `month`.
    pub name: &'static str,
    pub limit: u64,
    pub used: Option<u64>,
    pub remaining: u64,
    /// When one more call passes where none is left, when all are back otherwise.
    pub resets_at: String,
}

/// One entry for each limit that the plan has.
pub fn own_limits(limits: &Limits, now: Timestamp) -> Vec<OwnLimit> {
    let rate = limits.rate.as_ref().map(|rate| OwnLimit {
        name: "minute",
        limit: u64::from(rate.limit),
        used: None,
        remaining: remaining(rate),
        resets_at: now.plus_ms(reset_ns(rate).div_ceil(1_000_000) as i64).to_string(),
    });
    let quota = limits.quota.as_ref().map(|quota| OwnLimit {
        name: "month",
        limit: quota.limit,
        used: Some(quota.used),
        remaining: quota.remaining(),
        resets_at: quota.resets_at.to_string(),
    });
    rate.into_iter().chain(quota).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn limits() -> Limits {
        let period = Period { start: Timestamp(0), end: Timestamp(2_592_000_000) };
        Limits {
            rate: Some(RateLeft { limit: 100, remaining: 99, next_ns: 0, full_ns: 600_000_001 }),
            quota: Some(QuotaLeft {
                limit: 5_000,
                used: 4_988,
                soft: false,
                resets_at: period.end,
            }),
            period,
        }
    }

    fn pushed(limits: &Limits) -> Vec<String> {
        let mut fields = Fields::default();
        let rate_limit = limits.rate.map(|rate| rate.limit);
        let policy = Policy::new(rate_limit, limits.quota.map(|quota| quota.limit));
        Stated { policy: &policy, left: limits }.push(NOW, &mut fields);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields
            .iter()
            .map(|field| format!("{}: {}", text(field.name()), text(field.value())))
            .collect()
    }

    #[test]
    fn both_limits_are_stated_and_the_tighter_one_again() {
        assert_eq!(
            pushed(&limits()),
            [
                r#"RateLimit-Policy: "minute";q=100;w=60, "month";q=5000;w=2592000"#,
                r#"RateLimit: "minute";r=99;t=1, "month";r=12;t=2591000"#,
                "X-RateLimit-Limit: 5000",
                "X-RateLimit-Remaining: 12",
                "X-RateLimit-Reset: 2591000",
            ]
        );
    }

    #[test]
    fn the_fields_are_structured_fields() {
        use sfv::{List, Parser};
        for text in &pushed(&limits())[..2] {
            let (_, value) = text.split_once(": ").unwrap();
            let list: List = Parser::new(value).parse().unwrap();
            assert_eq!(list.len(), 2);
        }
    }

    #[test]
    fn a_quota_beyond_what_a_structured_field_holds_is_stated_as_the_most_that_it_does() {
        use sfv::{List, Parser};
        let quota = QuotaLeft { limit: 9_007_199_254_740_991, used: 1, ..limits().quota.unwrap() };

        let pushed = pushed(&Limits { quota: Some(quota), rate: None, ..limits() });

        assert_eq!(
            pushed[..3],
            [
                r#"RateLimit-Policy: "month";q=999999999999999;w=2592000"#,
                r#"RateLimit: "month";r=999999999999999;t=2591000"#,
                "X-RateLimit-Limit: 9007199254740991",
            ]
        );
        for text in &pushed[..2] {
            let (_, value) = text.split_once(": ").unwrap();
            Parser::new(value).parse::<List>().unwrap();
        }
    }

    #[test]
    fn a_limit_alone_is_stated_alone() {
        let rate_alone = Limits { quota: None, ..limits() };
        assert_eq!(pushed(&rate_alone)[0], r#"RateLimit-Policy: "minute";q=100;w=60"#);
        assert_eq!(pushed(&rate_alone)[1], r#"RateLimit: "minute";r=99;t=1"#);

        let quota_alone = Limits { rate: None, ..limits() };
        assert_eq!(pushed(&quota_alone)[0], r#"RateLimit-Policy: "month";q=5000;w=2592000"#);
        assert_eq!(pushed(&quota_alone)[1], r#"RateLimit: "month";r=12;t=2591000"#);
    }

    #[test]
    fn a_plan_without_limits_states_none() {
        assert!(pushed(&Limits::default()).is_empty());
    }

    #[test]
    fn ones_own_usage_says_what_the_fields_say() {
        let rate =
            RateLeft { limit: 60, remaining: 0, next_ns: 1_000_000_001, full_ns: 60_000_000_000 };
        let at = |limits: &Limits| own_limits(limits, NOW)[0].resets_at.clone();

        assert_eq!(at(&Limits { rate: Some(rate), ..limits() }), "1970-01-01T00:16:41.001Z");
        assert_eq!(at(&limits()), "1970-01-01T00:16:40.601Z");
    }

    #[test]
    fn a_retry_is_never_invited_too_early() {
        let rate =
            RateLeft { limit: 60, remaining: 0, next_ns: 1_000_000_001, full_ns: 60_000_000_000 };
        let limits = Limits { rate: Some(rate), ..limits() };

        let exceeded = Exceeded::of(Refusal::RateLimitExceeded, &limits, NOW).unwrap();

        assert_eq!(exceeded.retry_after_seconds, 2);
        assert_eq!(exceeded.resets_at, Timestamp(1_001_001));
    }
}
