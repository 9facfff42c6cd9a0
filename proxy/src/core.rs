//! What one core has to itself: names for its calls, and its connections to upstreams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tollgate_common::ids::RequestId;
use tollgate_common::time::Timestamp;

use crate::forward::{Line, UpstreamBody};
use crate::gateway::Gateway;
use crate::upstream::{Http2Pool, Pool, PoolLimits, Target};

/// How often connections that nobody uses are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

pub struct Core {
    pub gateway: Arc<Gateway>,
    pub http2: Http2Pool<UpstreamBody>,
    /// Only this core locks it, so the lock is always free.
    lines: Mutex<Pool<Box<Line>>>,
    /// Counted up from a random start, so that no two cores or runs name two calls alike.
    request_seed: u128,
    requests: AtomicU64,
}

impl Core {
    pub fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            http2: Http2Pool::default(),
            lines: Mutex::new(Pool::new(PoolLimits::default())),
            request_seed: uuid::Uuid::new_v4().as_u128(),
            requests: AtomicU64::new(0),
        })
    }

    pub fn request_id(&self, now: Timestamp) -> RequestId {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        RequestId::new(now.0, self.request_seed.wrapping_add(u128::from(count)))
    }

    /// An idle connection that its upstream has not ended.
    pub fn idle_line(&self, target: Target, now_ns: u64) -> Option<Box<Line>> {
        let mut lines = self.lines.lock();
        loop {
            let mut line = lines.take(target, now_ns)?;
            if line.is_quiet() {
                return Some(line);
            }
        }
    }

    /// Keeps a connection whose last answer ended at `since_ns`.
    pub fn put_back(&self, target: Target, line: Box<Line>, since_ns: u64) {
        self.lines.lock().put(target, line, since_ns);
    }

    /// Closes connections that nobody uses, for as long as the core runs.
    pub async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            interval.tick().await;
            self.lines.lock().sweep(self.gateway.clock.monotonic_ns());
            self.http2.sweep(Instant::now());
        }
    }
}
