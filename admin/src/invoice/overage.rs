//! What was used on a plan beyond its soft quota.

use tollgate_common::catalog::QuotaMode;
use tollgate_common::ids::PlanId;
use tollgate_common::period::Period;

use super::history::{History, Terms};
use crate::ledger::reading::UsageReader;
use crate::store::StoreError;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overage {
    /// Zero for a plan whose quota is hard or that has none.
    pub units: i64,
}

/// The gateway counts a period's units whatever plan they were used on, so what was used on plans
/// `before` is gone from this one's quota too. The period is that of the last moment on the plan.
pub async fn of(
    history: &History,
    usage: &mut UsageReader,
    period: Period,
    before: &[PlanId],
    terms: &Terms,
) -> Result<Overage, StoreError> {
    let plan = &terms.plan;
    let quota = match (plan.quota_mode, plan.monthly_quota) {
        (QuotaMode::Soft, Some(quota)) => i64::try_from(quota).unwrap_or(i64::MAX),
        (QuotaMode::Soft, None) | (QuotaMode::Hard, _) => return Ok(Overage::default()),
    };
    let held = history.stays_on(plan.id).filter_map(|stay| stay.span.intersection(period)).last();
    let last = held.unwrap_or(period).end.plus_ms(-1);
    let quota_period =
        terms.calendar.running(last, usage.periods_begun(last).await?, Period::default());
    let counted = usage.counted(quota_period.start).await?;
    let on = |plan: &PlanId| counted.get(plan).copied().unwrap_or(0);
    let earlier: i64 = before.iter().map(on).sum();
    let here = on(&plan.id).max(0);
    Ok(Overage { units: earlier.saturating_add(here).saturating_sub(quota).clamp(0, here) })
}
