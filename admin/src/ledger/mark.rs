//! How far the ledger has each epoch of a node's journal: what makes a repeat harmless.

use crate::store::Transaction;
use crate::store::query::{query, query_as, query_scalar};
use tollgate_common::ids::NodeId;
use tollgate_common::internal::{Absent, Fate, UsageMarks};
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
    /// How many of those never came: the ledger was put back, and the node had them no longer.
    pub missing: u64,
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
    /// The mark behind what the node says is absent, if that is what is lacking here.
    pub fn without(self, Absent { from, fate }: Absent, first: u64) -> Self {
        if from != self.through + 1 || first <= from {
            return self;
        }
        let missing = match fate {
            Fate::Missing => first - from,
            Fate::Elsewhere => 0,
        };
        Self { through: first - 1, missing: self.missing + missing, ..self }
    }

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
    let (through, missing, admitted_newest): (i64, i64, i64) = query_as(
        "INSERT INTO ledger_mark (node, epoch, through, admitted_newest) VALUES ($1, $2, 0, 0)
         ON CONFLICT (node, epoch) DO UPDATE SET through = ledger_mark.through
         RETURNING through, missing, admitted_newest",
    )
    .bind(source.node.as_bytes().as_slice())
    .bind(epoch_stored(source.epoch))
    .fetch_one(db)
    .await?;
    Ok(Mark {
        through: through.unsigned_abs(),
        missing: missing.unsigned_abs(),
        admitted_newest: Timestamp(admitted_newest),
    })
}

pub async fn advance(db: &mut Transaction, source: Source, mark: Mark) -> Result<(), sqlx::Error> {
    let stored = |count| i64::try_from(count).expect("a checked batch ends within 63 bits");
    query(
        "UPDATE ledger_mark SET through = $3, missing = $4, admitted_newest = $5
         WHERE node = $1 AND epoch = $2",
    )
    .bind(source.node.as_bytes().as_slice())
    .bind(epoch_stored(source.epoch))
    .bind(stored(mark.through))
    .bind(stored(mark.missing))
    .bind(mark.admitted_newest.0)
    .execute(db)
    .await?;
    Ok(())
}

/// Marks of one node that are told, newest first: more lives than a journal can hold segments of.
const EPOCHS_MAX: i64 = 10_000;

/// How far the ledger has each epoch of a node.
pub async fn of_node(db: &mut Transaction, node: NodeId) -> Result<UsageMarks, sqlx::Error> {
    let marks: Vec<(i64, i64)> = query_as(
        "SELECT epoch, through FROM ledger_mark WHERE node = $1
         ORDER BY admitted_newest DESC, epoch DESC LIMIT $2",
    )
    .bind(node.as_bytes().as_slice())
    .bind(EPOCHS_MAX)
    .fetch_all(db)
    .await?;
    let read = |(epoch, through): (i64, i64)| (epoch_read(epoch), through.unsigned_abs());
    Ok(marks.into_iter().map(read).collect())
}

/// How many records never came, of all nodes.
pub async fn missing(db: &mut Transaction) -> Result<u64, sqlx::Error> {
    let missing: i64 =
        query_scalar("SELECT CAST(COALESCE(SUM(missing), 0) AS BIGINT) FROM ledger_mark")
            .fetch_one(db)
            .await?;
    Ok(missing.unsigned_abs())
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
        let mark = Mark { through: 10, missing: 0, admitted_newest: Timestamp(0) };

        assert_eq!(mark.judge(11, 5), Judgement::Take { skip: 0 });
        assert_eq!(mark.judge(8, 5), Judgement::Take { skip: 3 });
        assert_eq!(mark.judge(6, 5), Judgement::Repeat);
        assert_eq!(mark.judge(1, 3), Judgement::Repeat);
        assert_eq!(mark.judge(12, 5), Judgement::Gap { expected: 11 });
        assert_eq!(mark.judge(11, 0), Judgement::Repeat);
    }

    #[test]
    fn only_what_is_missing_is_passed_over() {
        let mark = Mark { through: 10, missing: 1, admitted_newest: Timestamp(0) };

        let absent = |from, fate| Absent { from, fate };
        let gone = mark.without(absent(11, Fate::Missing), 15);
        assert_eq!(gone, Mark { through: 14, missing: 5, ..mark });
        assert_eq!(mark.without(absent(11, Fate::Elsewhere), 15), Mark { through: 14, ..mark });
        for (from, first) in [(10, 15), (12, 15), (11, 11), (11, 3), (0, u64::MAX)] {
            let same = mark.without(absent(from, Fate::Missing), first);
            assert_eq!(same, mark, "{from} to {first}");
        }
    }
}
