//! Follows the admin's feed of the catalog, for as long as the gateway lives.
//!
//! Owns the connection's life: where to resume, when to give up on a silent or broken one, how
//! long to wait before the next. It must not know what a catalog is made of, or how the file on
//! disk is written.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tollgate_common::snapshot::Revision;
use tollgate_common::snapshot::wire::Frame;

use super::batch::{Assembly, BatchError, Sink, Step};
use super::frames::Frames;
use super::keep::{Base, Keeper};
use crate::backoff::Backoff;
use crate::control::{Control, ControlError};

/// Heartbeats in a row that state a later revision without the changes that lead there: then
/// something was lost on the way, and a new connection asks again. Not few: the admin may need a
/// while to gather them.
const HEARTBEATS_BEHIND_MAX: u32 = 10;

/// How long the disk may lag before the feed is asked to repeat what was not kept.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// A disk that stays broken does not make the admin send everything more often than this.
const REPEAT_AFTER_MAX: Duration = Duration::from_secs(30 * 60);

/// What is known of the catalog's source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// The revision in force here; None: no catalog yet.
    pub revision: Option<Revision>,
    /// Where the admin stood when it was last heard.
    pub admin_revision: Option<Revision>,
    pub connected: bool,
    pub last_heard: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the admin has ended it")]
    Ended,
    #[error("the admin speaks of revision {0} and does not send what leads there")]
    Behind(Revision),
}

/// Why a connection is over.
enum End {
    /// The disk missed something: connect again from this revision, and send it once more.
    Repeat(Option<Revision>),
    Interrupted(Interruption),
}

impl<E: Into<Interruption>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Interrupted(error.into())
    }
}

/// Follows until it is cancelled. `state` says at first which revision `sink` has from the disk.
pub async fn follow<S: Sink>(
    control: Control,
    sink: Arc<S>,
    keeper: Keeper,
    state: watch::Sender<FeedState>,
    cancel: CancellationToken,
) {
    let resume = state.borrow().revision;
    let feed =
        Feed { resume, control, keeper, state, backoff: Backoff::default(), repeat: Repeat::new() };
    // Dropped in the middle of a batch, neither catalog nor file have anything of it.
    cancel.run_until_cancelled(feed.run(&*sink)).await;
}

struct Feed {
    control: Control,
    keeper: Keeper,
    state: watch::Sender<FeedState>,
    backoff: Backoff,
    repeat: Repeat,
    /// Where the next connection asks to go on; None asks for everything.
    resume: Option<Revision>,
}

