//! Delivers the journal to the ledger: in order, one batch at a time, until it has all of it.
//!
//! Owns what is sent next and what an answer or its absence means. A batch whose fate is unknown
//! is sent again as the same bytes, which changes nothing in a ledger that has it. Nothing is ever
//! left out: a batch that the admin will not take stays in the journal, and is an alarm. The ledger is
//! asked now and then whether it still has what it took: one that was put back gets again what is
//! still here, and is told what is not.

mod parcel;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tollgate_common::internal::{Fate, USAGE_BATCH_RECORDS_MAX, UsageAck};

use self::parcel::{Back, Gone, Parcel};
use crate::backoff::Backoff;
use crate::control::{Control, ControlError};
use crate::journal::{AcknowledgeError, FileError, Journal, Marks, ReadError};

/// Between two deliveries, unless more than one batch waits: five transactions a second are enough
/// for the ledger to be up to date, and batches grow with the load instead of with its wake-ups.
const PAUSE: Duration = Duration::from_millis(200);

/// A ledger that was put back is noticed by the next batch, or after this time where none comes.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// What is left at the end gets this long. The journal keeps what does not arrive, but a gateway
/// that goes for good may take its disk along.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// How delivery stands, for metrics and alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryState {
    /// Records that the ledger took, since the start.
    pub records: u64,
    pub batches: u64,
    /// Tries that failed, since the start.
    pub failures: u64,
    pub last_delivered: Option<Instant>,
    /// Why the last try failed; None: it did not.
    pub trouble: Option<Trouble>,
}

/// Why usage does not reach the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be reached, is too slow or fails. It will pass.
    AdminAway,
    /// The node token is not, or no longer, good.
    NotAuthorized,
    /// The ledger lacks records that this journal has already been told it has, and does not take
    /// them again.
    Gap,
    /// The ledger refuses the content.
    NotTaken,
    /// The ledger has records of this node that this journal never had.
    OtherNode,
    /// The control plane has another store than the one that this gateway follows.
    OtherStore,
    /// The journal cannot be read.
    JournalUnreadable,
}

impl Trouble {
    pub const ALL: [Trouble; 7] = [
        Self::AdminAway,
        Self::NotAuthorized,
        Self::Gap,
        Self::NotTaken,
        Self::OtherNode,
        Self::OtherStore,
        Self::JournalUnreadable,
    ];

    /// The word used as a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AdminAway => "admin-away",
            Self::NotAuthorized => "not-authorized",
            Self::Gap => "gap",
            Self::NotTaken => "not-taken",
            Self::OtherNode => "other-node",
            Self::OtherStore => "other-store",
            Self::JournalUnreadable => "journal-unreadable",
        }
    }

    /// It does not pass by itself: somebody has to look.
    pub const fn is_alarm(self) -> bool {
        match self {
            Self::AdminAway => false,
            Self::NotAuthorized
            | Self::Gap
            | Self::NotTaken
            | Self::OtherNode
            | Self::OtherStore
            | Self::JournalUnreadable => true,
        }
    }

    fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            // Who has shown an unknown token too often is told 429.
            401 | 403 | 429 => Self::NotAuthorized,
            409 => Self::Gap,
            412 => Self::OtherStore,
            400 | 413 | 415 | 422 => Self::NotTaken,
            _ => Self::AdminAway,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("the ledger says that it has the epoch only up to {0}")]
    Nothing(u64),
    #[error(transparent)]
    Acknowledge(#[from] AcknowledgeError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Journal(#[from] FileError),
    #[error("reading the journal was broken off: {0}")]
    Interrupted(#[from] JoinError),
}

impl Failure {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Control(error) => error.status().map_or(Trouble::AdminAway, Trouble::of_status),
            Self::Nothing(_) => Trouble::Gap,
            Self::Acknowledge(_) => Trouble::OtherNode,
            Self::Read(_) | Self::Journal(_) | Self::Interrupted(_) => Trouble::JournalUnreadable,
        }
    }
}

