//! Callers that keep their connections and call again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tollgate_test_support::owner::Offer;
use tollgate_test_support::raw_http1::{Answer, RawHttp1};

/// Between two calls of one caller: six of them make some 1000 calls a second.
pub const PACE: Duration = Duration::from_millis(5);

/// An answer with its length, and one in chunks.
pub const QUICK: [&str; 2] = ["bytes/100", "chunked/2500"];

/// Long enough to be in flight when something happens.
pub const SLOW: [&str; 2] = ["slow/400", "slow/900"];

/// Calls that had an answer, by subscription.
pub type Calls = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
pub struct Callers {
    is_over: Arc<AtomicBool>,
    calling: JoinSet<Heard>,
}

/// What callers were answered.
#[derive(Debug, Default)]
pub struct Heard {
    /// 200, whole.
    pub whole: Calls,
    /// 503, since nothing could be metered.
    pub refused: usize,
    /// Whatever happens only where a gateway is killed.
    pub broken: Vec<String>,
}

struct Caller {
    gateway: SocketAddr,
    offer: Offer,
    path: String,
    pace: Duration,
    is_over: Arc<AtomicBool>,
}

impl Callers {
    /// One for each key and each of the paths.
    pub fn start(gateway: SocketAddr, offers: &[Offer], paths: &[&str]) -> Self {
        let mut callers = Self::default();
        callers.join(gateway, offers, paths, PACE);
        callers
    }

    /// More of them.
    pub fn join(&mut self, gateway: SocketAddr, offers: &[Offer], paths: &[&str], pace: Duration) {
        for offer in offers {
            for path in paths {
                let path = format!("/{}/{path}", offer.product);
                let (offer, is_over) = (offer.clone(), self.is_over.clone());
                let caller = Caller { gateway, offer, path, pace, is_over };
                self.calling.spawn(caller.call());
            }
        }
    }

    /// Lets each end the call that it is in.
    pub async fn stop(self) -> Heard {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Heard::default();
        for heard in self.calling.join_all().await {
            all.add(heard);
        }
        all
    }
}

impl Heard {
    pub fn add(&mut self, other: Self) {
        for (subscription, calls) in other.whole {
            self.whole.entry(subscription).or_default().extend(calls);
        }
        self.refused += other.refused;
        self.broken.extend(other.broken);
    }

    pub fn answered(&self) -> usize {
        self.whole.values().map(BTreeSet::len).sum()
    }

    #[track_caller]
    pub fn is_unbroken(&self) {
        assert!(self.broken.is_empty(), "{} failed: {:?}", self.broken.len(), self.broken.first());
    }

    fn take(&mut self, offer: &Offer, answer: &Answer) {
        let request = answer.header("x-request-id").unwrap_or_default().to_owned();
        match answer.status {
            200 => {
                let calls = self.whole.entry(offer.subscription.clone()).or_default();
                if request.is_empty() || !calls.insert(request) {
                    self.broken.push(format!("without a name of its own: {answer:?}"));
                }
            }
            503 if answer.text().contains(r#""metering-unavailable""#) => self.refused += 1,
            _ => self.broken.push(format!("{answer:?}")),
        }
    }
}

impl Caller {
    /// Calls until it is over, or nobody listens any more.
    async fn call(self) -> Heard {
        let mut heard = Heard::default();
        while !self.is_over.load(Ordering::Relaxed) {
            match RawHttp1::connect(self.gateway).await {
                Ok(connection) => self.call_over(connection, &mut heard).await,
                Err(error) => {
                    heard.broken.push(format!("no connection: {error}"));
                    break;
                }
            }
        }
        heard
    }

    /// Calls until it is over, or the connection is.
    async fn call_over(&self, mut connection: RawHttp1, heard: &mut Heard) {
        while !self.is_over.load(Ordering::Relaxed) {
            match connection.get(&self.path, &self.offer.key).await {
                Ok(answer) => {
                    heard.take(&self.offer, &answer);
                    if answer.header("connection") == Some("close") {
                        return;
                    }
                }
                Err(broken) => {
                    heard.broken.push(format!("{}: {broken:?}", self.path));
                    return;
                }
            }
            sleep(self.pace).await;
        }
    }
}
