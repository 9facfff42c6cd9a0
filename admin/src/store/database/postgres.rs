//! A PostgreSQL server that control planes share.
//!
//! Writers take turns by an advisory lock that ends with their transaction, so that there is one at
//! a time over all control planes, as in a SQLite file. A reader sees one state (`REPEATABLE READ`).
//! The server ends whatever holds a turn and does nothing, so that a control plane that hangs stops
//! nobody for long.

mod listen;

use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::time::timeout;
use tollgate_config::PostgresUrl;

use super::{Part, Transaction, migration_failed, migrations};
use crate::store::StoreError;
use crate::store::query::Dialect;

/// Enough for a page of the console, a few reports and two gateways that read everything at once.
const READERS_MAX: u32 = 6;

/// Whoever waits for a turn inside this process waits for the one connection of its part.
const WRITERS_MAX: u32 = 1;

/// One that listens, and one that says something.
const SIDE_MAX: u32 = 2;

/// How long the server may take to answer whoever comes first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for a free connection, or for a server that is gone, before it is an
/// error. Gateways come again; people wait no longer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a turn is waited for. A group of batches takes some 10 ms, and control planes are few.
const TURN_WAIT_MAX: &str = "10s";

/// The longest statement: a page of usage over three years takes some 100 ms.
const STATEMENT_MAX: &str = "30s";

/// How long a statement may be without an answer: longer than the server lets one run, so that this
/// ends only what waits for a server that is gone.
const ANSWER_MAX: Duration = Duration::from_secs(45);

/// How long a writer may think between two statements. It thinks for milliseconds, and of
/// a very large change for seconds.
const WRITER_IDLE_MAX: &str = "10s";

/// How long a reader may think: as long as the slowest gateway takes a piece of the feed, and some.
const READER_IDLE_MAX: &str = "60s";

/// Steps of the schema take what they need; another control plane may be at them already.
const MIGRATION_WAIT_MAX: &str = "5min";

#[derive(Clone, Debug)]
pub struct Server {
    catalog: PgPool,
    ledger: PgPool,
    sending: PgPool,
    readers: PgPool,
    side: PgPool,
}

/// What a transaction of a part locks until it ends. The numbers are arbitrary, and the same in
/// every version of the program.
const fn turn(part: Part) -> i64 {
    match part {
        Part::Catalog => 0x746f_6c6c_6761_0001,
        Part::Ledger => 0x746f_6c6c_6761_0002,
        Part::Sending => 0x746f_6c6c_6761_0003,
    }
}

impl Server {
    pub async fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        let options = options(url)?;
        migrate(&options, url).await?;
        let idle = |max: &'static str| {
            let limits = [
                ("lock_timeout", TURN_WAIT_MAX),
                ("statement_timeout", STATEMENT_MAX),
                ("idle_in_transaction_session_timeout", max),
            ];
            options.clone().options(limits)
        };
        Ok(Self {
            catalog: pool(WRITERS_MAX).connect_lazy_with(idle(WRITER_IDLE_MAX)),
            ledger: pool(WRITERS_MAX).connect_lazy_with(idle(WRITER_IDLE_MAX)),
            sending: pool(WRITERS_MAX).connect_lazy_with(idle(WRITER_IDLE_MAX)),
            readers: pool(READERS_MAX).connect_lazy_with(idle(READER_IDLE_MAX)),
            side: pool(SIDE_MAX).connect_lazy_with(idle(WRITER_IDLE_MAX)),
        })
    }

    /// What is read after the turn has come is what the writer before has left: each statement of
    /// `READ COMMITTED` sees all that is committed, and nobody else writes to the part.
    pub async fn write(&self, part: Part) -> Result<Transaction, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
        let writer = match part {
            Part::Catalog => &self.catalog,
            Part::Ledger => &self.ledger,
            Part::Sending => &self.sending,
        };
        let mut transaction = answered(writer.begin_with(begin)).await?;
        let take_turn = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(turn(part));
        answered(take_turn.execute(&mut *transaction)).await?;
        Ok(Transaction::Postgres(transaction))
    }

    pub async fn read(&self) -> Result<Transaction, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(Transaction::Postgres(answered(self.readers.begin_with(begin)).await?))
    }

    pub async fn close(&self) {
        self.side.close().await;
        self.readers.close().await;
        self.sending.close().await;
        self.ledger.close().await;
        self.catalog.close().await;
    }
}

/// Waits for the server, but not for ever.
pub async fn answered<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(io::ErrorKind::TimedOut.into());
    timeout(ANSWER_MAX, answer).await.map_err(late)?
}

fn options(url: &PostgresUrl) -> Result<PgConnectOptions, StoreError> {
    let mut options = PgConnectOptions::from_str(url.expose())
        .map_err(|source| StoreError::Connect { url: url.to_string(), source: source.into() })?;
    // A URL has an IPv6 address in brackets. They are no part of it, and no name either.
    let address = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = address.map(str::to_owned) {
        options = options.host(&address);
    }
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("tollgate admin"),
    })
}

fn pool(connections_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Looks at the server for the first time, so that what is wrong with the URL is said at the start.
async fn connect(
    options: &PgConnectOptions,
    url: &PostgresUrl,
) -> Result<PgConnection, StoreError> {
    let limits = [("lock_timeout", MIGRATION_WAIT_MAX)];
    let options = options.clone().options(limits);
    let connected = timeout(CONNECT_TIMEOUT, options.connect()).await;
    let late = |_| sqlx::Error::Io(io::ErrorKind::TimedOut.into());
    let failed = |source| StoreError::Connect { url: url.to_string(), source: Box::new(source) };
    connected.map_err(late).and_then(|connected| connected).map_err(failed)
}

/// Control planes that start together take turns here, and all but the first find it done.
async fn migrate(options: &PgConnectOptions, url: &PostgresUrl) -> Result<(), StoreError> {
    let mut connection = connect(options, url).await?;
    let migrator = migrations::migrator(Dialect::Postgres);
    let migrated = migrator.run(&mut connection).await;
    migrated.map_err(|error| migration_failed(error, url.to_string()))?;
    // The server notices by itself when the goodbye is lost.
    let _ = connection.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_of_either_kind() {
        for (written, host) in [("db", "db"), ("10.0.0.1", "10.0.0.1"), ("[::1]", "::1")] {
            let url = PostgresUrl::parse(&format!("postgres://user@{written}:5433/db")).unwrap();

            let options = options(&url).unwrap();

            assert_eq!((options.get_host(), options.get_port()), (host, 5433));
        }
    }
}
