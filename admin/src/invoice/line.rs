//! Lines: what each price of a plan comes to in a period.

use tollgate_common::ids::PlanId;
use tollgate_common::meter::Meter;
use tollgate_common::period::Period;
use tollgate_common::price::{Aggregate, Charge, Currency, Metered, Price};
use tollgate_common::rating::stay::held_ms;
use tollgate_common::rating::{Quantity, Reading, Share, charge};
use tollgate_common::time::Timestamp;

use super::InvoiceError;
use super::history::{History, Terms};
use super::overage::{self, Overage};
use crate::ledger::reading::UsageReader;

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub kind: Kind,
    pub plan: PlanId,
    pub plan_name: String,
    /// The name of the price; None for usage that nothing is charged for.
    pub price: Option<String>,
    /// None for a licence.
    pub meter: Option<Meter>,
    /// The part of the period that the plan was held.
    pub span: Period,
    pub quantity: i64,
    /// Minor units.
    pub amount: i64,
    /// The same, if nothing were charged at least or at most.
    pub amount_unbounded: i64,
    /// None where no price has one.
    pub currency: Option<Currency>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For having the plan.
    Licensed,
    /// For what was used.
    Usage,
    /// For what was used beyond a soft quota.
    Overage,
}

impl Kind {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Licensed => "licensed",
            Self::Usage => "usage",
            Self::Overage => "overage",
        }
    }
}

impl Line {
    fn charged(
        self,
        price: &Price,
        metered: &Metered,
        before: &[Reading],
        after: &[Reading],
    ) -> Result<Self, InvoiceError> {
        let amount = charge(price, before, after)?;
        let amount_unbounded = match (metered.minimum_spend, metered.maximum_spend) {
            (None, None) => amount,
            _ => {
                let metered =
                    Metered { minimum_spend: None, maximum_spend: None, ..metered.clone() };
                let unbounded = Price { charge: Charge::Metered(metered), ..price.clone() };
                // A maximum may be all that keeps it within what can be kept exactly.
                charge(&unbounded, before, after).unwrap_or(amount)
            }
        };
        Ok(Self { amount, amount_unbounded, ..self })
    }
}

/// The lines of a period in the making.
pub struct Lines<'a> {
    history: &'a History,
    usage: &'a mut UsageReader,
    period: Period,
    /// The plans whose lines are there.
    before: Vec<PlanId>,
    lines: Vec<Line>,
}

/// What a metered price has come to, at the start of the period and at its end.
struct Readings {
    before: Vec<Reading>,
    after: Vec<Reading>,
    quantity: i64,
}

impl<'a> Lines<'a> {
    pub fn new(history: &'a History, usage: &'a mut UsageReader, period: Period) -> Self {
        Self { history, usage, period, before: Vec::new(), lines: Vec::new() }
    }

    pub fn finish(self) -> Vec<Line> {
        self.lines
    }

    /// Whether a plan was held in the period, or something was used on it that is billed.
    pub async fn are_of(&mut self, terms: &Terms) -> Result<bool, InvoiceError> {
        let plan = terms.plan.id;
        Ok(self.history.is_held(plan, self.period)
            || !self.usage.counts(plan, self.period).await?.is_unbilled())
    }

    /// Adds what a plan comes to. The order is that in which plans were held, since what was used on
    /// one is gone from the quota of the next.
    pub async fn add(&mut self, terms: &Terms) -> Result<(), InvoiceError> {
        let plan = terms.plan.id;
        let overage =
            overage::of(self.history, self.usage, self.period, &self.before, terms).await?;
        let mut is_split = false;
        let mut is_metered = false;
        for price in &terms.plan.prices {
            match &price.charge {
                Charge::Licensed { .. } => self.add_licensed(terms, price)?,
                Charge::Metered(metered) => {
                    is_metered = true;
                    is_split |= self.add_metered(terms, price, metered, overage).await?;
                }
            }
        }
        if !is_metered {
            self.add_usage_shown(terms, overage).await?;
        }
        if !is_split && overage.units > 0 {
            self.add_overage_shown(terms, overage);
        }
        self.before.push(plan);
        Ok(())
    }

    /// A line for each stay on the plan.
    fn add_licensed(&mut self, terms: &Terms, price: &Price) -> Result<(), InvoiceError> {
        let intervals: Vec<Period> =
            terms.calendar.intervals(price.interval, self.period).collect();
        let until = |moment| -> Vec<Reading> {
            let held = |interval: &Period| self.held(terms, *interval, moment);
            let readings = intervals.iter().map(held);
            readings.map(|held| Reading { quantity: Quantity::ZERO, held }).collect()
        };
        let mut lines = Vec::new();
        for stay in self.history.stays_on(terms.plan.id) {
            let Some(span) = stay.span.intersection(self.period) else {
                continue;
            };
            let amount = charge(price, &until(span.start), &until(span.end))?;
            let line = self.line(Kind::Licensed, terms, Some(price));
            lines.push(Line { span, quantity: 1, amount, amount_unbounded: amount, ..line });
        }
        self.lines.extend(lines);
        Ok(())
    }

