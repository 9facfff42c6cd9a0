//! The servers that hold the shared counters: one, a master that sentinels know, or a cluster.
//!
//! Asks them, and says once what is wrong. A connection over which a server fails, hangs or is not the
//! master any more is made anew; that to a cluster is kept until a better one is there.

mod connection;
mod fitness;
mod way;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::RedisError;
use tokio::time::timeout;
use tollgate_config::RedisUrl;
use tollgate_config::settings::CountersSettings;

use self::connection::Connection;
use self::way::{Line, Way};
use crate::counters::lease::exchange::Senseless;

#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    TooSlow,
    #[error(transparent)]
    Senseless(#[from] Senseless),
    #[error("maxmemory-policy is {0}: counters would be evicted; set it to noeviction")]
    Evicts(String),
    #[error("they could not be reached just now: {0}")]
    Away(String),
    #[error("{path}: {source}")]
    Certificates { path: String, source: io::Error },
}

#[derive(Clone, Copy, Debug)]
pub enum Script {
    Draw,
    Beat,
}

pub struct Servers {
    connection: Arc<Connection>,
    answer_max: Duration,
    draw: redis::Script,
    beat: redis::Script,
    complaints: Arc<Complaints>,
}

/// What was complained of since the servers were well, so that it is said once: by its code, which are
/// few, since the texts of an error differ by what was asked.
#[derive(Default)]
struct Complaints(Mutex<Vec<String>>);

impl Servers {
    pub fn new(url: &RedisUrl, settings: &CountersSettings) -> Result<Self, ServersError> {
        let complaints = Arc::<Complaints>::default();
        let way = Way::new(url, settings)?;
        Ok(Self {
            connection: Arc::new(Connection::new(way, settings.answer_max, complaints.clone())),
            answer_max: settings.answer_max,
            draw: redis::Script::new(include_str!("draw.lua")),
            beat: redis::Script::new(include_str!("beat.lua")),
            complaints,
        })
    }

    /// Runs a script and waits for its numbers, no longer than an answer may take. The first key is a roll.
    pub async fn run(
        &self,
        script: Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<i64>, ServersError> {
        let script = match script {
            Script::Draw => &self.draw,
            Script::Beat => &self.beat,
        };
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(argument);
        }
        let mut number = 0;
        let asked = async {
            let (line, at) = self.connection.line().await?;
            number = at;
            let numbers = match line {
                Line::Direct(mut line, _) => invocation.invoke_async(&mut line).await,
                Line::Cluster(mut line) => invocation.invoke_async(&mut line).await,
            };
            numbers.map_err(ServersError::from)
        };
        let answer = timeout(self.answer_max, asked).await.unwrap_or(Err(ServersError::TooSlow));
        if let Err(error) = &answer {
            self.connection.failed(number, &keys[0], error);
        }
        answer
    }

    /// Says once what is wrong.
    pub fn complain(&self, error: &ServersError) {
        self.complaints.complain(error);
    }

    pub fn is_well(&self) {
        self.complaints.0.lock().clear();
    }
}

impl Complaints {
    fn complain(&self, error: &ServersError) {
        if self.is_new(error) {
            tracing::warn!(%error, "the shared counters do not answer");
        }
    }

    fn is_new(&self, error: &ServersError) -> bool {
        let Some(code) = code(error) else { return false };
        let mut complaints = self.0.lock();
        let is_new = !complaints.contains(&code);
        if is_new {
            complaints.push(code);
        }
        is_new
    }
}

/// What tells an error from others; None: it says what was complained of already.
fn code(error: &ServersError) -> Option<String> {
    match error {
        ServersError::Redis(error) if !error.is_timeout() => {
            Some(error.code().map_or_else(|| format!("{:?}", error.kind()), str::to_owned))
        }
        ServersError::Redis(_) | ServersError::TooSlow => Some("slow".to_owned()),
        ServersError::Senseless(_) => Some("senseless".to_owned()),
        ServersError::Evicts(_) => Some("evicts".to_owned()),
        ServersError::Certificates { .. } => Some("certificates".to_owned()),
        ServersError::Away(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> ServersError {
        let reply = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err().into()
    }

    #[test]
    fn what_is_wrong_is_said_once_until_the_servers_are_well() {
        let complaints = Complaints::default();
        let slow = || ServersError::Redis(io::Error::from(io::ErrorKind::TimedOut).into());
        let new = |error: ServersError| complaints.is_new(&error);

        assert!(new(said("NOREPLICAS Not enough good replicas to write. script: 1c")));
        assert!(!new(said("NOREPLICAS Not enough good replicas to write. script: f0")));
        assert!(new(ServersError::TooSlow));
        assert!(!new(slow()));
        assert!(!new(ServersError::Away("no answer in time".to_owned())));
        assert!(!new(said("NOREPLICAS")));
        assert!(new(said("LOADING Redis is loading the dataset in memory")));
    }
}