/// Runs until it is cancelled, then delivers what is left.
pub async fn run(
    control: Control,
    journal: Arc<Journal>,
    state: watch::Sender<DeliveryState>,
    cancel: CancellationToken,
) {
    let mut courier = Courier {
        control,
        journal,
        state,
        backoff: Backoff::default(),
        parcel: None,
        gone: VecDeque::new(),
        check_at: Instant::now(),
        records_max: USAGE_BATCH_RECORDS_MAX,
    };
    cancel.run_until_cancelled(courier.follow()).await;
    let all = timeout(FAREWELL_MAX, courier.empty()).await;
    if !matches!(all, Ok(Ok(()))) {
        tracing::warn!(
            "not all usage was delivered: the journal keeps the rest for the next start"
        );
    }
}

struct Courier {
    control: Control,
    journal: Arc<Journal>,
    state: watch::Sender<DeliveryState>,
    backoff: Backoff,
    /// What was sent and not acknowledged.
    parcel: Option<Parcel>,
    /// What the ledger has lost and the journal has no longer, in each epoch: to be said.
    gone: VecDeque<Gone>,
    /// When the ledger is next asked how far it is.
    check_at: Instant,
    /// Fewer than allowed while the ledger refuses, to get through all that comes before the
    /// record that it does not like.
    records_max: usize,
}

/// What is left after a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Perhaps what was appended meanwhile.
    Little,
    /// The batch was as large as it may be.
    More,
}

impl Courier {
    async fn follow(&mut self) -> std::convert::Infallible {
        let mut appended = self.journal.appended();
        loop {
            appended.borrow_and_update();
            match self.check_and_deliver().await {
                Ok(Left::More) => {}
                Ok(Left::Little) => sleep(PAUSE).await,
                Ok(Left::Nothing) => {
                    if let Ok(Err(_)) = timeout_at(self.check_at, appended.changed()).await {
                        // The journal is closed: nothing will come any more.
                        std::future::pending().await
                    }
                }
                Err(failure) => self.wait(&failure).await,
            }
        }
    }

    async fn check_and_deliver(&mut self) -> Result<Left, Failure> {
        // What is under way may be in the ledger without having been acknowledged.
        if self.parcel.is_none() && Instant::now() >= self.check_at {
            self.check().await?;
        }
        self.deliver().await
    }

    /// Asks the ledger whether it has what it once took. That of another store never had it.
    async fn check(&mut self) -> Result<(), Failure> {
        let ledger = match self.control.usage_marks(self.journal.node()).await {
            Ok(marks) => marks.into_iter().collect::<Marks>(),
            // It is of a version that does not say.
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => self.journal.marks(),
            Err(error) => return Err(error.into()),
        };
        let is_other = self.is_of_another_store();
        for (epoch, believed) in self.journal.marks() {
            let through = ledger.get(&epoch).copied().unwrap_or(0);
            if through >= believed {
                continue;
            }
            if is_other {
                let gone = Gone::new(epoch, through + 1, Fate::Elsewhere, believed + 1);
                self.say(epoch, Some(gone));
            } else {
                let back = self.take_back(epoch, through).await?;
                self.resume(&back);
            }
        }
        self.journal.confirm();
        self.check_at = Instant::now() + CHECK_EVERY;
        if self.gone.is_empty()
            && let Some(store) = self.control.store()
            && self.journal.store().as_ref() != Some(&store)
        {
            self.journal.set_store(&store)?;
        }
        Ok(())
    }

    /// Whether the ledger is of another store than the one that took what was acknowledged.
    fn is_of_another_store(&self) -> bool {
        let (before, now) = (self.journal.store(), self.control.store());
        before.is_some() && now.is_some() && before != now
    }

    async fn empty(&mut self) -> Result<(), Failure> {
        while self.deliver().await? != Left::Nothing {}
        Ok(())
    }

