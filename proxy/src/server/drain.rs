//! How a connection learns that the gateway is stopping.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A core's word that it stops. Asking costs one load; each core has its own, so that waiting
/// connections of different cores share no lock.
///
/// What a connection loop owes: it answers the request it has, and at least one if it has just been
/// accepted, the last answer with `Connection: close` (HTTP/2: GOAWAY). A kept-alive connection that
/// is idle should get a moment before it is closed, because its client may be sending just now.
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
