//! Logs the beginning and the end of a trouble, not each try in between.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{error, info};

pub struct Trouble {
    /// What does not work meanwhile, and what follows from that.
    what: &'static str,
    is_on: AtomicBool,
}

impl Trouble {
    pub const fn new(what: &'static str) -> Self {
        Self { what, is_on: AtomicBool::new(false) }
    }

    pub fn begins(&self, error: &dyn Display) {
        if !self.is_on.swap(true, Ordering::Relaxed) {
            error!(%error, "journal: {}", self.what);
        }
    }

    pub fn ends(&self) {
        if self.is_on.swap(false, Ordering::Relaxed) {
            info!("journal: no longer: {}", self.what);
        }
    }

    /// Hands on a value, or nothing where there is an error.
    pub fn of<T, E: Display>(&self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                self.ends();
                Some(value)
            }
            Err(error) => {
                self.begins(&error);
                None
            }
        }
    }
}
