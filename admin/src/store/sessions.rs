//! Who is signed in at the console. Sessions are no part of the catalog: they come and go without a
//! revision, and gateways never hear of them.

use tollgate_common::catalog::KeyDigest;
use tollgate_common::time::Timestamp;

use super::column::{Columns, word};
use super::query::{Row, query};
use super::{Database, Part, StoreError};
use crate::access::session::{Session, Standing};

const TABLE: &str = "sessions";

/// A session that has not expired.
pub async fn find(
    database: &Database,
    digest: KeyDigest,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let mut db = database.read().await?;
    let row = query("SELECT * FROM sessions WHERE digest = $1 AND expires_at > $2")
        .bind(&digest.0[..])
        .bind(now.0)
        .fetch_optional(&mut db)
        .await?;
    row.as_ref().map(session).transpose()
}

/// Keeps a new session, and drops those that have expired.
pub async fn save(database: &Database, session: &Session) -> Result<(), StoreError> {
    let (token_digest, subject, role) = match &session.standing {
        Standing::Token(digest) => (Some(digest.0.to_vec()), None, None),
        Standing::Provider { subject, role } => (None, Some(subject.clone()), Some(word(*role))),
    };
    let mut db = database.write(Part::Catalog).await?;
    query("DELETE FROM sessions WHERE expires_at <= $1")
        .bind(session.created_at.0)
        .execute(&mut db)
        .await?;
    query(
        "INSERT INTO sessions (digest, token_digest, subject, name, role, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&session.digest.0[..])
    .bind(token_digest)
    .bind(subject)
    .bind(&session.name)
    .bind(role)
    .bind(session.created_at.0)
    .bind(session.expires_at.0)
    .execute(&mut db)
    .await?;
    db.commit().await
}

pub async fn delete(database: &Database, digest: KeyDigest) -> Result<(), StoreError> {
    let mut db = database.write(Part::Catalog).await?;
    query("DELETE FROM sessions WHERE digest = $1").bind(&digest.0[..]).execute(&mut db).await?;
    db.commit().await
}

fn session(row: &Row) -> Result<Session, StoreError> {
    let columns = Columns { table: TABLE, row };
    let standing = match columns.text_option("subject")? {
        Some(subject) => Standing::Provider { subject, role: columns.word("role")? },
        None => Standing::Token(columns.digest("token_digest")?),
    };
    Ok(Session {
        digest: columns.digest("digest")?,
        standing,
        name: columns.text("name")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time("expires_at")?,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::access::Role;
    use crate::ledger::tests::Kind;

    fn session(text: &str, standing: Standing) -> Session {
        Session {
            digest: KeyDigest::of(text.as_bytes()),
            standing,
            name: "Ada".into(),
            created_at: Timestamp(10),
            expires_at: Timestamp(20),
        }
    }

    #[rstest]
    #[tokio::test]
    async fn a_session_is_there_until_it_expires_or_ends(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let by_token = session("a", Standing::Token(KeyDigest::of(b"token")));
        let provided = Standing::Provider { subject: "ada".into(), role: Role::PlatformOwner };
        let by_provider = session("b", provided);
        let found = async |session: &Session, now| {
            find(&database, session.digest, Timestamp(now)).await.unwrap()
        };

        save(&database, &by_token).await.unwrap();
        save(&database, &by_provider).await.unwrap();

        assert_eq!(found(&by_token, 19).await, Some(by_token.clone()));
        assert_eq!(found(&by_provider, 19).await, Some(by_provider.clone()));
        assert_eq!(found(&by_token, 20).await, None);
        delete(&database, by_token.digest).await.unwrap();
        assert_eq!(found(&by_token, 19).await, None);
        let late = Session {
            created_at: Timestamp(20),
            expires_at: Timestamp(30),
            ..session("c", Standing::Token(KeyDigest::of(b"token")))
        };
        save(&database, &late).await.unwrap();
        assert_eq!(found(&by_provider, 19).await, None);
        assert_eq!(found(&late, 29).await, Some(late.clone()));
    }
}
