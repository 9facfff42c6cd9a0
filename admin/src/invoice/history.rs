//! Which plans a subscription was on and when, on which terms, and where its periods begin.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tollgate_common::catalog::{Plan, Subscription};
use tollgate_common::ids::PlanId;
use tollgate_common::period::{Calendar, Period};
use tollgate_common::price::Interval;
use tollgate_common::rating::Stay;
use tollgate_common::rating::stay::stays;
use tollgate_common::time::Timestamp;

use super::InvoiceError;
use crate::store::{CatalogRead, StoreError};

pub struct History {
    subscription: Subscription,
    /// The day of the start counts whole, so that the first anniversary period does.
    stays: Vec<Stay>,
}

/// A plan as it was, and the calendar of a subscription on it.
pub struct Terms {
    pub plan: Plan,
    pub calendar: Calendar,
}

impl History {
    pub async fn read(
        catalog: &mut dyn CatalogRead,
        subscription: Subscription,
    ) -> Result<Self, InvoiceError> {
        let left = catalog.plans_left(subscription.id).await?;
        Self::of(catalog, subscription, &left).await
    }

    /// As it would be if the subscription were moved to another plan now.
    pub async fn after_move(
        catalog: &mut dyn CatalogRead,
        subscription: Subscription,
        plan: PlanId,
        now: Timestamp,
    ) -> Result<Self, InvoiceError> {
        let mut left = catalog.plans_left(subscription.id).await?;
        if plan != subscription.plan_id {
            let since = left.last().map_or(subscription.started_at, |(until, _)| *until);
            left.push((now.max(since), subscription.plan_id));
        }
        Self::of(catalog, Subscription { plan_id: plan, ..subscription }, &left).await
    }

    async fn of(
        catalog: &mut dyn CatalogRead,
        subscription: Subscription,
        left: &[(Timestamp, PlanId)],
    ) -> Result<Self, InvoiceError> {
        let last = subscription.plan_id;
        let first = left.first().map_or(last, |(_, plan)| *plan);
        let terms = find_terms(catalog, &subscription, first, subscription.started_at).await?;
        let first_day = terms.calendar.interval(Interval::Day, subscription.started_at);
        let stays = stays(first_day.start, left, last, subscription.canceled_at);
        Ok(Self { subscription, stays })
    }

    pub fn stays(&self) -> &[Stay] {
        &self.stays
    }

    pub fn stays_on(&self, plan: PlanId) -> impl Iterator<Item = &Stay> {
        self.stays.iter().filter(move |stay| stay.plan == plan)
    }

    /// The plans that were held in a period, in that order, and then those of `used` that were not.
    pub fn plans(&self, period: Period, used: &[PlanId]) -> Vec<PlanId> {
        let inside = self.stays.iter().filter(|stay| stay.span.intersection(period).is_some());
        let mut plans: Vec<PlanId> = Vec::new();
        for plan in inside.map(|stay| stay.plan).chain(used.iter().copied()) {
            if !plans.contains(&plan) {
                plans.push(plan);
            }
        }
        plans
    }

    pub fn is_held(&self, plan: PlanId, period: Period) -> bool {
        self.stays_on(plan).any(|stay| stay.span.intersection(period).is_some())
    }

    /// The start of the day on which the subscription started.
    pub fn started_at(&self) -> Timestamp {
        self.stays.first().map_or(self.subscription.started_at, |stay| stay.span.start)
    }

    /// The terms of a plan that were in force just before a moment: a period goes by those at its
    /// end, and one that has not ended by those of now.
    pub async fn terms(
        &self,
        catalog: &mut dyn CatalogRead,
        plan: PlanId,
        before: Timestamp,
    ) -> Result<Terms, InvoiceError> {
        find_terms(catalog, &self.subscription, plan, before).await
    }

    /// The period that is named after the month of `month`. Periods follow one another without gap
    /// or overlap also where the plan changes, since each begins where the one before ends.
    pub async fn period(
        &self,
        catalog: &mut dyn CatalogRead,
        month: Date,
    ) -> Result<Period, InvoiceError> {
        let start = self.begin(catalog, month).await?;
        let end = self.begin(catalog, month_after(month)).await?;
        // A move to a zone on the other side of the globe may leave nothing of a month.
        Ok(Period { start, end: end.max(start) })
    }

    pub async fn current_period(
        &self,
        catalog: &mut dyn CatalogRead,
        now: Timestamp,
    ) -> Result<(Date, Period), InvoiceError> {
        let now_date = date_of(now).first_of_month();
        // In some zones the month is another one by now, and an anniversary may be still to come.
        let mut month = month_after(now_date);
        loop {
            let period = self.period(catalog, month).await?;
            if period.start <= now {
                return Ok((month, period));
            }
            month = month_before(month);
        }
    }

    /// Where the period begins that is named after a month, by the calendar of the plan that is held
    /// when the month begins in UTC, or else of the nearest one. It does not move once that is past.
    async fn begin(
        &self,
        catalog: &mut dyn CatalogRead,
        month: Date,
    ) -> Result<Timestamp, InvoiceError> {
        let month_start = month_start_utc(month);
        let later = self.stays.iter().find(|stay| month_start < stay.span.end);
        let stay = later.or(self.stays.last());
        let plan = stay.map_or(self.subscription.plan_id, |stay| stay.plan);
        let moment = stay.map_or(month_start, |stay| month_start.max(stay.span.start));
        let terms = self.terms(catalog, plan, moment.max(self.subscription.started_at)).await?;
        Ok(terms.calendar.month_start(month))
    }
}

async fn find_terms(
    catalog: &mut dyn CatalogRead,
    subscription: &Subscription,
    plan: PlanId,
    before: Timestamp,
) -> Result<Terms, InvoiceError> {
    let unreadable = |column, reason| StoreError::Content { table: "plans", column, reason };
    let plan = catalog.plan_before(plan, before).await?.ok_or_else(|| {
        unreadable("id", format!("{plan}, which a subscription was on, is not there"))
    })?;
    let time_zone = TimeZone::get(&plan.time_zone)
        .map_err(|error| unreadable("time_zone", error.to_string()))?;
    let started_at = subscription.started_at;
    let calendar = Calendar { kind: plan.period, time_zone, started_at };
    Ok(Terms { plan, calendar })
}

pub fn month_after(month: Date) -> Date {
    month.first_of_month().saturating_add(1.month())
}

pub fn month_before(month: Date) -> Date {
    month.first_of_month().saturating_sub(1.month())
}

pub fn date_of(moment: Timestamp) -> Date {
    jiff::Timestamp::from_millisecond(moment.0)
        .expect("a clock reads a time between the years -9999 and 9999")
        .to_zoned(TimeZone::UTC)
        .date()
}

pub fn month_start_utc(month: Date) -> Timestamp {
    let start = month.first_of_month().to_zoned(TimeZone::UTC);
    Timestamp(start.expect("a month has a start").timestamp().as_millisecond())
}
