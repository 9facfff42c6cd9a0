//! When each key was last used, to the minute.
//!
//! Not money, so it may lag: it is gathered in memory and written now and then. What a crash takes
//! is the news of the last few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use sqlx::AssertSqlSafe;
use tollgate_common::ids::KeyId;

use super::window::Minute;
use crate::store::query::query;
use crate::store::{Database, Part, StoreError};

/// Keys that wait to be written: about 6 MB. More make it be written at once.
const PENDING_MAX: usize = 1 << 17;

/// Keys in one statement, and in one transaction, so that others get their turn.
const WRITTEN_AT_ONCE: usize = 256;

type Pending = HashMap<KeyId, Minute, RandomState>;

#[derive(Debug, Default)]
pub struct LastUsed {
    pending: Mutex<Pending>,
}

impl LastUsed {
    /// Takes note, and says whether it is time to write.
    pub fn note(&self, keys: impl Iterator<Item = (KeyId, Minute)>) -> bool {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, minute) in keys {
            let used = pending.entry(key).or_insert(minute);
            *used = minute.max(*used);
        }
        pending.len() >= PENDING_MAX
    }

    /// Writes what is newer than the store knows. What cannot be written is noted again.
    pub async fn flush(&self, database: &Database) -> Result<(), StoreError> {
        let pending = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *pending)
        };
        let mut pending: Vec<(KeyId, Minute)> = pending.into_iter().collect();
        pending.sort_unstable_by_key(|(key, _)| *key);
        for (written, some) in pending.chunks(WRITTEN_AT_ONCE).enumerate() {
            if let Err(error) = write(database, some).await {
                self.note(pending[written * WRITTEN_AT_ONCE..].iter().copied());
                return Err(error);
            }
        }
        Ok(())
    }
}

async fn write(database: &Database, keys: &[(KeyId, Minute)]) -> Result<(), StoreError> {
    let mut transaction = database.write(Part::Ledger).await?;
    let rows = transaction.dialect().rows(keys.len(), 2);
    let sql = format!(
        "UPDATE api_keys SET last_used_at = used.column2
         FROM (VALUES {rows}) AS used
         WHERE api_keys.id = used.column1 AND COALESCE(api_keys.last_used_at, 0) < used.column2"
    );
    let mut query = query(AssertSqlSafe(sql)).persistent(false);
    for (key, minute) in keys {
        query = query.bind(key.as_bytes().to_vec()).bind(minute.start().0);
    }
    query.execute(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}
