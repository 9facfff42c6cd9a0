//! Which plan a subscription was on, and when.

use crate::ids::PlanId;
use crate::period::Period;
use crate::time::Timestamp;

/// One stay on a plan. A subscription's stays follow one another without gap or overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    pub plan: PlanId,
    pub span: Period,
}

/// The stays of a subscription that left plans at the given moments, oldest first, and is on `last`
/// until it ends; without an end, for good.
pub fn stays(
    started_at: Timestamp,
    left: &[(Timestamp, PlanId)],
    last: PlanId,
    ended_at: Option<Timestamp>,
) -> Vec<Stay> {
    let ended_at = ended_at.unwrap_or(Timestamp(i64::MAX));
    let moves = left.iter().copied().chain([(ended_at, last)]);
    let mut start = started_at;
    let mut stays = Vec::with_capacity(left.len() + 1);
    for (end, plan) in moves {
        if end > start {
            stays.push(Stay { plan, span: Period { start, end } });
            start = end;
        }
    }
    stays
}

/// Milliseconds of a span that lie in stays.
pub fn held_ms<'s>(stays: impl IntoIterator<Item = &'s Stay>, span: Period) -> i64 {
    stays.into_iter().filter_map(|stay| stay.span.intersection(span)).map(Period::length_ms).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PlanId = PlanId::from_bytes([1; 16]);
    const B: PlanId = PlanId::from_bytes([2; 16]);

    fn span(start: i64, end: i64) -> Period {
        Period { start: Timestamp(start), end: Timestamp(end) }
    }

    #[test]
    fn stays_follow_one_another_to_the_millisecond() {
        let stays = stays(Timestamp(10), &[(Timestamp(17), A), (Timestamp(20), B)], A, None);

        assert_eq!(
            stays,
            [
                Stay { plan: A, span: span(10, 17) },
                Stay { plan: B, span: span(17, 20) },
                Stay { plan: A, span: span(20, i64::MAX) },
            ]
        );
        let on_a = || stays.iter().filter(|stay| stay.plan == A);
        assert_eq!(held_ms(on_a(), span(0, 30)), 17);
        assert_eq!(held_ms(on_a(), span(16, 21)), 2);
        assert_eq!(held_ms(on_a(), span(17, 20)), 0);
        assert_eq!(held_ms(&stays, span(0, 30)), 20);
    }

    #[test]
    fn a_stay_that_lasted_no_time_is_none() {
        let left = [(Timestamp(10), A), (Timestamp(12), B)];

        assert_eq!(
            stays(Timestamp(10), &left, A, Some(Timestamp(12))),
            [Stay { plan: B, span: span(10, 12) }]
        );
    }
}
