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
    /// Set once everything is up.
    started: OnceLock<Serving>,
    draining: AtomicBool,
}

/// What the process serves with. None: that half is not in this process.
#[derive(Default)]
pub struct Serving {
    pub feed: Option<watch::Receiver<FeedState>>,
    /// Whether the gateway can record calls: those that it cannot it refuses.
    pub meters: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    pub store_is_there: Option<watch::Receiver<bool>>,
}

/// Why the process should get no traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    Starting,
    NoSnapshot,
    NoJournal,
    NoStore,
    Draining,
}

impl NotReady {
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::NoSnapshot => "the gateway has no catalog yet",
            Self::NoJournal => "the journal takes no calls",
            Self::NoStore => "the database cannot be reached",
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
    pub fn started(&self, serving: Serving) {
        let _ = self.started.set(serving);
    }

    pub fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn not_ready(&self) -> Option<NotReady> {
        if self.draining.load(Ordering::Relaxed) {
            return Some(NotReady::Draining);
        }
        let Some(serving) = self.started.get() else {
            return Some(NotReady::Starting);
        };
        match serving {
            Serving { feed: Some(feed), .. } if feed.borrow().revision.is_none() => {
                Some(NotReady::NoSnapshot)
            }
            Serving { meters: Some(meters), .. } if !meters() => Some(NotReady::NoJournal),
            // A gateway goes on without the database, so one in this process is still ready.
            Serving { feed: None, store_is_there: Some(is_there), .. } if !*is_there.borrow() => {
                Some(NotReady::NoStore)
            }
            Serving { .. } => None,
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
        status.started(Serving { feed: Some(receiver), ..Serving::default() });
        assert_eq!(status.not_ready(), Some(NotReady::NoSnapshot));
        feed.send_modify(|state| state.revision = Some(7));
        assert_eq!(status.not_ready(), None);
        status.draining();
        assert_eq!(status.not_ready(), Some(NotReady::Draining));
    }

    #[test]
    fn a_process_without_a_gateway_is_ready_while_its_database_is_there() {
        let status = Status::default();
        let (store, is_there) = watch::channel(true);

        status.started(Serving { store_is_there: Some(is_there), ..Serving::default() });
        assert_eq!(status.not_ready(), None);
        store.send_replace(false);
        assert_eq!(status.not_ready(), Some(NotReady::NoStore));
        store.send_replace(true);
        assert_eq!(status.not_ready(), None);
    }

    #[test]
    fn a_gateway_serves_without_the_database_of_its_process() {
        let status = Status::default();
        let (_feed, receiver) =
            watch::channel(FeedState { revision: Some(7), ..Default::default() });
        let (_store, is_there) = watch::channel(false);

        status.started(Serving {
            feed: Some(receiver),
            store_is_there: Some(is_there),
            ..Serving::default()
        });

        assert_eq!(status.not_ready(), None);
    }

    #[test]
    fn a_gateway_that_cannot_record_calls_should_get_none() {
        let status = Status::default();
        let accepts = Arc::new(AtomicBool::new(false));
        let (_feed, receiver) =
            watch::channel(FeedState { revision: Some(7), ..Default::default() });
        let meters = accepts.clone();

        status.started(Serving {
            feed: Some(receiver),
            meters: Some(Box::new(move || meters.load(Ordering::Relaxed))),
            ..Serving::default()
        });
        assert_eq!(status.not_ready(), Some(NotReady::NoJournal));
        accepts.store(true, Ordering::Relaxed);
        assert_eq!(status.not_ready(), None);
    }
}
