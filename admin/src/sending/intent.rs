//! The life of what was decided to be sent: frozen → in doubt → acknowledged → settled, or parked.
//!
//! Pure: it takes the time, the destination's capabilities and what happened, and says what comes
//! next. It never decides to send again what may have arrived already, unless the destination will
//! recognise it or has shown that it is not there.

use serde::{Deserialize, Serialize};
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;

use super::backoff;
use super::capability::{ANSWER_MS_MAX, Capabilities, FORGOTTEN, is_ahead};

/// What is due then is not due at all.
pub const NEVER: Timestamp = Timestamp(i64::MAX);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its bytes are fixed, and none of them has left, or it is proven that none arrived.
    Frozen,
    /// An attempt was begun, and whether it arrived is not known.
    Ambiguous,
    /// The destination said that it has it.
    Acknowledged,
    /// The destination showed that it has it.
    Settled,
    /// Nothing happens to it until somebody decides.
    Quarantined,
    /// Somebody decided that it is never sent.
    Voided,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub state: State,
    /// Attempts since it was frozen or replayed.
    pub attempts: u32,
    /// When the first attempt began that may have arrived.
    pub doubt_since: Option<Timestamp>,
    /// When the last attempt began.
    pub attempted_at: Option<Timestamp>,
    /// Nothing is done before.
    pub due_at: Timestamp,
    /// Looks at the destination that did not show what it had acknowledged.
    pub losses: u32,
    /// What went wrong last.
    pub reason: Option<String>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Wait(Timestamp),
    Send,
    /// Ask the destination what it has.
    Read,
    /// Only a person can decide.
    Park(String),
    /// Nothing more will happen.
    Rest,
}

/// What an attempt came to, for all items of an intent alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// Nothing of this attempt arrived; it can be tried again.
    Refused {
        reason: String,
        asked_ms: Option<i64>,
    },
    /// Whether it arrived is not known.
    Unknown {
        reason: String,
        asked_ms: Option<i64>,
    },
    /// Nothing of this attempt arrived, nor will it ever.
    Rejected {
        reason: String,
    },
}

/// What the destination shows of an item, or of the total that it is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Present,
    Absent,
    /// It is there, and counts for another quantity than was sent.
    Other {
        quantity: i64,
        reason: String,
    },
    /// Neither can be concluded.
    Unclear(String),
}

