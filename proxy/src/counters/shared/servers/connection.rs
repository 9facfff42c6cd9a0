//! The connection to the servers, and how it is made anew.
//!
//! It is made in a task of its own: a question waits for it no longer than for an answer, and may give
//! up while a sentinel or a node of a cluster that hangs is still being waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::ConnectionAddr;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::fitness::{fitness, is_reached};
use super::way::{Line, Way};
use super::{Complaints, ServersError};

/// Between two tries to connect, whoever asks: thousands of leases may want to.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The same beside a connection that is in use: that to a cluster is one to each of its nodes.
const RENEW_PAUSE: Duration = Duration::from_secs(1);

/// So many answers are waited for at the most: of a sentinel, of the master that it knows and again of
/// that one, or twice of a node of a cluster that hangs.
const CONNECT_ANSWERS: u32 = 5;

pub struct Connection {
    way: Way,
    answer_max: Duration,
    /// And how many there were before it.
    current: Mutex<(Option<Line>, u64)>,
    /// One connects at a time.
    last: Arc<AsyncMutex<Option<Attempt>>>,
    complaints: Arc<Complaints>,
}

/// How it ended when it was tried last.
struct Attempt {
    at: Instant,
    failure: Option<String>,
}

/// What a new connection must have to take the place of one that is in use.
enum Instead {
    /// The server of this key answers.
    Reaches(String),
    /// It is to another server than this.
    OtherThan(ConnectionAddr),
}

impl Connection {
    pub fn new(way: Way, answer_max: Duration, complaints: Arc<Complaints>) -> Self {
        let (current, last) = (Mutex::new((None, 0)), Arc::default());
        Self { way, answer_max, current, last, complaints }
    }

    pub async fn line(self: &Arc<Self>) -> Result<(Line, u64), ServersError> {
        if let (Some(line), number) = &*self.current.lock() {
            return Ok((line.clone(), *number));
        }
        let last = self.last.clone().lock_owned().await;
        if let (Some(line), number) = &*self.current.lock() {
            return Ok((line.clone(), *number));
        }
        if let Some(Attempt { at, failure: Some(failure) }) = &*last
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(ServersError::Away(failure.clone()));
        }
        let connecting = tokio::spawn(self.clone().make(last, None));
        connecting.await.unwrap_or_else(|error| Err(ServersError::Away(error.to_string())))
    }

    /// A question about a key was not answered. The next one makes a new connection, unless another has made
    /// one meanwhile. What is still of use is kept until there is a better one: other nodes of a
    /// cluster may answer, and a master that is cut off says so until sentinels know another.
    pub fn failed(self: &Arc<Self>, number: u64, key: &str, error: &ServersError) {
        let (is_lost, is_cut_off) = match error {
            ServersError::TooSlow => (true, false),
            ServersError::Redis(error) => (is_lost(error), is_cut_off(error)),
            ServersError::Senseless(_)
            | ServersError::Evicts(_)
            | ServersError::Away(_)
            | ServersError::Certificates { .. } => (false, false),
        };
        let mut current = self.current.lock();
        if current.1 != number || !(is_lost || is_cut_off) {
            return;
        }
        match (&current.0, &self.way) {
            (Some(Line::Cluster(_)), _) => self.renew(Instead::Reaches(key.to_owned())),
            (Some(Line::Direct(..)), _) if is_lost => current.0 = None,
            (Some(Line::Direct(_, at)), Way::Sentinel(_)) => {
                self.renew(Instead::OtherThan(at.clone()));
            }
            (Some(Line::Direct(..)) | None, _) => {}
        }
    }

    /// Makes a connection beside the one in use, unless that is being done or was done just now.
    fn renew(self: &Arc<Self>, instead: Instead) {
        let Ok(last) = self.last.clone().try_lock_owned() else { return };
        if last.as_ref().is_none_or(|last| last.at.elapsed() >= RENEW_PAUSE) {
            drop(tokio::spawn(self.clone().make(last, Some(instead))));
        }
    }

    async fn make(
        self: Arc<Self>,
        mut last: OwnedMutexGuard<Option<Attempt>>,
        instead: Option<Instead>,
    ) -> Result<(Line, u64), ServersError> {
        let made = timeout(self.answer_max * CONNECT_ANSWERS, self.connect(instead)).await;
        let made = made.unwrap_or(Err(ServersError::TooSlow));
        if let Err(error) = &made {
            self.complaints.complain(error);
        }
        let failure = made.as_ref().err().map(ToString::to_string);
        *last = Some(Attempt { at: Instant::now(), failure });
        let line = made?;
        let mut current = self.current.lock();
        current.1 += 1;
        current.0 = Some(line.clone());
        Ok((line, current.1))
    }

    async fn connect(&self, instead: Option<Instead>) -> Result<Line, ServersError> {
        let but = match &instead {
            Some(Instead::OtherThan(address)) => Some(address),
            Some(Instead::Reaches(_)) | None => None,
        };
        let line = self.way.connect(self.answer_max, but).await?;
        fitness(&line).await?;
        if let Some(Instead::Reaches(key)) = &instead {
            is_reached(&line, key).await?;
        }
        Ok(line)
    }
}

/// Whether another connection may do better.
fn is_lost(error: &redis::RedisError) -> bool {
    error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || error.is_timeout()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"))
}

/// Whether another server may count in the place of this one.
fn is_cut_off(error: &redis::RedisError) -> bool {
    matches!(error.code(), Some("NOREPLICAS" | "CLUSTERDOWN"))
}
