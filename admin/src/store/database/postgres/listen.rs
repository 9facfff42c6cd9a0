//! What control planes on one database say to each other.
//!
//! PostgreSQL passes a word on to all that listen, once the transaction that said it is committed.
//! A word can be lost with a connection, so none may be the only way to learn something.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::timeout;

use super::Server;
use crate::store::StoreError;

/// How long the server may take to show that it is there.
const PULSE_MAX: Duration = Duration::from_secs(3);

/// Hears what is said on some channels, from now on.
pub struct Listener(PgListener);

/// A channel and what was said on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub channel: String,
    pub text: String,
}

impl Listener {
    /// The next word. After an error the listener is of no use any more.
    pub async fn next(&mut self) -> Result<Word, StoreError> {
        // None is a connection that was lost, and with it perhaps a word.
        let lost = || sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into());
        let word = self.0.try_recv().await?.ok_or_else(lost)?;
        Ok(Word { channel: word.channel().to_owned(), text: word.payload().to_owned() })
    }
}

impl Server {
    pub async fn listen(&self, channels: &[&str]) -> Result<Listener, StoreError> {
        let mut listener = PgListener::connect_with(&self.side).await?;
        listener.eager_reconnect(false);
        listener.listen_all(channels.iter().copied()).await?;
        Ok(Listener(listener))
    }

    /// Says something to all that listen, the speaker among them.
    pub async fn say(&self, channel: &str, text: &str) -> Result<(), StoreError> {
        let say = sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(text);
        say.execute(&self.side).await?;
        Ok(())
    }

    /// Whether the server answers.
    pub async fn is_there(&self) -> bool {
        let pulse = sqlx::query("SELECT 1").execute(&self.side);
        matches!(timeout(PULSE_MAX, pulse).await, Ok(Ok(_)))
    }
}
