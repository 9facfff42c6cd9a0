//! The audit: appended to, never changed, as the database's triggers see to.

use crate::audit::AuditRecord;
use crate::audit::chain::ChainHash;
use crate::store::catalog::{AuditLink, AuditPlace, CommitRecord, Page, is_full};
use crate::store::column::{Columns, integer};
use crate::store::query::{Query, Row, for_all, query};
use crate::store::{StoreError, Transaction};

/// Records that are read at once: of a statement that is given up, a server sends the rest all the same.
const PORTION: u32 = 8;

/// Adds a commit's records to the end of the chain. Whoever commits to the catalog holds its one turn,
/// so nobody else can follow the same record.
pub async fn append(db: &mut Transaction, record: &CommitRecord) -> Result<(), StoreError> {
    if record.audit.is_empty() {
        return Ok(());
    }
    let mut hash = last_hash(db).await?.unwrap_or(ChainHash::START);
    let mut links = Vec::with_capacity(record.audit.len());
    for (position, audited) in (0..).zip(&record.audit) {
        let place = AuditPlace { revision: record.revision, position };
        hash = hash.next(place, audited);
        links.push((place, audited, hash));
    }
    insert(db, &links).await
}

async fn last_hash(db: &mut Transaction) -> Result<Option<ChainHash>, StoreError> {
    let row = query(
        "SELECT hash FROM audit WHERE hash IS NOT NULL
         ORDER BY revision DESC, position DESC LIMIT 1",
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| Columns { table: "audit", row: &row }.bytes("hash").map(ChainHash)).transpose()
}

async fn insert(
    db: &mut Transaction,
    links: &[(AuditPlace, &AuditRecord, ChainHash)],
) -> Result<(), StoreError> {
    let statement = |rows: &str| {
        format!(
            "INSERT INTO audit (revision, position, at, actor, actor_name, request_id, action,
                 resource, resource_id, state_before, state_after, hash)
             VALUES {rows}"
        )
    };
    for_all(db, links, 12, statement, |query, (place, record, hash)| {
        query
            .bind(integer(place.revision))
            .bind(integer(place.position))
            .bind(record.at.0)
            .bind(&record.actor)
            .bind(&record.actor_name)
            .bind(&record.request_id)
            .bind(&record.action)
            .bind(&record.resource)
            .bind(&record.resource_id)
            .bind(&record.before)
            .bind(&record.after)
            .bind(&hash.0[..])
    })
    .await?;
    Ok(())
}

/// Newest first.
pub async fn list(
    db: &mut Transaction,
    page: Page<AuditPlace>,
) -> Result<Vec<AuditLink>, StoreError> {
    until_full(db, page, (i64::MAX, i64::MAX), |(revision, position)| {
        query(
            "SELECT * FROM audit WHERE (revision, position) < ($1, $2)
             ORDER BY revision DESC, position DESC LIMIT $3",
        )
        .bind(revision)
        .bind(position)
    })
    .await
}

/// Oldest first.
pub async fn list_from_start(
    db: &mut Transaction,
    page: Page<AuditPlace>,
) -> Result<Vec<AuditLink>, StoreError> {
    until_full(db, page, (-1, -1), |(revision, position)| {
        query(
            "SELECT * FROM audit WHERE (revision, position) > ($1, $2)
             ORDER BY revision, position LIMIT $3",
        )
        .bind(revision)
        .bind(position)
    })
    .await
}

/// Reads portions up to the record that makes a page full. `from` says what follows a place, whose third
/// parameter is how many.
async fn until_full(
    db: &mut Transaction,
    page: Page<AuditPlace>,
    start: (i64, i64),
    from: impl Fn((i64, i64)) -> Query<'static>,
) -> Result<Vec<AuditLink>, StoreError> {
    let mut links: Vec<AuditLink> = Vec::new();
    loop {
        let limit = PORTION.min(page.limit - links.len() as u32);
        let after = links.last().map(|link| link.place).or(page.after);
        let place = after.map_or(start, |place| (integer(place.revision), integer(place.position)));
        let rows = from(place).bind(limit).fetch_all(db).await?;
        for row in &rows {
            links.push(link(row)?);
            if is_full(&links) {
                return Ok(links);
            }
        }
        if links.len() as u32 >= page.limit || (rows.len() as u32) < limit {
            return Ok(links);
        }
    }
}

fn link(row: &Row) -> Result<AuditLink, StoreError> {
    let columns = Columns { table: "audit", row };
    let place =
        AuditPlace { revision: columns.number("revision")?, position: columns.number("position")? };
    let record = AuditRecord {
        at: columns.time("at")?,
        actor: columns.text("actor")?,
        actor_name: columns.text("actor_name")?,
        request_id: columns.text("request_id")?,
        action: columns.text("action")?,
        resource: columns.text("resource")?,
        resource_id: columns.text("resource_id")?,
        before: columns.text_option("state_before")?,
        after: columns.text_option("state_after")?,
    };
    let hash = columns.bytes_option("hash")?.map(ChainHash);
    Ok(AuditLink { place, record, hash })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tollgate_common::time::Timestamp;

    use super::*;
    use crate::ledger::tests::Kind;
    use crate::store::{Part, SqlCatalog};

    fn record() -> AuditRecord {
        AuditRecord {
            at: Timestamp(9),
            actor: "bootstrap".into(),
            actor_name: "bootstrap".into(),
            request_id: "r".into(),
            action: "plan.create".into(),
            resource: "plan".into(),
            resource_id: "1".into(),
            before: None,
            after: Some("{}".into()),
        }
    }

    fn place(revision: u64) -> AuditPlace {
        AuditPlace { revision, position: 0 }
    }

    #[rstest]
    #[case("UPDATE audit SET actor = 'nobody'")]
    #[case("DELETE FROM audit WHERE revision = 1")]
    #[tokio::test]
    async fn the_database_lets_nobody_change_the_audit(
        #[case] statement: &'static str,
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let mut db = database.write(Part::Catalog).await.unwrap();
        insert(&mut db, &[(place(1), &record(), ChainHash::START)]).await.unwrap();

        let error = query(statement).execute(&mut db).await.unwrap_err();

        assert!(error.to_string().contains("the audit is append-only"), "{error}");
    }

    #[rstest]
    #[tokio::test]
    async fn the_chain_starts_behind_what_is_older_than_it(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        SqlCatalog::open(database.clone()).await.unwrap();
        let mut db = database.write(Part::Catalog).await.unwrap();
        query(
            "INSERT INTO audit (revision, position, at, actor, actor_name, request_id, action,
                 resource, resource_id, state_after)
             VALUES (1, 0, 9, 'bootstrap', 'bootstrap', 'r', 'plan.create', 'plan', '1', '{}')",
        )
        .execute(&mut db)
        .await
        .unwrap();
        let commit =
            CommitRecord { revision: 2, at: Timestamp(9), frames: vec![], audit: vec![record()] };

        append(&mut db, &commit).await.unwrap();

        let links = list_from_start(&mut db, Page { after: None, limit: 9 }).await.unwrap();
        let older = AuditLink { place: place(1), record: record(), hash: None };
        let hash = Some(ChainHash::START.next(place(2), &record()));
        assert_eq!(links, [older, AuditLink { place: place(2), record: record(), hash }]);
    }
}
