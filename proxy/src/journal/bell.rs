//! Wakes a background thread, and tells it to stop.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
pub struct Bell {
    state: Mutex<State>,
    condvar: Condvar,
}

#[derive(Default)]
struct State {
    is_rung: bool,
    is_stopping: bool,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    ToWork,
    ToStop,
}

impl Bell {
    pub fn ring(&self) {
        self.state.lock().is_rung = true;
        self.condvar.notify_one();
    }

    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.condvar.notify_one();
    }

    /// Waits for the bell, but not longer than a turn of work may be late.
    pub fn wait(&self, at_most: Duration) -> Woken {
        let deadline = Instant::now() + at_most;
        let mut state = self.state.lock();
        while !state.is_rung && !state.is_stopping {
            if self.condvar.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_rung = false;
        if state.is_stopping { Woken::ToStop } else { Woken::ToWork }
    }

    /// Waits the whole time, however often the bell rings, unless it is told to stop.
    pub fn rest(&self, whole: Duration) -> Woken {
        let deadline = Instant::now() + whole;
        let mut state = self.state.lock();
        while !state.is_stopping {
            if self.condvar.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        if state.is_stopping { Woken::ToStop } else { Woken::ToWork }
    }
}
