//! Why the numbers of a window differ, and what can be done about it.
//!
//! The causes of a window explain its difference whole: their quantities add up to what the ledger is
//! ahead of the destination, or behind it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::compare::Compared;
use super::figures::{Sight, Slot};
use crate::ledger::window::Minute;
use crate::sending::capability::{Amounts, Capabilities};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing of the window was decided on yet.
    NotSent,
    /// The ledger has more than when the window was sent.
    CorrectionPending,
    /// The ledger has less than when the window was sent.
    LedgerLower,
    /// It was sent, and the ledger knows nothing of it.
    UnknownAtLedger,
    /// It is decided, and was not sent or did not arrive yet.
    OnItsWay,
    /// It may have arrived.
    InDoubt,
    /// It waits for somebody to decide: a dead letter.
    Quarantined,
    /// The destination acknowledged it, and does not show it.
    MissingAtDestination,
    /// The destination shows more than was sent: it is billed twice.
    MoreAtDestination,
    /// The destination shows another quantity than was sent.
    ValueDiffers,
    /// The destination acknowledged it, and what it shows says neither yes nor no.
    NotShown,
}

/// What an owner can do. Each is written to the audit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Sends what is not there. What may be there is looked up first.
    Resend,
    /// Never sends it.
    Void,
    /// Books what the destination shows, and sends the difference to the ledger as a version of its own.
    Compensate,
    /// Leaves it as it is, with a note. It is no difference any more for as long as its quantity stays.
    Accept,
}

/// A part of the difference of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub slot: Slot,
    pub end: Minute,
    pub cause: Cause,
    /// By how much the ledger is ahead of the destination for this cause.
    pub quantity: i64,
    pub ledger: i64,
    pub acknowledged: i64,
    /// None where the destination showed nothing, or not all.
    pub read_back: Option<i64>,
    pub reason: Option<String>,
}

impl Cause {
    /// Whether the ledger and what was decided on differ, whatever the destination says.
    pub const fn is_of_the_ledger(self) -> bool {
        match self {
            Self::NotSent | Self::CorrectionPending | Self::LedgerLower | Self::UnknownAtLedger => {
                true
            }
            Self::OnItsWay | Self::InDoubt | Self::Quarantined => false,
            Self::MissingAtDestination | Self::MoreAtDestination => false,
            Self::ValueDiffers | Self::NotShown => false,
        }
    }

    /// What fits, for a destination that can do this.
    pub fn repairs(self, can: &Capabilities) -> &'static [Repair] {
        use Repair::{Accept, Compensate, Resend, Void};
        match self {
            Self::NotSent | Self::CorrectionPending => &[Resend, Accept],
            Self::LedgerLower | Self::UnknownAtLedger if can.takes_negative => &[Resend, Accept],
            Self::LedgerLower | Self::UnknownAtLedger | Self::NotShown => &[Accept],
            // Whoever sends is at it.
            Self::OnItsWay | Self::InDoubt => &[],
            Self::Quarantined => &[Resend, Void, Accept],
            Self::MissingAtDestination if can.amounts == Amounts::Added => {
                &[Resend, Compensate, Accept]
            }
            // Where totals replace each other, the right one is stated again.
            Self::MissingAtDestination => &[Resend, Accept],
            Self::MoreAtDestination | Self::ValueDiffers => match can.amounts {
                Amounts::Replacing => &[Resend, Accept],
                Amounts::Added if can.takes_negative => &[Compensate, Accept],
                Amounts::Added => &[Accept],
            },
        }
    }
}

/// The causes of a window's difference; none when all sides agree.
pub fn judge(compared: &Compared) -> Vec<Difference> {
    let ledger = compared.ledger.unwrap_or(0);
    let sent = compared.sent.as_ref();
    let acknowledged = sent.map_or(0, |sent| sent.acknowledged);
    let is_all_settled = sent.is_some_and(|sent| sent.settled == sent.acknowledged);
    // Of nothing, as where a total is stated again that is not shown, it may be.
    let is_doubted = sent.is_some_and(|sent| sent.reason.is_some());
    let read_back = match &compared.shown {
        Some(Sight::Counted { quantity, .. }) => Some(*quantity),
        Some(Sight::Unclear(_)) => None,
        None => (is_all_settled && !is_doubted).then_some(acknowledged),
    };
    let part = |cause, quantity, reason: Option<&String>| Difference {
        slot: compared.slot,
        end: compared.end,
        cause,
        quantity,
        ledger,
        acknowledged,
        read_back,
        reason: reason.cloned(),
    };
    let mut parts = Vec::new();
    let ahead = ledger - sent.map_or(0, |sent| sent.decided());
    if ahead != 0 {
        let cause = match (sent.is_some(), compared.ledger.is_some()) {
            (false, _) => Cause::NotSent,
            (true, false) => Cause::UnknownAtLedger,
            (true, true) if ahead > 0 => Cause::CorrectionPending,
            (true, true) => Cause::LedgerLower,
        };
        parts.push(part(cause, ahead, None));
    }
    let Some(sent) = sent else { return parts };
    let standing = [
        (Cause::OnItsWay, sent.frozen),
        (Cause::InDoubt, sent.in_doubt),
        (Cause::Quarantined, sent.quarantined),
    ];
    for (cause, quantity) in standing.into_iter().filter(|(_, quantity)| *quantity != 0) {
        parts.push(part(cause, quantity, sent.reason.as_ref()));
    }
    match &compared.shown {
        Some(Sight::Counted { quantity, is_other }) if *quantity != acknowledged => {
            let cause = match quantity < &acknowledged {
                _ if *is_other => Cause::ValueDiffers,
                true => Cause::MissingAtDestination,
                false => Cause::MoreAtDestination,
            };
            parts.push(part(cause, acknowledged - quantity, None));
        }
        Some(Sight::Unclear(reason)) => parts.push(part(Cause::NotShown, 0, Some(reason))),
        // The sender looked, and was not shown it.
        None if is_doubted && parts.is_empty() => {
            parts.push(part(Cause::NotShown, 0, sent.reason.as_ref()));
        }
        Some(Sight::Counted { .. }) | None => {}
    }
    parts
}

#[cfg(test)]
mod tests;
