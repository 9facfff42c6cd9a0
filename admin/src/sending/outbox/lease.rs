//! Which of the control planes sends.

use tollgate_common::time::Timestamp;

use crate::sending::capability::CLOCK_SKEW_MS_MAX;
use crate::store::query::{query, query_as};
use crate::store::{Database, Part, StoreError, Transaction};

/// How long a sender that has died holds up the others. Clocks may differ by the allowed skew; the
/// fence keeps order also where they differ by more.
pub const LEASE_MS: i64 = 30_000;

/// Proof of a turn at sending; a later turn has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// Takes the lease when it is free, or keeps it; None when somebody else has it.
pub async fn hold(
    database: &Database,
    holder: &[u8],
    now: Timestamp,
) -> Result<Option<Fence>, StoreError> {
    let mut db = database.write(Part::Sending).await?;
    let (before, fence, expires_at): (Vec<u8>, i64, i64) =
        query_as("SELECT holder, fence, expires_at FROM sending_lease").fetch_one(&mut db).await?;
    let is_mine = before == holder;
    // An expiry that no holder can have set comes from a clock that was put back since.
    let is_free = expires_at <= now.0 || expires_at > now.0 + LEASE_MS + 2 * CLOCK_SKEW_MS_MAX;
    if !is_mine && !is_free {
        return Ok(None);
    }
    let fence = if is_mine { fence } else { fence + 1 };
    query("UPDATE sending_lease SET holder = $1, fence = $2, expires_at = $3")
        .bind(holder)
        .bind(fence)
        .bind(now.0 + LEASE_MS)
        .execute(&mut db)
        .await?;
    db.commit().await?;
    Ok(Some(Fence(fence)))
}

/// Lets go of it, so that another control plane need not wait.
pub async fn release(database: &Database, fence: Fence) -> Result<(), StoreError> {
    let mut db = database.write(Part::Sending).await?;
    query("UPDATE sending_lease SET expires_at = 0 WHERE fence = $1")
        .bind(fence.0)
        .execute(&mut db)
        .await?;
    db.commit().await
}

pub(super) async fn is_held(db: &mut Transaction, fence: Fence) -> Result<bool, sqlx::Error> {
    let (current,): (i64,) = query_as("SELECT fence FROM sending_lease").fetch_one(db).await?;
    Ok(current == fence.0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::sending::outbox::{OutboxError, write};
    use crate::store::tests::on_a_server;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[derive(Clone, Copy)]
    enum Kind {
        Sqlite,
        Postgres,
    }

    async fn open(kind: Kind, directory: &tempfile::TempDir) -> Database {
        match kind {
            Kind::Sqlite => {
                Database::open_file(&directory.path().join("tollgate.db")).await.unwrap()
            }
            Kind::Postgres => on_a_server().await,
        }
    }

    #[rstest]
    #[tokio::test]
    async fn one_sends_and_whoever_was_relieved_writes_nothing(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = open(kind, &directory).await;
        let first = hold(&database, &[1], NOW).await.unwrap().unwrap();

        let early = hold(&database, &[2], NOW.plus_ms(LEASE_MS - 1)).await.unwrap();
        let kept = hold(&database, &[1], NOW.plus_ms(LEASE_MS - 1)).await.unwrap();
        let second = hold(&database, &[2], NOW.plus_ms(2 * LEASE_MS)).await.unwrap().unwrap();

        assert_eq!((early, kept), (None, Some(first)));
        assert!(second > first);
        let relieved = write(&database, first).await;
        assert!(matches!(relieved, Err(OutboxError::Relieved)), "{relieved:?}");
        write(&database, second).await.unwrap();
    }

    #[rstest]
    #[tokio::test]
    async fn who_stops_or_had_a_clock_ahead_holds_nobody_up(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = open(kind, &directory).await;
        let first = hold(&database, &[1], NOW).await.unwrap().unwrap();

        release(&database, first).await.unwrap();
        let second = hold(&database, &[2], NOW).await.unwrap();
        let year_ago = NOW.plus_ms(-365 * 24 * 3_600_000);
        let third = hold(&database, &[3], year_ago).await.unwrap();

        assert!(second.is_some_and(|second| second > first));
        assert!(third > second);
    }
}
