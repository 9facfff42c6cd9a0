//! How the process does, for Prometheus and for health checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tollgate_proxy::snapshot::feed::FeedState;

#[derive(Default)]
pub struct Status {
    registries: RwLock<Vec<Arc<Registry>>>,
    /// Set once everything is up. None inside: there is no gateway in this process.
    started: OnceLock<Option<watch::Receiver<FeedState>>>,
    draining: AtomicBool,
}

/// Why the process should get no traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    Starting,
    NoSnapshot,
    Draining,
}

impl NotReady {
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::NoSnapshot => "the gateway has no catalog yet",
            Self::Draining => "draining",
        }
    }
}

impl Status {
    /// Adds metrics of one part.
    pub fn tell(&self, registry: Registry) {
        let mut registries = self.registries.write().expect("no holder panics");
        registries.push(Arc::new(registry));
    }

    /// Everything is up; a gateway also needs its first snapshot.
    pub fn started(&self, feed: Option<watch::Receiver<FeedState>>) {
        let _ = self.started.set(feed);
    }

    pub fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn not_ready(&self) -> Option<NotReady> {
        if self.draining.load(Ordering::Relaxed) {
            return Some(NotReady::Draining);
        }
        match self.started.get() {
            None => Some(NotReady::Starting),
            Some(Some(feed)) if feed.borrow().revision.is_none() => Some(NotReady::NoSnapshot),
            Some(_) => None,
        }
    }

    /// All metrics as OpenMetrics text.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let registries = self.registries.read().expect("no holder panics").clone();
        let mut text = String::new();
        for registry in registries {
            encode_registry(&mut text, &registry)?;
        }
        encode_eof(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_between_its_first_snapshot_and_its_end() {
        let status = Status::default();
        let (feed, receiver) = watch::channel(FeedState::default());

        assert_eq!(status.not_ready(), Some(NotReady::Starting));
        status.started(Some(receiver));
        assert_eq!(status.not_ready(), Some(NotReady::NoSnapshot));
        feed.send_modify(|state| state.revision = Some(7));
        assert_eq!(status.not_ready(), None);
        status.draining();
        assert_eq!(status.not_ready(), Some(NotReady::Draining));
    }

    #[test]
    fn a_process_without_a_gateway_is_ready_when_it_has_started() {
        let status = Status::default();

        status.started(None);

        assert_eq!(status.not_ready(), None);
    }
}