impl Feed {
    async fn run<S: Sink>(mut self, sink: &S) {
        loop {
            let end = self.connection(sink).await;
            self.state.send_modify(|state| state.connected = false);
            match end {
                End::Repeat(from) => self.resume = from,
                End::Interrupted(cause) => {
                    self.resume = self.resume_after(&cause);
                    self.wait(&cause).await;
                }
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn connection<S: Sink>(&mut self, sink: &S) -> End {
        match self.receive(sink).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn receive<S: Sink>(&mut self, sink: &S) -> Result<Infallible, End> {
        let mut bytes = self.control.snapshot(self.resume.unwrap_or_default()).await?;
        let in_force = self.state.borrow().revision;
        let mut assembly = Assembly::onto(sink, self.resume.and(in_force));
        let mut base = self.resume.map_or(Base::Nothing, Base::Revision);
        let mut frames = Frames::default();
        let mut behind = 0;
        while let Some(piece) = bytes.next().await? {
            frames.push(&piece);
            while let Some(frame) = frames.next().map_err(BatchError::from)? {
                let keep_base = kept_onto(&frame, base);
                match assembly.take(frame)? {
                    Step::Begun => self.keeper.begin(keep_base).await,
                    Step::Entered => {}
                    Step::Committed { revision } => {
                        self.in_force(revision);
                        self.keeper.piece(frames.take_read()).await;
                        self.keeper.commit(revision).await;
                        base = Base::Revision(revision);
                        behind = 0;
                    }
                    Step::Alive { .. } if assembly.is_open() => {}
                    Step::Alive { revision } => {
                        frames.skip_read();
                        behind = self.heard(revision, behind)?;
                        self.repeat_if_due()?;
                    }
                }
            }
            self.keeper.piece(frames.take_read()).await;
            // A full batch arrives faster than it is read: let others on this thread have a turn.
            tokio::task::consume_budget().await;
        }
        Err(Interruption::Ended.into())
    }

    fn in_force(&mut self, revision: Revision) {
        self.resume = Some(revision);
        self.alive(revision);
        self.state.send_modify(|state| state.revision = Some(revision));
        tracing::debug!(revision, "a revision of the catalog is in force");
    }

    /// Counts heartbeats that speak of what was not sent.
    fn heard(&mut self, revision: Revision, behind: u32) -> Result<u32, Interruption> {
        self.alive(revision);
        let in_force = self.state.borrow().revision;
        if in_force.is_none_or(|in_force| in_force >= revision) {
            return Ok(0);
        }
        if behind + 1 >= HEARTBEATS_BEHIND_MAX {
            return Err(Interruption::Behind(revision));
        }
        Ok(behind + 1)
    }

    fn alive(&mut self, admin_revision: Revision) {
        if !self.state.borrow().connected {
            tracing::info!(admin_revision, "the snapshot feed is connected");
        }
        self.backoff.reset();
        self.state.send_modify(|state| {
            state.connected = true;
            state.admin_revision = Some(admin_revision);
            state.last_heard = Some(Instant::now());
        });
    }

    fn repeat_if_due(&mut self) -> Result<(), End> {
        let kept = self.keeper.status();
        let in_force = self.state.borrow().revision;
        let all_kept = kept.revision == in_force && !kept.overgrown;
        if !self.repeat.is_due(all_kept, Instant::now()) {
            return Ok(());
        }
        let from = kept.revision.filter(|_| !kept.overgrown);
        tracing::info!(from, "the last good snapshot is behind: asking the admin to repeat");
        Err(End::Repeat(from))
    }

    fn resume_after(&self, cause: &Interruption) -> Option<Revision> {
        match cause {
            Interruption::Batch(error) if error.needs_all() => None,
            Interruption::Batch(_) | Interruption::Control(_) => self.resume,
            Interruption::Ended | Interruption::Behind(_) => self.resume,
        }
    }

    async fn wait(&mut self, cause: &Interruption) {
        let wait = self.backoff.next(rand::random());
        // The longer it lasts, the rarer the lines: a day of it is a dozen.
        if self.backoff.failures().is_power_of_two() {
            tracing::warn!(
                %cause,
                failures = self.backoff.failures(),
                "the snapshot feed is interrupted: serving what is in force"
            );
        }
        sleep(wait).await;
    }
}

/// What the file must hold for a batch to be added to it.
fn kept_onto(frame: &Frame, base: Base) -> Base {
    match frame {
        Frame::Begin { full: true } => Base::Nothing,
        Frame::Begin { full: false }
        | Frame::Entry(_)
        | Frame::Commit { .. }
        | Frame::Heartbeat { .. } => base,
    }
}

/// When to ask for a repeat of what the disk missed.
struct Repeat {
    lags_since: Option<Instant>,
    after: Duration,
}

impl Repeat {
    fn new() -> Self {
        Self { lags_since: None, after: REPEAT_AFTER }
    }

    fn is_due(&mut self, all_kept: bool, now: Instant) -> bool {
        if all_kept {
            *self = Self::new();
            return false;
        }
        let since = *self.lags_since.get_or_insert(now);
        if now.duration_since(since) < self.after {
            return false;
        }
        self.lags_since = Some(now);
        self.after = (self.after * 2).min(REPEAT_AFTER_MAX);
        true
    }
}

#[cfg(test)]
mod tests;
