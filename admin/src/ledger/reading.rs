//! A subscription's usage as invoices are made from it, all of one state of the ledger.

use std::collections::HashMap;

use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::period::{Period, START_SPREAD_MS};
use tollgate_common::price::Aggregate;
use tollgate_common::time::Timestamp;

use super::series::id_read;
use super::tally::Counts;
use super::totals::PERIOD_MS_MAX;
use super::usage::{self, Scope};
use super::window::{Day, Minute};
use crate::store::query::query_as;
use crate::store::{StoreError, Transaction};

/// Every plan that a subscription ever used anything under.
pub(super) async fn plans_used(
    db: &mut Transaction,
    subscription: SubscriptionId,
) -> Result<Vec<PlanId>, sqlx::Error> {
    let rows: Vec<(Vec<u8>,)> =
        query_as("SELECT plan FROM ledger_series WHERE subscription = $1 ORDER BY plan")
            .bind(subscription.as_bytes().to_vec())
            .fetch_all(db)
            .await?;
    rows.iter().map(|(plan,)| Ok(PlanId::from_bytes(id_read(plan)?))).collect()
}

pub struct UsageReader {
    transaction: Transaction,
    subscription: SubscriptionId,
}

impl UsageReader {
    pub(super) fn new(transaction: Transaction, subscription: SubscriptionId) -> Self {
        Self { transaction, subscription }
    }

    /// All counts under a plan. A span begins and ends with a minute.
    pub async fn counts(&mut self, plan: PlanId, span: Period) -> Result<Counts, StoreError> {
        let scope = self.scope(plan);
        let (from, to) = minutes(span);
        Ok(usage::sum(&mut self.transaction, scope, self.subscription, from, to).await?)
    }

    /// What an aggregate makes of the billed usage under a plan.
    pub async fn billed(
        &mut self,
        plan: PlanId,
        meter: Meter,
        aggregate: Aggregate,
        span: Period,
    ) -> Result<i64, StoreError> {
        match aggregate {
            Aggregate::Sum => Ok(self.counts(plan, span).await?.billed(meter)),
            Aggregate::Max => self.busiest_minute(plan, meter, span).await,
            Aggregate::LastDuringPeriod => self.last_minute(plan, meter, span).await,
        }
    }

    /// Where the periods began that may still run at `moment`, with the units that were counted in them.
    pub async fn periods_begun(
        &mut self,
        moment: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        // One step for each start that there is, of all subscriptions: they are days of a month.
        let rows: Vec<(i64, i64)> = query_as(
            "WITH RECURSIVE starts (began) AS (
                 SELECT MIN(period_start_at) FROM ledger_quota WHERE period_start_at > $2
                 UNION ALL
                 SELECT (SELECT MIN(period_start_at) FROM ledger_quota WHERE period_start_at > began)
                 FROM starts WHERE began <= $3)
             SELECT began, CAST(SUM(q.units) AS BIGINT) FROM ledger_series s, starts
             JOIN ledger_quota q ON q.period_start_at = began
             WHERE s.subscription = $1 AND q.series = s.id AND began <= $3
             GROUP BY began",
        )
        .bind(self.subscription.as_bytes().to_vec())
        .bind(moment.0.saturating_sub(PERIOD_MS_MAX))
        .bind(moment.0)
        .fetch_all(&mut self.transaction)
        .await?;
        Ok(rows.into_iter().map(|(start, units)| (Timestamp(start), units)).collect())
    }

    /// Units under each plan that count against the quota of the period that began then, in whatever time
    /// zone its calendar was.
    pub async fn counted(
        &mut self,
        period_start: Timestamp,
    ) -> Result<HashMap<PlanId, i64>, StoreError> {
        let rows: Vec<(Vec<u8>, i64)> = query_as(
            "SELECT s.plan, CAST(SUM(q.units) AS BIGINT) FROM ledger_series s
             JOIN ledger_quota q ON q.period_start_at BETWEEN $2 AND $3 AND q.series = s.id
             WHERE s.subscription = $1 GROUP BY s.plan",
        )
        .bind(self.subscription.as_bytes().to_vec())
        .bind(period_start.0 - START_SPREAD_MS)
        .bind(period_start.0 + START_SPREAD_MS)
        .fetch_all(&mut self.transaction)
        .await?;
        let units =
            rows.iter().map(|(plan, units)| Ok((PlanId::from_bytes(id_read(plan)?), *units)));
        Ok(units.collect::<Result<_, sqlx::Error>>()?)
    }

    async fn busiest_minute(
        &mut self,
        plan: PlanId,
        meter: Meter,
        span: Period,
    ) -> Result<i64, StoreError> {
        let mut busiest = 0;
        for day in self.days(plan, span).await? {
            let minutes = self.minutes(plan, day, span).await?;
            let most = minutes.iter().map(|counts| counts.billed(meter)).max();
            busiest = busiest.max(most.unwrap_or(0));
        }
        Ok(busiest)
    }

    async fn last_minute(
        &mut self,
        plan: PlanId,
        meter: Meter,
        span: Period,
    ) -> Result<i64, StoreError> {
        for day in self.days(plan, span).await?.into_iter().rev() {
            let minutes = self.minutes(plan, day, span).await?;
            let last = minutes.iter().map(|counts| counts.billed(meter)).rfind(|units| *units != 0);
            if let Some(last) = last {
                return Ok(last);
            }
        }
        Ok(0)
    }

    /// Days that share time with a span and have usage.
    async fn days(&mut self, plan: PlanId, span: Period) -> Result<Vec<Day>, StoreError> {
        let scope = self.scope(plan);
        let (from, to) = minutes(span);
        let (first, last) = (from.day(), Minute(to.0 - 1).day());
        let days =
            usage::days(&mut self.transaction, scope, self.subscription, first, last).await?;
        Ok(days.into_iter().map(|(day, _)| day).collect())
    }

    /// The minutes of a day that are in a span and have usage.
    async fn minutes(
        &mut self,
        plan: PlanId,
        day: Day,
        span: Period,
    ) -> Result<Vec<Counts>, StoreError> {
        let scope = self.scope(plan);
        let (from, to) = minutes(span);
        let of_day = usage::minutes(&mut self.transaction, scope, self.subscription, day).await?;
        let inside = of_day.into_iter().filter(|(minute, _)| (from..to).contains(minute));
        Ok(inside.map(|(_, counts)| counts).collect())
    }

    fn scope(&self, plan: PlanId) -> Scope {
        Scope { plan: Some(plan), ..Scope::default() }
    }
}

/// The minute that a span begins with, and the one after its last.
fn minutes(span: Period) -> (Minute, Minute) {
    (Minute::of(span.start), Minute::of(span.end))
}
