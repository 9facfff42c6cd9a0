//! What a subscription owes for a period, made from the ledger's windows.
//!
//! Owns which plans a subscription was on and when, and what of their prices becomes a line. It must
//! not know how it is asked for, nor how a price is rated: that is `tollgate_common::rating`.

pub mod history;
pub mod line;
mod overage;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tollgate_common::catalog::Subscription;
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::period::Period;
use tollgate_common::price::currency::Money;
use tollgate_common::price::{Aggregate, Charge, Price};
use tollgate_common::rating::RatingError;
use tollgate_common::time::Timestamp;

pub use line::{Kind, Line};

use crate::ledger::Ledger;
use crate::ledger::window::Minute;
use crate::store::{CatalogRead, CatalogStore, StoreError};
use history::{History, Terms};
use line::Lines;

/// A period and what is owed for it. The period that has not ended is charged as if its last plan
/// were held until it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Invoice {
    /// The month that the period is named after: the one in which it begins.
    pub month: Date,
    pub period: Period,
    pub lines: Vec<Line>,
    /// One for each currency.
    pub totals: Vec<Money>,
}

/// Which invoice is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Of the period that has not ended.
    Current,
    /// Of the period that is named after a month.
    Month(Date),
    /// Of the period that has not ended, if the subscription were moved to a plan now.
    AfterMove(PlanId),
}

/// Why there is no invoice.
#[derive(Debug, thiserror::Error)]
pub enum InvoiceError {
    #[error("there is no such subscription")]
    NotFound,
    #[error("there is no such plan of the same product")]
    NoSuchPlan,
    #[error("cannot be moved to: the subscription is canceled")]
    Canceled,
    #[error("has not begun")]
    NotBegun,
    #[error("was over before the subscription started")]
    BeforeStart,
    #[error("is too long ago: the minutes that it is made from are no longer kept")]
    TooLongAgo,
    #[error(transparent)]
    Rating(#[from] RatingError),
    #[error("the lines of the invoice add up to more than can be kept exactly")]
    Total,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the invoice that is asked for.
pub async fn preview(
    store: &dyn CatalogStore,
    ledger: &Ledger,
    id: SubscriptionId,
    asked: Asked,
    now: Timestamp,
) -> Result<Invoice, InvoiceError> {
    let used = ledger.plans_used(id).await?;
    // Each view holds a connection, and who holds one must not wait for another.
    let basis = Basis::read(&mut *store.read().await?, id, &used, asked, now).await?;
    let Basis { history, month, period, terms } = basis;
    let kept_from = ledger.minutes_kept_from(now).await?.start().start();
    if period.start < kept_from {
        return Err(InvoiceError::TooLongAgo);
    }
    let mut usage = ledger.reader(id).await?;
    let mut lines = Lines::new(&history, &mut usage, period);
    for terms in &terms {
        if lines.are_of(terms).await? {
            require_minutes(terms, period, kept_from)?;
            lines.add(terms).await?;
        }
    }
    let lines = lines.finish();
    let totals = totals(&lines)?;
    Ok(Invoice { month, period, lines, totals })
}

/// The invoice of the period that a moment is in.
pub async fn holding(
    store: &dyn CatalogStore,
    ledger: &Ledger,
    id: SubscriptionId,
    moment: Timestamp,
    now: Timestamp,
) -> Result<Option<Invoice>, InvoiceError> {
    let day = jiff::Timestamp::from_millisecond(moment.0).unwrap_or_default();
    let month = day.to_zoned(TimeZone::UTC).date().first_of_month();
    // A period is named after the month in which it begins, by its own clock.
    for months in [0, -1, 1] {
        let named = month.saturating_add(months.months());
        match preview(store, ledger, id, Asked::Month(named), now).await {
            Ok(invoice) if (invoice.period.start..invoice.period.end).contains(&moment) => {
                return Ok(Some(invoice));
            }
            Ok(_) | Err(InvoiceError::NotBegun | InvoiceError::BeforeStart) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What the catalog knows of a period.
struct Basis {
    history: History,
    month: Date,
    period: Period,
    /// Of the plans that were held, in that order, and then of others that something was used on: a
    /// gateway may let a call in on the plan before while a change is on its way to it.
    terms: Vec<Terms>,
}

impl Basis {
    async fn read(
        catalog: &mut dyn CatalogRead,
        id: SubscriptionId,
        used: &[PlanId],
        asked: Asked,
        now: Timestamp,
    ) -> Result<Self, InvoiceError> {
        let subscription = catalog.subscription(id).await?.ok_or(InvoiceError::NotFound)?;
        let history = match asked {
            Asked::AfterMove(plan) => {
                require_move(catalog, &subscription, plan).await?;
                History::after_move(catalog, subscription, plan, now).await?
            }
            Asked::Current | Asked::Month(_) => History::read(catalog, subscription).await?,
        };
        let (month, period) = match asked {
            Asked::Month(month) => (month, history.period(catalog, month).await?),
            Asked::Current | Asked::AfterMove(_) => history.current_period(catalog, now).await?,
        };
        if period.start > now {
            return Err(InvoiceError::NotBegun);
        }
        if period.end <= history.started_at() {
            return Err(InvoiceError::BeforeStart);
        }
        let mut terms = Vec::new();
        for plan in history.plans(period, used) {
            terms.push(history.terms(catalog, plan, period.end).await?);
        }
        Ok(Self { history, month, period, terms })
    }
}

async fn require_move(
    catalog: &mut dyn CatalogRead,
    subscription: &Subscription,
    plan: PlanId,
) -> Result<(), InvoiceError> {
    if subscription.canceled_at.is_some() {
        return Err(InvoiceError::Canceled);
    }
    let plan = catalog.plan(plan).await?;
    let is_sibling = plan.is_some_and(|plan| plan.product_id == subscription.product_id);
    if is_sibling { Ok(()) } else { Err(InvoiceError::NoSuchPlan) }
}

/// An interval of a price may begin long before the period. Sums by day are kept for ever, and are enough
/// for a sum where it begins with a day.
fn require_minutes(
    terms: &Terms,
    period: Period,
    kept_from: Timestamp,
) -> Result<(), InvoiceError> {
    let is_gone = |price: &Price| {
        let start = terms.calendar.interval(price.interval, period.start).start;
        let is_sum_of_days = Minute::of(start).day().start().start() == start;
        let is_by_minutes = match &price.charge {
            Charge::Licensed { .. } => false,
            Charge::Metered(metered) => metered.aggregate != Aggregate::Sum || !is_sum_of_days,
        };
        is_by_minutes && start < kept_from
    };
    if terms.plan.prices.iter().any(is_gone) { Err(InvoiceError::TooLongAgo) } else { Ok(()) }
}

fn totals(lines: &[Line]) -> Result<Vec<Money>, InvoiceError> {
    let mut sums = BTreeMap::new();
    for line in lines {
        if let Some(currency) = line.currency {
            let sum: &mut i64 = sums.entry(currency).or_default();
            *sum = sum.checked_add(line.amount).ok_or(InvoiceError::Total)?;
        }
    }
    let totals = sums.into_iter();
    Ok(totals.map(|(currency, minor_units)| Money { minor_units, currency }).collect())
}