    async fn deliver(&mut self) -> Result<Left, Failure> {
        if self.parcel.is_none() {
            let statement = self.gone.front().map(|gone| gone.statement(self.journal.node()));
            self.parcel = match statement {
                Some(statement) => Some(statement),
                None => self.pack().await?,
            };
        }
        let Some(parcel) = &self.parcel else {
            self.succeeded(0);
            return Ok(Left::Nothing);
        };
        match self.control.deliver(parcel.bytes.clone(), parcel.absent).await {
            Ok(ack) if ack.through < parcel.first.min(parcel.last()) => {
                self.go_back(ack.through).await
            }
            Ok(ack) => self.acknowledged(ack),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.trouble() == Trouble::NotTaken {
                    self.records_max = (parcel.records / 2).max(1);
                    self.parcel = None;
                }
                Err(failure)
            }
        }
    }

    async fn pack(&self) -> Result<Option<Parcel>, Failure> {
        let journal = self.journal.clone();
        let records_max = self.records_max;
        let parcel = spawn_blocking(move || {
            journal.undelivered(records_max).map(|batch| batch.map(Parcel::of))
        });
        Ok(parcel.await??)
    }

    /// The ledger lacks what comes before the parcel, which it had before.
    async fn go_back(&mut self, through: u64) -> Result<Left, Failure> {
        let Some(parcel) = self.parcel.take() else { return Err(Failure::Nothing(through)) };
        if self.is_of_another_store() {
            self.check_at = Instant::now();
            return if parcel.absent.is_some() {
                Err(Failure::Nothing(through))
            } else {
                Ok(Left::Little)
            };
        }
        let back = self.take_back(parcel.epoch, through).await?;
        let said =
            parcel.absent.map(|absent| Gone { epoch: parcel.epoch, absent, until: parcel.first });
        if back.gone == said && back.first == parcel.first {
            return Err(Failure::Nothing(through));
        }
        self.resume(&back);
        // Of two control planes with stores that differ, each would send back what the other has taken.
        sleep(self.backoff.next(rand::random())).await;
        Ok(Left::More)
    }

    async fn take_back(&self, epoch: u64, through: u64) -> Result<Back, Failure> {
        let journal = self.journal.clone();
        let first = spawn_blocking(move || journal.take_back(epoch, through)).await?;
        let first = first.ok_or(Failure::Nothing(through))?;
        let from = through + 1;
        let gone = (from < first).then(|| Gone::new(epoch, from, Fate::Missing, first));
        Ok(Back { epoch, through, first, gone })
    }

    fn resume(&mut self, back: &Back) {
        let Back { epoch, through, first, gone } = *back;
        let missing = gone.map_or(0, |gone| gone.until - gone.absent.from);
        tracing::error!(
            epoch,
            through,
            first,
            missing,
            "the ledger has less than before: what is still here is delivered again"
        );
        self.say(epoch, gone);
    }

    /// In place of what was to be said of the epoch before.
    fn say(&mut self, epoch: u64, gone: Option<Gone>) {
        self.gone.retain(|said| said.epoch != epoch);
        self.gone.extend(gone);
    }

    fn acknowledged(&mut self, ack: UsageAck) -> Result<Left, Failure> {
        let Some(parcel) = self.parcel.take() else { return Ok(Left::Little) };
        self.journal.acknowledge(parcel.epoch, ack.through)?;
        if parcel.absent.is_some() {
            self.gone.pop_front();
            if self.gone.is_empty() {
                self.check_at = Instant::now();
            }
            return Ok(Left::More);
        }
        let was_full = parcel.records >= self.records_max;
        let is_partial = ack.through < parcel.last();
        self.records_max = (self.records_max * 2).min(USAGE_BATCH_RECORDS_MAX);
        self.succeeded(parcel.records.min((ack.through - parcel.first + 1) as usize));
        Ok(if was_full || is_partial { Left::More } else { Left::Little })
    }

    fn succeeded(&mut self, records: usize) {
        self.backoff.reset();
        let trouble = self.state.borrow().trouble;
        if let Some(trouble) = trouble {
            tracing::info!(trouble = trouble.label(), "usage reaches the ledger again");
        }
        if records == 0 && trouble.is_none() {
            return;
        }
        self.state.send_modify(|state| {
            state.trouble = None;
            if records > 0 {
                state.records += records as u64;
                state.batches += 1;
                state.last_delivered = Some(Instant::now());
            }
        });
    }

    async fn wait(&mut self, failure: &Failure) {
        let wait = self.backoff.next(rand::random());
        let trouble = failure.trouble();
        self.state.send_modify(|state| {
            state.failures += 1;
            state.trouble = Some(trouble);
        });
        let failures = self.backoff.failures();
        if failures.is_power_of_two() {
            let first = self.parcel.as_ref().map(|parcel| parcel.first);
            let label = trouble.label();
            if trouble.is_alarm() {
                tracing::error!(%failure, trouble = label, first, failures, "usage is not taken");
            } else {
                tracing::warn!(%failure, trouble = label, first, failures, "usage is kept back");
            }
        }
        sleep(wait).await;
    }
}

#[cfg(test)]
mod tests;
