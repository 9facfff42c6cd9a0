//! Three ordered streams side by side, window by window. Of each stream one window is held, so a
//! year of all subscriptions takes no more memory than an hour of one.

use std::iter::Peekable;

use super::figures::{Sent, Shown, Sight, Slot, Used};
use crate::ledger::window::Minute;

/// What the three sides say of one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    pub slot: Slot,
    pub end: Minute,
    /// None where the ledger knows of nothing.
    pub ledger: Option<i64>,
    pub sent: Option<Sent>,
    /// None where the destination was not asked, or cannot be.
    pub shown: Option<Sight>,
}

/// Each stream has a window once, in the order of slots; what is shown without having been sent is
/// not compared, since a destination is asked for what was sent.
pub struct Comparison<L: Iterator, S: Iterator, R: Iterator> {
    ledger: Peekable<L>,
    sent: Peekable<S>,
    shown: Peekable<R>,
}

impl<L, S, R> Comparison<L, S, R>
where
    L: Iterator<Item = Used>,
    S: Iterator<Item = Sent>,
    R: Iterator<Item = Shown>,
{
    pub fn new(ledger: L, sent: S, shown: R) -> Self {
        Self { ledger: ledger.peekable(), sent: sent.peekable(), shown: shown.peekable() }
    }
}

impl<L, S, R> Iterator for Comparison<L, S, R>
where
    L: Iterator<Item = Used>,
    S: Iterator<Item = Sent>,
    R: Iterator<Item = Shown>,
{
    type Item = Compared;

    fn next(&mut self) -> Option<Compared> {
        let used = self.ledger.peek().map(|used| used.slot);
        let sent = self.sent.peek().map(|sent| sent.slot);
        let slot = used.into_iter().chain(sent).min()?;
        let used = self.ledger.next_if(|used| used.slot == slot);
        let sent = self.sent.next_if(|sent| sent.slot == slot);
        while self.shown.next_if(|shown| shown.slot < slot).is_some() {}
        let shown = self.shown.next_if(|shown| shown.slot == slot);
        let ends = used.map(|used| used.end).into_iter().chain(sent.as_ref().map(|sent| sent.end));
        Some(Compared {
            slot,
            end: ends.max().unwrap_or(slot.start),
            ledger: used.map(|used| used.quantity),
            sent,
            shown: shown.map(|shown| shown.sight),
        })
    }
}

#[cfg(test)]
mod tests;
