//! The clocks of the machine: the one place where the data plane asks for the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tollgate_common::time::{Clock, Now, Timestamp};

#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        };
        Now { wall: Timestamp(wall), monotonic_ns: self.monotonic_ns() }
    }

    fn monotonic_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}
