//! Batches that arrive together are written together.
//!
//! There is one writer, and a commit waits for the disk. Whoever gets the writer's turn takes all
//! batches that wait, so that the disk is asked once for all of them, however many nodes deliver,
//! and records of different nodes share rows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tollgate_common::internal::{USAGE_BATCH_RECORDS_MAX, UsageAck};

use super::ApplyError;
use super::batch::CheckedBatch;

/// Batches that may wait: at most about 40 MB. A node that is turned away comes again.
const WAITING_MAX: usize = 32;

/// Records in one transaction. The more there are, the more of them share a row; not so many that a
/// change of the catalog waits long for its turn.
const GROUP_RECORDS_MAX: usize = 4 * USAGE_BATCH_RECORDS_MAX;

pub type Answer = Result<UsageAck, ApplyError>;

#[derive(Debug, Default)]
pub struct Waiting {
    batches: Mutex<VecDeque<(CheckedBatch, oneshot::Sender<Answer>)>>,
}

/// What one transaction is to apply, and who waits for it.
#[derive(Debug, Default)]
pub struct Group {
    pub batches: Vec<CheckedBatch>,
    senders: Vec<oneshot::Sender<Answer>>,
}

impl Waiting {
    pub fn push(&self, batch: CheckedBatch) -> Result<oneshot::Receiver<Answer>, ApplyError> {
        let (sender, receiver) = oneshot::channel();
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if batches.len() >= WAITING_MAX {
            return Err(ApplyError::Busy);
        }
        batches.push_back((batch, sender));
        Ok(receiver)
    }

    /// The oldest batches, at least one if any waits, and no more than fit one transaction.
    pub fn take(&self) -> Group {
        let mut waiting = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut group = Group::default();
        let mut records = 0;
        while let Some((batch, _)) = waiting.front() {
            records += batch.count();
            if records > GROUP_RECORDS_MAX && !group.batches.is_empty() {
                break;
            }
            let (batch, sender) = waiting.pop_front().expect("there is a front");
            group.batches.push(batch);
            group.senders.push(sender);
        }
        group
    }
}

impl Group {
    /// One answer for each batch, in their order. Who has left is not missed.
    pub fn answer(self, answers: impl IntoIterator<Item = Answer>) {
        for (sender, answer) in self.senders.into_iter().zip(answers) {
            let _ = sender.send(answer);
        }
    }

    pub fn fail(self, error: &Arc<crate::store::StoreError>) {
        let count = self.senders.len();
        self.answer((0..count).map(|_| Err(ApplyError::Store(Arc::clone(error)))));
    }
}
