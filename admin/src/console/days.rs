//! Calls by day, as the API has them by subscription.

use jiff::ToSpan;
use jiff::civil::Date;
use maud::Markup;

use super::ask::{List, path, with_query};
use super::chart::bars;
use super::data::Usage;
use super::visitor::Visitor;
use crate::problem::Problem;

/// The days of a span, each with its calls.
pub struct Days(Vec<(Date, i64)>);

impl Days {
    /// From the first of the month until today.
    pub fn of_month(today: Date) -> Self {
        Self::between(today.first_of_month(), today)
    }

    pub fn between(first: Date, last: Date) -> Self {
        let days = first.series(1.day()).take_while(|day| *day <= last);
        Self(days.map(|day| (day, 0)).collect())
    }

    /// Adds the billed calls of a subscription.
    pub async fn add(&mut self, visitor: &Visitor, subscription: &str) -> Result<(), Problem> {
        let Some((first, _)) = self.0.first() else { return Ok(()) };
        let question = [
            ("subscription_id", subscription),
            ("meter", "calls"),
            ("window", "day"),
            ("from", &format!("{first}T00:00:00Z")),
            ("limit", "100"),
        ];
        let usage: List<Usage> = visitor.get(&with_query(&path(&["usage"]), &question)).await?;
        for window in usage.items {
            self.count(&window.window_start, window.quantity);
        }
        Ok(())
    }

    /// Adds calls to the day that a window starts with.
    pub fn count(&mut self, window_start: &str, calls: i64) {
        for (day, sum) in &mut self.0 {
            if window_start.starts_with(&day.to_string()) {
                *sum = sum.saturating_add(calls);
            }
        }
    }

    pub fn shown(&self, label: &str) -> Markup {
        let named: Vec<(String, i64)> =
            self.0.iter().map(|(day, calls)| (day.to_string(), *calls)).collect();
        bars(label, &named)
    }
}
