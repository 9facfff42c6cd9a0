//! Keeps the last good snapshot up to date, on a thread of its own.
//!
//! A disk may be slow or broken: the feed never waits for it longer than it can afford, and what
//! could not be kept is asked for again later. Owns the hand-over between the two; it must not
//! know what a batch means.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tollgate_common::snapshot::Revision;

use super::last_good::{Draft, Found, Kept, Place};

/// Pieces that may wait for the disk. A piece is what one read of the feed brought, so a few MB.
const PIECES_WAITING_MAX: usize = 64;

/// How long a full batch waits for a slow disk before it is no longer kept. Changes never wait.
const DISK_WAIT_MAX: Duration = Duration::from_secs(2);

/// The feed's end of the thread.
pub struct Keeper {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<KeepStatus>,
    /// A batch is being handed over, and all of it so far was.
    handing_over: bool,
    full: bool,
}

/// What is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepStatus {
    /// The revision that a restart would find and that changes can be added to; None: only the
    /// whole catalog can be kept.
    pub revision: Option<Revision>,
    /// There are more changes than catalog: time to keep all of it anew.
    pub overgrown: bool,
    /// Times that the disk failed since the start.
    pub failures: u64,
}

/// What a batch builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Nothing,
    /// The changes lead from this revision.
    Revision(Revision),
}

enum Order {
    Begin(Base),
    Piece(Bytes),
    Commit(Revision),
}

/// Starts the thread. It ends when the [`Keeper`] is dropped.
pub fn start(place: Place, found: &Found) -> io::Result<(Keeper, JoinHandle<()>)> {
    let kept = place.resume(found)?;
    let (orders, inbox) = mpsc::channel(PIECES_WAITING_MAX);
    let mut keeping = Keeping { place, kept, open: None, failures: 0 };
    let (report, status) = watch::channel(keeping.status());
    let thread = thread::Builder::new()
        .name("snapshot-keep".into())
        .spawn(move || keeping.run(inbox, &report))?;
    Ok((Keeper { orders, status, handing_over: false, full: false }, thread))
}

impl Keeper {
    pub fn status(&self) -> KeepStatus {
        *self.status.borrow()
    }

    pub fn watch(&self) -> watch::Receiver<KeepStatus> {
        self.status.clone()
    }

    /// A batch begins; one that was not committed is forgotten.
    pub async fn begin(&mut self, base: Base) {
        self.handing_over = true;
        self.full = base == Base::Nothing;
        self.hand_over(Order::Begin(base)).await;
    }

    pub async fn piece(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.hand_over(Order::Piece(piece)).await;
        }
    }

    pub async fn commit(&mut self, revision: Revision) {
        self.hand_over(Order::Commit(revision)).await;
        self.handing_over = false;
    }

    /// After the first order that the thread has no room for, the rest of the batch is not kept.
    async fn hand_over(&mut self, order: Order) {
        if !self.handing_over {
            return;
        }
        self.handing_over = if self.full {
            matches!(timeout(DISK_WAIT_MAX, self.orders.send(order)).await, Ok(Ok(())))
        } else {
            self.orders.try_send(order).is_ok()
        };
    }
}

/// The thread's state.
struct Keeping {
    place: Place,
    kept: Option<Kept>,
    open: Option<Open>,
    failures: u64,
}

enum Open {
    Full(Draft),
    /// Bounded as the feed bounds a batch of changes.
    Changes(Vec<u8>),
}

impl Keeping {
    fn run(&mut self, mut inbox: mpsc::Receiver<Order>, report: &watch::Sender<KeepStatus>) {
        while let Some(order) = inbox.blocking_recv() {
            if let Err(error) = self.obey(order) {
                tracing::error!(%error, "the last good snapshot cannot be kept for now");
                self.open = None;
                self.kept = None;
                self.failures += 1;
                self.place.discard();
            }
            report.send_replace(self.status());
        }
        if matches!(self.open, Some(Open::Full(_))) {
            self.place.discard();
        }
    }

    fn status(&self) -> KeepStatus {
        KeepStatus {
            revision: self.kept.as_ref().map(Kept::revision),
            overgrown: self.kept.as_ref().is_some_and(Kept::is_overgrown),
            failures: self.failures,
        }
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Begin(base) => self.begin(base),
            Order::Piece(piece) => match &mut self.open {
                Some(Open::Full(draft)) => draft.append(&piece),
                Some(Open::Changes(batch)) => {
                    batch.extend_from_slice(&piece);
                    Ok(())
                }
                None => Ok(()),
            },
            Order::Commit(revision) => self.commit(revision),
        }
    }

    /// Changes are taken only onto what they are changes to. More than those is harmless: an entry
    /// that is there already changes nothing.
    fn begin(&mut self, base: Base) -> io::Result<()> {
        self.open = match base {
            Base::Nothing if self.place.acquire()? => Some(Open::Full(self.place.draft()?)),
            Base::Nothing => None,
            Base::Revision(from) => {
                let kept = self.kept.as_ref();
                kept.filter(|kept| from <= kept.revision()).map(|_| Open::Changes(Vec::new()))
            }
        };
        Ok(())
    }

    fn commit(&mut self, revision: Revision) -> io::Result<()> {
        match self.open.take() {
            Some(Open::Full(draft)) => {
                self.kept = Some(self.place.replace(draft, revision)?);
            }
            Some(Open::Changes(batch)) => {
                if let Some(kept) = &mut self.kept {
                    kept.append(&batch, revision)?;
                }
            }
            None => {}
        }
        Ok(())
    }
}
