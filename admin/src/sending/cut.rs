//! A day in pieces: windows, cut where a billing period ends.
//!
//! Pieces of which something was sent stay as they are, whatever becomes of plans and settings, so
//! that what comes later is added to the same pieces.

use std::ops::Range;

use tollgate_common::time::Timestamp;

use crate::ledger::window::{Day, MINUTES_PER_DAY, Minute, Window};

/// Minutes from the first, included, to the last, excluded.
pub type Piece = Range<Minute>;

/// All pieces of a day from `from` on.
pub fn pieces(
    day: Day,
    from: Minute,
    window: Window,
    period_ends: &[Minute],
    sent: &[Piece],
) -> Vec<Piece> {
    let day_end = Minute(day.start().0 + MINUTES_PER_DAY);
    let mut sent = sent.to_vec();
    sent.sort_by_key(|piece| piece.start);
    let mut pieces = Vec::new();
    let mut at = day.start().max(from);
    while at < day_end {
        if let Some(known) = sent.iter().find(|piece| piece.contains(&at)) {
            at = known.end;
            pieces.push(known.clone());
            continue;
        }
        let window_end = window.next(window.start_of(at)).min(day_end);
        let cuts = period_ends.iter().chain(sent.iter().map(|piece| &piece.start));
        let end = cuts.copied().filter(|cut| *cut > at).min().unwrap_or(day_end).min(window_end);
        pieces.push(at..end);
        at = end;
    }
    pieces
}

/// The moment that a piece is booked on: its start, or that of the subscription when it began
/// inside, in whole seconds, since some destinations cut the rest off.
pub fn booked_at(piece: &Piece, started_at: Timestamp) -> Timestamp {
    let start = piece.start.start();
    let begun = Timestamp::from_seconds(started_at.plus_ms(999).seconds());
    if begun > start && begun < piece.end.start() { begun } else { start }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Day = Day(20_000);

    fn minute(of_day: i64) -> Minute {
        DAY.minute(of_day)
    }

    fn shown(pieces: Vec<Piece>) -> Vec<(i64, i64)> {
        let first = DAY.start().0;
        pieces.into_iter().map(|piece| (piece.start.0 - first, piece.end.0 - first)).collect()
    }

    #[test]
    fn a_window_is_cut_where_a_period_ends() {
        let pieces = pieces(DAY, minute(22 * 60), Window::Hour, &[minute(23 * 60 + 30)], &[]);

        assert_eq!(shown(pieces), [(1320, 1380), (1380, 1410), (1410, 1440)]);
    }

    #[test]
    fn what_was_sent_keeps_its_piece_when_plan_and_window_change() {
        let sent = [minute(90)..minute(120), minute(600)..minute(610)];

        let pieces = pieces(DAY, DAY.start(), Window::Day, &[minute(100)], &sent);

        assert_eq!(shown(pieces), [(0, 90), (90, 120), (120, 600), (600, 610), (610, 1440)]);
    }

    #[test]
    fn usage_is_booked_inside_the_life_of_its_subscription() {
        let piece = minute(60)..minute(120);
        let start = piece.start.start();

        assert_eq!(booked_at(&piece, start.plus_ms(-5)), start);
        assert_eq!(booked_at(&piece, start.plus_ms(1_001)), start.plus_ms(2_000));
        assert_eq!(booked_at(&piece, piece.end.start().plus_ms(-1)), start);
    }

    proptest! {
        #[test]
        fn pieces_cover_the_day_without_gap_or_overlap(
            from in 0i64..1440,
            window in prop_oneof![Just(Window::Minute), Just(Window::Hour), Just(Window::Day)],
            ends in prop::collection::vec(0i64..1440, 0..3),
            sent in prop::collection::vec((0i64..100, 1i64..14), 0..3),
        ) {
            let ends: Vec<Minute> = ends.into_iter().map(minute).collect();
            let mut next = 0;
            let sent: Vec<Piece> = sent.into_iter().map(|(gap, length)| {
                let start = next + gap;
                next = start + length;
                minute(start)..minute(next)
            }).collect();
            let pieces = pieces(DAY, minute(from), window, &ends, &sent);
            let mut at = minute(from);
            for piece in &pieces {
                let is_known = sent.contains(piece);
                prop_assert!(piece.start == at || is_known);
                prop_assert!(piece.start < piece.end);
                at = piece.end;
                for end in &ends {
                    prop_assert!(is_known || !(piece.start < *end && *end < piece.end));
                }
            }
            prop_assert_eq!(at, minute(1440));
        }
    }
}
