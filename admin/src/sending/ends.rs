//! Where billing periods of a subscription end, as far as windows are cut there.
//!
//! A period ends where the next one begins, and that is said by the calendar of whichever plan is held
//! then ([`History`](crate::invoice::history::History)). So the calendars of all plans that may have a
//! say are asked: a window that is cut once too often adds up all the same.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tollgate_common::catalog::{Plan, Subscription};
use tollgate_common::ids::PlanId;
use tollgate_common::period::Calendar;
use tollgate_common::time::Timestamp;

use crate::invoice::history::{date_of, month_after, month_before, month_start_utc};
use crate::ledger::window::{Day, MINUTES_PER_DAY, Minute};
use crate::store::{StoreError, Transaction, sql};

/// Until when something is in force that has not ended.
const NOT_ENDED: Timestamp = Timestamp(i64::MAX);

/// The calendars of a subscription, and where periods end by them in the month that was asked for last.
pub struct Ends {
    calendars: Vec<(Timestamp, Calendar)>,
    last: Option<(Date, Vec<Minute>)>,
}

impl Ends {
    /// Of all plans that a subscription was on, and of one that something was used on: a plan that was
    /// left or deleted has its say for as long as a period goes on.
    pub async fn read(
        db: &mut Transaction,
        subscription: &Subscription,
        used: PlanId,
    ) -> Result<Self, StoreError> {
        let left = sql::subscription::plans_left(db, subscription.id).await?;
        let mut held: BTreeMap<PlanId, Timestamp> =
            left.into_iter().map(|(until, plan)| (plan, until)).collect();
        held.extend([(subscription.plan_id, NOT_ENDED), (used, NOT_ENDED)]);
        let mut calendars = Vec::new();
        for (plan, held_until) in held {
            for (until, terms) in sql::plan::find_all(db, plan).await? {
                let until = until.unwrap_or(NOT_ENDED).min(held_until);
                calendars.push((until, calendar(&terms, subscription.started_at)));
            }
        }
        Ok(Self { calendars, last: None })
    }

    /// The ends inside a day.
    pub fn of_day(&mut self, day: Day) -> Vec<Minute> {
        let month = date_of(day.start().start()).first_of_month();
        if self.last.as_ref().is_none_or(|(known, _)| *known != month) {
            self.last = Some((month, self.around(month)));
        }
        let ends = self.last.iter().flat_map(|(_, ends)| ends).copied();
        let (begin, end) = (day.start(), Minute(day.start().0 + MINUTES_PER_DAY));
        ends.filter(|at| begin < *at && *at < end).collect()
    }

    /// The ends in a month, and some of those beside it: in some zones it is another month by then.
    fn around(&self, month: Date) -> Vec<Minute> {
        let months = [month_before(month), month, month_after(month)];
        let since = month_start_utc(months[0]);
        let calendars = self.calendars.iter().filter(|(until, _)| *until >= since);
        // A time zone of old may be off by seconds; usage is known by the minute.
        let ends = |(_, calendar): &(Timestamp, Calendar)| {
            months.map(|month| Minute::of(calendar.month_start(month)))
        };
        calendars.flat_map(ends).collect()
    }
}

fn calendar(plan: &Plan, started_at: Timestamp) -> Calendar {
    let time_zone = TimeZone::get(&plan.time_zone).unwrap_or(TimeZone::UTC);
    Calendar { kind: plan.period, time_zone, started_at }
}

#[cfg(test)]
mod tests;
