//! Who is signed in at the console. Sessions are no part of the catalog: they come and go without a
//! revision, and gateways never hear of them.

use tollgate_common::catalog::KeyDigest;
use tollgate_common::time::Timestamp;

use super::column::{Columns, word};
use super::query::{Row, query};
use super::{Database, Part, StoreError};
use crate::access::session::{Session, Standing, Voucher};

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
    let (token_digest, provided) = match &session.standing {
        Standing::Token(digest) => (Some(digest.0.to_vec()), None),
        Standing::Provider { voucher, subject, role } => (None, Some((voucher, subject, role))),
    };
    let (voucher, role) = (provided.map(|(voucher, ..)| voucher), provided.map(|(.., role)| role));
    let mut db = database.write(Part::Catalog).await?;
    query("DELETE FROM sessions WHERE expires_at <= $1")
        .bind(session.created_at.0)
        .execute(&mut db)
        .await?;
    query(
        "INSERT INTO sessions (digest, token_digest, subject, name, role, created_at, expires_at,
             issuer, client_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&session.digest.0[..])
    .bind(token_digest)
    .bind(provided.map(|(_, subject, _)| subject.clone()))
    .bind(&session.name)
    .bind(role.map(|role| word(*role)))
    .bind(session.created_at.0)
    .bind(session.expires_at.0)
    .bind(voucher.map(|voucher| voucher.issuer.clone()))
    .bind(voucher.map(|voucher| voucher.client_id.clone()))
    .execute(&mut db)
    .await?;
    db.commit().await
}

pub async fn delete(database: &Database, digest: KeyDigest) -> Result<(), StoreError> {
    let mut db = database.write(Part::Catalog).await?;
    query("DELETE FROM sessions WHERE digest = $1").bind(&digest.0[..]).execute(&mut db).await?;
    db.commit().await
}

/// Ends the sessions that stand on what anybody but `voucher` said; None ends all that a provider
/// vouched for.
pub async fn end_of_others(
    database: &Database,
    voucher: Option<&Voucher>,
) -> Result<(), StoreError> {
    let Voucher { issuer, client_id } = voucher.cloned().unwrap_or_default();
    let mut db = database.write(Part::Catalog).await?;
    query(
        "DELETE FROM sessions WHERE subject IS NOT NULL
             AND (issuer IS NULL OR issuer <> $1 OR client_id <> $2)",
    )
    .bind(issuer)
    .bind(client_id)
    .execute(&mut db)
    .await?;
    db.commit().await
}

fn session(row: &Row) -> Result<Session, StoreError> {
    let columns = Columns { table: TABLE, row };
    let standing = match columns.text_option("subject")? {
        Some(subject) => {
            let issuer = columns.text_option("issuer")?.unwrap_or_default();
            let client_id = columns.text_option("client_id")?.unwrap_or_default();
            let voucher = Voucher { issuer, client_id };
            Standing::Provider { voucher, subject, role: columns.word("role")? }
        }
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

    fn voucher(issuer: &str, client_id: &str) -> Voucher {
        Voucher { issuer: issuer.into(), client_id: client_id.into() }
    }

    fn provided(voucher: Voucher) -> Standing {
        Standing::Provider { voucher, subject: "ada".into(), role: Role::PlatformOwner }
    }

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
        let by_provider = session("b", provided(voucher("https://id.example", "tollgate")));
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

    #[rstest]
    #[tokio::test]
    async fn a_session_ends_when_another_provider_or_none_is_asked(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let ours = voucher("https://id.example", "tollgate");
        let sessions = [
            session("token", Standing::Token(KeyDigest::of(b"token"))),
            session("ours", provided(ours.clone())),
            session("client", provided(voucher("https://id.example", "other"))),
            session("issuer", provided(voucher("https://other.example", "tollgate"))),
        ];
        for session in &sessions {
            save(&database, session).await.unwrap();
        }
        let left = async || {
            let mut left = Vec::new();
            for session in &sessions {
                left.push(find(&database, session.digest, Timestamp(19)).await.unwrap().is_some());
            }
            left
        };

        end_of_others(&database, Some(&ours)).await.unwrap();
        assert_eq!(left().await, [true, true, false, false]);
        end_of_others(&database, None).await.unwrap();
        assert_eq!(left().await, [true, false, false, false]);
    }
}