impl State {
    pub const ALL: [State; 6] = [
        Self::Frozen,
        Self::Ambiguous,
        Self::Acknowledged,
        Self::Settled,
        Self::Quarantined,
        Self::Voided,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Ambiguous => "ambiguous",
            Self::Acknowledged => "acknowledged",
            Self::Settled => "settled",
            Self::Quarantined => "quarantined",
            Self::Voided => "voided",
        }
    }

    /// Whether it is still to be sent, or to be made certain of.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Frozen | Self::Ambiguous => true,
            Self::Acknowledged | Self::Settled | Self::Quarantined | Self::Voided => false,
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl Progress {
    pub const fn frozen(now: Timestamp) -> Self {
        Self {
            state: State::Frozen,
            attempts: 0,
            doubt_since: None,
            attempted_at: None,
            due_at: now,
            losses: 0,
            reason: None,
        }
    }

    /// As a clock has it that is right by now: what one that was ahead has put off is due, and an
    /// attempt of its time may have been made just now, or as early as something was `known_since`.
    pub fn put_right(&self, known_since: Timestamp, now: Timestamp) -> Self {
        let is_put_off = self.due_at < NEVER && self.due_at > now.plus_ms(backoff::WAIT_MS_MAX);
        let since = |at| if is_ahead(at, now) { known_since } else { at };
        Self {
            due_at: if is_put_off { now } else { self.due_at },
            doubt_since: self.doubt_since.map(since),
            attempted_at: self.attempted_at.map(|at| if is_ahead(at, now) { now } else { at }),
            ..self.clone()
        }
    }

    /// What is decided on after the store was put back, and may have been decided on and sent before.
    pub fn forgotten(put_back_at: Timestamp, now: Timestamp) -> Self {
        Self {
            state: State::Ambiguous,
            doubt_since: Some(FORGOTTEN),
            attempted_at: Some(put_back_at),
            ..Self::frozen(now)
        }
    }

    /// What was decided on before the store was put back, and may have been sent since.
    pub fn put_back(&self, created_at: Timestamp, put_back_at: Timestamp) -> Self {
        let is_known = self.attempted_at.is_some_and(|attempted_at| attempted_at >= put_back_at);
        if created_at >= put_back_at || is_known || !self.state.is_open() {
            return self.clone();
        }
        Self {
            state: State::Ambiguous,
            doubt_since: Some(self.doubt_since.unwrap_or(created_at)),
            attempted_at: Some(put_back_at),
            ..self.clone()
        }
    }

    pub fn step(&self, can: &Capabilities, now: Timestamp) -> Step {
        match self.state {
            State::Settled | State::Quarantined | State::Voided => Step::Rest,
            State::Acknowledged if can.read_back.settled_after_ms().is_none() => Step::Rest,
            _ if now < self.due_at => Step::Wait(self.due_at),
            State::Acknowledged => self.read_when_true(can, now),
            State::Frozen => Step::Send,
            State::Ambiguous => self.resolve(can, now),
        }
    }

    fn resolve(&self, can: &Capabilities, now: Timestamp) -> Step {
        let Some(first) = self.doubt_since else { return Step::Send };
        if can.dedupe.covers(first, now) {
            return Step::Send;
        }
        match can.read_back.settled_after_ms() {
            Some(_) => self.read_when_true(can, now),
            None if first == FORGOTTEN => Step::Park(
                "the store was put back: it may have arrived before, or a part of it".to_owned(),
            ),
            None => Step::Park(
                "it may have arrived, and the destination no longer recognises a \
                               repeat nor shows what it has"
                    .to_owned(),
            ),
        }
    }

    fn read_when_true(&self, can: &Capabilities, now: Timestamp) -> Step {
        let settled_after = can.read_back.settled_after_ms().unwrap_or(0);
        let from = self.attempted_at.map_or(now, |at| at.plus_ms(settled_after));
        if now < from { Step::Wait(from) } else { Step::Read }
    }

    /// Before the socket is opened. What is stored from here on says that it may have arrived.
    pub fn begin(&self, now: Timestamp) -> Self {
        Self {
            state: State::Ambiguous,
            attempts: self.attempts.saturating_add(1),
            doubt_since: Some(self.doubt_since.map_or(now, |since| since.min(now))),
            attempted_at: Some(self.attempted_at.map_or(now, |at| at.max(now))),
            // If nobody hears the answer, whoever comes next waits until there can be none.
            due_at: now.plus_ms(2 * ANSWER_MS_MAX),
            ..self.clone()
        }
    }

    /// After the answer, or after it was given up. `before` is what [`begin`](Self::begin) was
    /// called on.
    pub fn end(&self, before: &Self, outcome: &Outcome, now: Timestamp, jitter: f64) -> Self {
        match outcome {
            Outcome::Accepted => {
                Self { state: State::Acknowledged, due_at: now, reason: None, ..self.clone() }
            }
            Outcome::Refused { reason, asked_ms } => Self {
                state: before.state,
                doubt_since: before.doubt_since,
                due_at: now.plus_ms(backoff::wait_ms(self.attempts, *asked_ms, jitter)),
                reason: Some(reason.clone()),
                ..self.clone()
            },
            Outcome::Unknown { reason, asked_ms } => Self {
                due_at: now.plus_ms(backoff::wait_ms(self.attempts, *asked_ms, jitter)),
                reason: Some(reason.clone()),
                ..self.clone()
            },
            // An earlier attempt may have arrived all the same; its doubt is kept for a replay.
            Outcome::Rejected { reason } => {
                Self { doubt_since: before.doubt_since, ..self.parked(reason.clone()) }
            }
        }
    }

    pub fn parked(&self, reason: String) -> Self {
        Self { state: State::Quarantined, reason: Some(reason), ..self.clone() }
    }

    /// After the destination showed what it has.
    pub fn found(&self, finding: &Finding, now: Timestamp, jitter: f64) -> Self {
        match (finding, self.state) {
            (Finding::Present, _) => {
                Self { state: State::Settled, doubt_since: None, reason: None, ..self.clone() }
            }
            (Finding::Absent, State::Acknowledged) => {
                let losses = self.losses.saturating_add(1);
                Self {
                    losses,
                    // A destination that recognises what it has lost has to forget it first.
                    due_at: now.plus_ms(backoff::wait_ms(losses.saturating_add(8), None, jitter)),
                    reason: Some("it was acknowledged, and is not there".to_owned()),
                    ..self.proven_absent()
                }
            }
            (Finding::Absent, _) => Self { due_at: now, ..self.proven_absent() },
            // So it was sent before. What is there is booked, and the rest decided on anew.
            (Finding::Other { reason, .. }, _) if self.is_forgotten() => Self {
                state: State::Settled,
                doubt_since: None,
                reason: Some(reason.clone()),
                ..self.clone()
            },
            (Finding::Unclear(reason) | Finding::Other { reason, .. }, State::Acknowledged) => {
                self.unseen(reason.clone(), now)
            }
            (Finding::Unclear(reason) | Finding::Other { reason, .. }, _) => {
                self.parked(reason.clone())
            }
        }
    }

    pub fn is_forgotten(&self) -> bool {
        self.doubt_since == Some(FORGOTTEN)
    }

    fn proven_absent(&self) -> Self {
        Self { state: State::Frozen, attempts: 0, doubt_since: None, ..self.clone() }
    }

    /// Not yet.
    pub fn later(&self, at: Timestamp) -> Self {
        Self { due_at: self.due_at.max(at), ..self.clone() }
    }

    /// The answer to the question what is there did not come, or was none.
    pub fn unread(&self, reason: String, now: Timestamp, jitter: f64) -> Self {
        if self.state == State::Acknowledged {
            return self.unseen(reason, now);
        }
        let attempts = self.attempts.saturating_add(1);
        Self {
            attempts,
            due_at: now.plus_ms(backoff::wait_ms(attempts, None, jitter)),
            reason: Some(reason),
            ..self.clone()
        }
    }

    /// The destination said that it has it, and does not show that it has, nor that it has not.
    /// After a few weeks it is left at its word, and the reason says why.
    fn unseen(&self, reason: String, now: Timestamp) -> Self {
        let losses = self.losses.saturating_add(1);
        let due_at = match backoff::look_ms(losses) {
            Some(wait) => now.plus_ms(wait),
            None => NEVER,
        };
        Self { losses, due_at, reason: Some(reason), ..self.clone() }
    }

    /// The destination does not show what it is of: it is taken at its word, and where it said nothing
    /// a person decides.
    pub fn never_shown(&self) -> Self {
        match self.state {
            State::Acknowledged => Self { due_at: NEVER, ..self.clone() },
            _ => {
                self.parked("it may have arrived, and the destination does not show it".to_owned())
            }
        }
    }

    /// Somebody looked it up at the destination.
    pub fn settled_by_hand(&self) -> Self {
        let reason = Some("somebody found it at the destination".to_owned());
        Self { state: State::Settled, doubt_since: None, reason, ..self.clone() }
    }

    /// A later statement is sent in its place.
    pub fn restated(&self) -> Self {
        let reason = Some("it was stated again with the hour's total".to_owned());
        Self { state: State::Settled, doubt_since: None, reason, ..self.clone() }
    }

    /// Somebody decided that what the destination shows of it stays so.
    pub fn accepted(&self) -> Self {
        let reason = Some("somebody accepted what the destination shows".to_owned());
        Self { state: State::Settled, doubt_since: None, reason, ..self.clone() }
    }

    /// Somebody decided that it is never sent.
    pub fn voided(&self) -> Self {
        let reason = Some("somebody decided that it is not sent".to_owned());
        Self { state: State::Voided, doubt_since: None, reason, ..self.clone() }
    }

    /// Somebody did not find at the destination what it had acknowledged. It is sent again as if the
    /// answer had been lost: only what is recognised, or shown not to be there.
    pub fn doubted(&self, now: Timestamp) -> Self {
        Self {
            state: State::Ambiguous,
            attempts: 0,
            doubt_since: self.doubt_since.or(self.attempted_at),
            due_at: now,
            losses: 0,
            ..self.clone()
        }
    }

    /// Somebody found that it did not arrive: it starts anew.
    pub fn replayed(&self, now: Timestamp) -> Self {
        Self { due_at: now, losses: 0, reason: None, ..self.proven_absent() }
    }
}

#[cfg(test)]
mod tests;
