//! Whose turn it is to have the provider asked.
//!
//! Whoever brings made-up codes asks no more of the provider than this, and waits behind their own: each
//! address has a line, and the lines take turns. It must not know what the provider is asked.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Head, Semaphore, SemaphorePermit};
use tollgate_common::connections::network;

use super::SignInError;

/// People about whom it is asked at once.
const TURNS: usize = 8;

/// People of one address, which may be that of a proxy, who have a turn or wait for one: whoever is last
/// has it within the time of a request where the provider takes three seconds for each.
const LINE_MAX: usize = 64;

pub struct Turns {
    all: Semaphore,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    attempts: HashSet<String>,
    lines: HashMap<IpAddr, Line>,
}

#[derive(Default)]
struct Line {
    length: usize,
    /// Who is the first of the line, and so waits among the first of the others.
    head: Arc<Head<()>>,
}

/// Somebody's turn; ends when it is dropped.
pub struct Turn<'a> {
    _turn: SemaphorePermit<'a>,
    _place: Place<'a>,
}

struct Place<'a> {
    turns: &'a Turns,
    address: IpAddr,
    attempt: String,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Semaphore::new(TURNS), standing: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn. An attempt has one at a time.
    ///
    /// # Errors
    ///
    /// At once, when the attempt has a turn or waits for one, or too many wait at the address.
    pub async fn take(&self, address: IpAddr, attempt: String) -> Result<Turn<'_>, SignInError> {
        let (place, head) = self.stand_in_line(network(address), attempt)?;
        let is_first = head.lock().await;
        let turn = self.all.acquire().await.expect("turns never end");
        drop(is_first);
        Ok(Turn { _turn: turn, _place: place })
    }

    fn stand_in_line(
        &self,
        address: IpAddr,
        attempt: String,
    ) -> Result<(Place<'_>, Arc<Head<()>>), SignInError> {
        let mut standing = self.standing.lock();
        let length = standing.lines.get(&address).map_or(0, |line| line.length);
        if length >= LINE_MAX {
            return Err(SignInError::Crowd);
        }
        if !standing.attempts.insert(attempt.clone()) {
            return Err(SignInError::Repeated);
        }
        let line = standing.lines.entry(address).or_default();
        line.length += 1;
        let head = Arc::clone(&line.head);
        Ok((Place { turns: self, address, attempt }, head))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut standing = self.turns.standing.lock();
        standing.attempts.remove(&self.attempt);
        if let Some(line) = standing.lines.get_mut(&self.address) {
            line.length -= 1;
            if line.length == 0 {
                standing.lines.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn an_attempt_waits_once() {
        let turns = Turns::default();
        let take = || turns.take(HERE, "a".to_owned()).now_or_never().unwrap();

        let first = take().unwrap();

        assert_eq!(take().err(), Some(SignInError::Repeated));
        drop(first);
        assert!(take().is_ok());
        assert!(turns.standing.lock().lines.is_empty());
    }

    #[test]
    fn a_crowd_at_one_address_waits_behind_itself_and_has_an_end() {
        let turns = Turns::default();
        let take = |address, n: usize| Box::pin(turns.take(address, n.to_string()));
        let mut running: Vec<_> =
            (0..TURNS).map(|n| take(HERE, n).now_or_never().unwrap().unwrap()).collect();
        let mut crowd: Vec<_> = (TURNS..LINE_MAX).map(|n| take(HERE, n)).collect();
        assert!(crowd.iter_mut().all(|waiting| waiting.now_or_never().is_none()));

        let one_more = take(HERE, LINE_MAX).now_or_never().unwrap();
        let mut elsewhere = take(THERE, LINE_MAX + 1);
        assert!((&mut elsewhere).now_or_never().is_none());
        running.truncate(TURNS - 2);

        assert_eq!(one_more.err(), Some(SignInError::Crowd));
        let elsewhere = elsewhere.now_or_never();
        let served: Vec<_> =
            crowd.iter_mut().filter_map(|waiting| waiting.now_or_never()).collect();
        assert!(elsewhere.is_some(), "the second turn is not for the same line");
        assert_eq!(served.len(), 1);
    }
}
