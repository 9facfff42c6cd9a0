//! How far the ledger has each epoch of a node's journal: what makes a repeat harmless.

use crate::store::Transaction;
use crate::store::query::{query, query_as};
use tollgate_common::ids::NodeId;
use tollgate_common::time::Timestamp;

/// A node's journal in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub node: NodeId,
    pub epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last record that the ledger has; 0 before the first.
    pub through: u64,
    /// Admission of the newest call among them.
    pub admitted_newest: Timestamp,
}

/// What a mark says to a run of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All of it is here already.
    Repeat,
    /// What follows the first `skip` records is new.
    Take { skip: usize },
    /// Records before it are missing.
    Gap { expected: u64 },
}

impl Mark {
    pub fn judge(&self, first: u64, records: usize) -> Judgement {
        let expected = self.through + 1;
        if first > expected {
            return Judgement::Gap { expected };
        }
        let known = expected - first;
        match usize::try_from(known) {
            Ok(skip) if skip < records => Judgement::Take { skip },
            _ => Judgement::Repeat,
        }
    }
}

/// Reads a mark and locks it until the transaction ends. It begins with a write on purpose: a
/// transaction that read first could not become a writing one after another has written.
pub async fn lock(db: &mut Transaction, source: Source) -> Result<Mark, sqlx::Error> {
    let (through, admitted_newest): (i64, i64) = query_as(
        "INSERT INTO ledger_mark (node, epoch, through, admitted_newest) VALUES ($1, $2, 0, 0)
         ON CONFLICT (node, epoch) DO UPDATE SET through = ledger_mark.through
         RETURNING through, admitted_newest",
    )
    .bind(source.node.as_bytes().as_slice())
    .bind(epoch_stored(source.epoch))
    .fetch_one(db)
    .await?;
    Ok(Mark { through: through.unsigned_abs(), admitted_newest: Timestamp(admitted_newest) })
}

pub async fn advance(db: &mut Transaction, source: Source, mark: Mark) -> Result<(), sqlx::Error> {
    let through = i64::try_from(mark.through).expect("a checked batch ends within 63 bits");
    query(
        "UPDATE ledger_mark SET through = $3, admitted_newest = $4 WHERE node = $1 AND epoch = $2",
    )
    .bind(source.node.as_bytes().as_slice())
    .bind(epoch_stored(source.epoch))
    .bind(through)
    .bind(mark.admitted_newest.0)
    .execute(db)
    .await?;
    Ok(())
}

/// An epoch is a name without order, so its 64 bits are kept as they are.
pub const fn epoch_stored(epoch: u64) -> i64 {
    epoch.cast_signed()
}

pub const fn epoch_read(stored: i64) -> u64 {
    stored.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_the_mark_is_taken() {
        let mark = Mark { through: 10, admitted_newest: Timestamp(0) };

        assert_eq!(mark.judge(11, 5), Judgement::Take { skip: 0 });
        assert_eq!(mark.judge(8, 5), Judgement::Take { skip: 3 });
        assert_eq!(mark.judge(6, 5), Judgement::Repeat);
        assert_eq!(mark.judge(1, 3), Judgement::Repeat);
        assert_eq!(mark.judge(12, 5), Judgement::Gap { expected: 11 });
        assert_eq!(mark.judge(11, 0), Judgement::Repeat);
    }
}
