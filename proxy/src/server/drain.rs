//! How a connection learns that the gateway is stopping.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// How long a connection that has nothing to answer stays open while the gateway stops: its client
/// may be sending just now, and would see its request break off. Far longer than a request is on
/// its way, so that whoever calls every other second or more often is told to go elsewhere by an
/// answer; far shorter than a drain may take.
pub const LINGER: Duration = Duration::from_secs(2);

/// A core's word that it stops. Asking costs one load; each core has its own, so that waiting
/// connections of different cores share no lock.
///
/// What a connection loop owes: it answers the request it has, and at least one if it has just been
/// accepted, the last answer with `Connection: close` (HTTP/2: GOAWAY). A kept-alive connection that
/// is idle is closed after [`LINGER`] only.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    draining: AtomicBool,
    wake: Arc<Notify>,
}

impl Drain {
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Ready once draining has started. Pin it once per connection: polling it again is cheaper than
    /// making a new one for each request.
    pub fn started(&self) -> impl Future<Output = ()> + Send + use<> {
        // Made before the flag is read: a start in between is not missed.
        let notified = self.0.wake.clone().notified_owned();
        let signal = self.0.clone();
        async move {
            if !signal.draining.load(Ordering::Acquire) {
                notified.await;
            }
        }
    }

    /// Ready once whoever was sending when draining started, or when this was asked, must have been
    /// heard.
    pub async fn lingered(&self) {
        self.started().await;
        sleep(LINGER).await;
    }

    pub(super) fn start(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.wake.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_hears_of_the_start_and_whoever_comes_late_too() {
        let drain = Drain::default();
        let early = drain.started();
        assert!(!drain.is_draining());

        drain.start();

        early.await;
        drain.started().await;
        assert!(drain.is_draining());
    }
}
