//! What of a day is to be sent: the ledger's total of each piece, less what was decided on.

use std::collections::BTreeMap;

use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

use super::cut::Piece;
use super::outbox::items::Decided;
use crate::ledger::Counts;
use crate::ledger::window::Minute;

/// How long after its end a window is left open: gateways deliver what they hold every second or
/// so, and what comes later goes out as a further version.
pub const GRACE_MS: i64 = 60_000;

/// Usage that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub piece: Piece,
    pub meter: Meter,
    pub version: u32,
    pub quantity: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub parts: Vec<Part>,
    /// When a piece that holds usage will be closed.
    pub again_at: Option<Timestamp>,
}

impl Part {
    /// Whether something of its place was decided on before.
    pub const fn is_further(&self) -> bool {
        self.version > 1
    }
}

impl Plan {
    /// Leaves out further versions of some places until they are looked at again.
    pub fn hold(&mut self, places: &[(Meter, Minute)], until: Timestamp) {
        let is_free =
            |part: &Part| !part.is_further() || !places.contains(&(part.meter, part.piece.start));
        let count = self.parts.len();
        self.parts.retain(is_free);
        if self.parts.len() < count {
            self.again_at = Some(self.again_at.map_or(until, |at| at.min(until)));
        }
    }
}

/// The pieces of what was decided on, to be kept as they are.
pub fn sent_pieces(decided: &[Decided]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = decided.iter().map(|one| one.start..one.end).collect();
    pieces.sort_by_key(|piece| piece.start);
    pieces.dedup();
    pieces
}

pub fn plan(
    pieces: &[Piece],
    minutes: &BTreeMap<Minute, Counts>,
    decided: &[Decided],
    meters: &[Meter],
    takes_negative: bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    for piece in pieces {
        let mut total = Counts::default();
        for counts in minutes.range(piece.clone()).map(|(_, counts)| *counts) {
            total += counts;
        }
        let closed_at = piece.end.start().plus_ms(GRACE_MS);
        for meter in meters {
            let known = decided.iter().find(|one| one.meter == *meter && one.start == piece.start);
            let quantity = total.billed(*meter) - known.map_or(0, |one| one.quantity);
            if quantity == 0 || (quantity < 0 && !takes_negative) {
                continue;
            }
            if now < closed_at {
                plan.again_at = Some(plan.again_at.map_or(closed_at, |at| at.min(closed_at)));
                continue;
            }
            let version = known.map_or(1, |one| one.version + 1);
            plan.parts.push(Part { piece: piece.clone(), meter: *meter, version, quantity });
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    const CLOSED: Timestamp = Timestamp(120 * 60_000 + GRACE_MS);

    fn minutes(calls: &[(i64, i64)]) -> BTreeMap<Minute, Counts> {
        let counts = |calls| Counts { calls, ..Counts::default() };
        calls.iter().map(|(minute, number)| (Minute(*minute), counts(*number))).collect()
    }

    fn decided(version: u32, quantity: i64) -> Decided {
        Decided { meter: Meter::Calls, start: Minute(60), end: Minute(120), version, quantity }
    }

    #[test]
    fn a_window_is_sent_once_it_is_closed() {
        let piece = Minute(60)..Minute(120);
        let used = minutes(&[(59, 1), (60, 2), (119, 3), (120, 4)]);
        let at = |now| plan(from_ref(&piece), &used, &[], &[Meter::Calls], false, now);

        let early = at(CLOSED.plus_ms(-1));
        let late = at(CLOSED);

        assert_eq!((early.parts.len(), early.again_at), (0, Some(CLOSED)));
        let expected = Part { piece: piece.clone(), meter: Meter::Calls, version: 1, quantity: 5 };
        assert_eq!((late.parts, late.again_at), (vec![expected], None));
    }

    #[test]
    fn what_comes_late_is_sent_as_a_further_version() {
        let piece = Minute(60)..Minute(120);
        let used = minutes(&[(60, 5)]);
        let at = |known: Decided| {
            plan(from_ref(&piece), &used, &[known], &[Meter::Calls], false, CLOSED).parts
        };

        let more = at(decided(3, 4));

        assert_eq!((more[0].version, more[0].quantity), (4, 1));
        assert_eq!(at(decided(1, 5)), []);
        assert_eq!(at(decided(1, 6)), [], "what is below zero waits where it is not taken");
    }

    #[test]
    fn a_further_version_waits_where_it_is_not_known_what_is_there() {
        let piece = Minute(60)..Minute(120);
        let used = minutes(&[(60, 5)]);
        let meters = [Meter::Calls];
        let mut first = plan(from_ref(&piece), &used, &[], &meters, false, CLOSED);
        let mut second = plan(from_ref(&piece), &used, &[decided(1, 3)], &meters, false, CLOSED);
        let (other, until) = (second.clone(), CLOSED.plus_ms(1));

        first.hold(&[(Meter::Calls, Minute(60))], until);
        second.hold(&[(Meter::Calls, Minute(60))], until);

        assert_eq!((first.parts.len(), first.again_at), (1, None));
        assert_eq!((second.parts.len(), second.again_at), (0, Some(until)));
        let mut free = other.clone();
        free.hold(&[(Meter::Units, Minute(60)), (Meter::Calls, Minute(0))], until);
        assert_eq!(free, other);
    }
}