    /// A line for all usage on the plan, and one for what of it is beyond the quota. Says whether
    /// there is the second.
    async fn add_metered(
        &mut self,
        terms: &Terms,
        price: &Price,
        metered: &Metered,
        overage: Overage,
    ) -> Result<bool, InvoiceError> {
        let Readings { before, after, quantity } = self.readings(terms, price, metered).await?;
        let usage =
            Line { meter: Some(metered.meter), ..self.line(Kind::Usage, terms, Some(price)) };
        let beyond = match after.as_slice() {
            [_] if metered.meter == Meter::Units && metered.aggregate == Aggregate::Sum => {
                overage.units.clamp(0, quantity.max(0))
            }
            _ => 0,
        };
        let within: Vec<Reading> = after
            .iter()
            .map(|reading| Reading {
                quantity: reading.quantity.beyond(Quantity::counted(beyond)),
                ..*reading
            })
            .collect();
        let usage = Line { quantity: quantity - beyond, ..usage };
        self.lines.push(usage.clone().charged(price, metered, &before, &within)?);
        if beyond > 0 {
            let overage = Line { kind: Kind::Overage, quantity: beyond, ..usage };
            self.lines.push(overage.charged(price, metered, &within, &after)?);
        }
        Ok(beyond > 0)
    }

    async fn readings(
        &mut self,
        terms: &Terms,
        price: &Price,
        metered: &Metered,
    ) -> Result<Readings, InvoiceError> {
        let mut readings = Readings { before: Vec::new(), after: Vec::new(), quantity: 0 };
        let intervals: Vec<Period> =
            terms.calendar.intervals(price.interval, self.period).collect();
        for interval in intervals {
            if interval.start < self.period.start {
                let until = self.period.start;
                let (used, reading) = self.reading(terms, metered, interval, until).await?;
                readings.before.push(reading);
                if metered.aggregate == Aggregate::Sum {
                    readings.quantity -= used;
                }
            }
            let until = interval.end.min(self.period.end);
            let (used, reading) = self.reading(terms, metered, interval, until).await?;
            readings.after.push(reading);
            readings.quantity += used;
        }
        Ok(readings)
    }

    /// What is known of an interval at a moment in it.
    async fn reading(
        &mut self,
        terms: &Terms,
        metered: &Metered,
        interval: Period,
        until: Timestamp,
    ) -> Result<(i64, Reading), InvoiceError> {
        let span = Period { end: until, ..interval };
        let plan = terms.plan.id;
        let used = self.usage.billed(plan, metered.meter, metered.aggregate, span).await?;
        let held = self.held(terms, interval, until);
        Ok((used, Reading { quantity: Quantity::counted(used), held }))
    }

    /// How much of an interval the plan was held until a moment.
    fn held(&self, terms: &Terms, interval: Period, until: Timestamp) -> Share {
        let span = Period { end: interval.end.min(until), ..interval };
        let held = held_ms(self.history.stays_on(terms.plan.id), span);
        Share::new(held, interval.length_ms())
    }

    /// Usage of a plan that charges nothing for it.
    async fn add_usage_shown(
        &mut self,
        terms: &Terms,
        overage: Overage,
    ) -> Result<(), InvoiceError> {
        let units = self.usage.counts(terms.plan.id, self.period).await?.units;
        let quantity = units - overage.units.clamp(0, units.max(0));
        let line = self.line(Kind::Usage, terms, None);
        self.lines.push(Line { meter: Some(Meter::Units), quantity, ..line });
        Ok(())
    }

    /// What went beyond a quota and no price charges by itself.
    fn add_overage_shown(&mut self, terms: &Terms, overage: Overage) {
        let line = self.line(Kind::Overage, terms, None);
        let quantity = overage.units;
        self.lines.push(Line { meter: Some(Meter::Units), quantity, ..line });
    }

    /// A line that charges nothing yet, over the time that the plan was held.
    fn line(&self, kind: Kind, terms: &Terms, price: Option<&Price>) -> Line {
        let stays = self.history.stays_on(terms.plan.id);
        let parts = stays.filter_map(|stay| stay.span.intersection(self.period));
        let span = parts.reduce(|first, last| Period { start: first.start, end: last.end });
        Line {
            kind,
            plan: terms.plan.id,
            plan_name: terms.plan.name.clone(),
            price: price.map(|price| price.name.clone()),
            meter: None,
            span: span.unwrap_or(self.period),
            quantity: 0,
            amount: 0,
            amount_unbounded: 0,
            currency: price.map(|price| price.currency),
        }
    }
}
