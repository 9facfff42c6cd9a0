//! Why a call was counted, not counted or refused.

use tollgate_common::ids::{KeyId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;

use super::history::{Found, Trace};
use super::refusals::RefusedCall;
use super::tally::Counts;
use super::window::Minute;

/// All that the ledger knows of one call. A call that the gateway admitted and then answered
/// itself, since the upstream could not be reached, is both admitted and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub request: RequestId,
    pub verdict: Verdict,
    pub admitted: Option<AdmittedCall>,
    pub refused: Option<RefusedCall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts against the quota, is billed, or both.
    Counted,
    /// It was admitted, and the plan counts and bills nothing of it.
    NotCounted,
    /// It was not admitted.
    Refused,
}

/// What the records of a call say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedCall {
    pub product: ProductId,
    pub plan: PlanId,
    pub subscription: SubscriptionId,
    pub key: KeyId,
    pub admitted_at: Timestamp,
    /// The minute window that the call is in.
    pub window_start: Timestamp,
    /// None for a plan without a quota.
    pub period_start: Option<Timestamp>,
    pub outcome: Outcome,
    pub status: u16,
    pub attempts: u8,
    pub duration_us: u32,
    pub truncated: bool,
    /// Every part of the call is here.
    pub complete: bool,
    /// Units against the quota; None if the call does not count.
    pub counted_units: Option<i64>,
    /// What is billed; None if the call is not.
    pub billed: Option<Billed>,
    pub parts: Vec<Found>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    pub calls: i64,
    pub units: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
}

impl Verdict {
    pub const ALL: [Verdict; 3] = [Self::Counted, Self::NotCounted, Self::Refused];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::NotCounted => "not_counted",
            Self::Refused => "refused",
        }
    }
}

impl Explanation {
    /// None when nothing is known of the call.
    pub fn of(request: RequestId, trace: Trace, refused: Option<RefusedCall>) -> Option<Self> {
        let admitted = AdmittedCall::of(trace);
        let verdict = match (&admitted, &refused) {
            (None, None) => return None,
            (None, Some(_)) => Verdict::Refused,
            (Some(call), _) if call.counted_units.is_some() || call.billed.is_some() => {
                Verdict::Counted
            }
            (Some(_), _) => Verdict::NotCounted,
        };
        Some(Self { request, verdict, admitted, refused })
    }

    /// The reason in a sentence or two.
    pub fn reason(&self) -> String {
        let Some(call) = &self.admitted else {
            return self.refused.as_ref().map_or_else(String::new, |refused| {
                format!("{}. A refused call is not counted.", refused.reason.title())
            });
        };
        let outcome = call.outcome.label();
        let quota = match (call.counted_units, call.period_start) {
            (None, _) => format!("The plan does not count calls that end in {outcome}."),
            (Some(_), None) => "The plan has no quota.".to_owned(),
            (Some(units), Some(start)) => {
                format!("It takes {units} from the quota of the period that began at {start}.")
            }
        };
        let bill = match call.billed {
            None => format!("The plan does not bill calls that end in {outcome}."),
            Some(Billed { calls, units, .. }) => {
                format!("Billed as calls {calls}, units {units} in {}.", call.window_start)
            }
        };
        let open = if call.complete { "" } else { " More parts may follow." };
        format!("{quota} {bill}{open}")
    }
}

impl AdmittedCall {
    /// None for a trace without parts.
    fn of(trace: Trace) -> Option<Self> {
        let complete = trace.is_complete();
        let parts = trace.parts;
        let first = parts.first()?.record;
        let latest = parts.last()?.record;
        let records = || parts.iter().map(|found| found.record);
        let counted: Vec<i64> =
            records().filter(|record| record.counted).map(|record| record.units).collect();
        let billed = records().filter(|record| record.billed).fold(None, |sum, record| {
            let Billed { calls, units, bytes_in, bytes_out } = sum.unwrap_or_default();
            Some(Billed {
                calls: calls + i64::from(record.calls),
                units: units + record.units,
                bytes_in: bytes_in.saturating_add_unsigned(record.bytes_in),
                bytes_out: bytes_out.saturating_add_unsigned(record.bytes_out),
            })
        });
        Some(Self {
            product: first.product,
            plan: first.plan,
            subscription: first.subscription,
            key: first.key,
            admitted_at: first.admitted_at,
            window_start: Minute::of(first.admitted_at).start(),
            period_start: Some(first.period_start).filter(|start| *start != Timestamp::default()),
            outcome: latest.outcome,
            status: latest.status,
            attempts: first.attempts,
            duration_us: latest.duration_us,
            truncated: latest.truncated,
            complete,
            counted_units: (!counted.is_empty()).then(|| counted.iter().sum()),
            billed,
            parts,
        })
    }
}

/// What a stretch of a subscription's time holds: what is billed, and all that stands apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub counts: Counts,
    pub refused: std::collections::BTreeMap<tollgate_common::refusal::Refusal, u64>,
}
