//! Gets what was appended onto the disk, for all that wait at once.
//!
//! A sync that fails is never repeated: the kernel may have dropped what it could not write, and a
//! second sync would then succeed without it. The segment is given up instead. Its records are
//! read back (they are in the page cache still, and have checksums), written to a new file, synced
//! and put in the place of the old one; appending goes on in the next segment meanwhile. Only if
//! that fails too do those who wait hear of it, and new calls are refused until it succeeds.

use std::fmt::Display;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::bell::Woken;
use super::error::FileError;
use super::options::{SYNC_INTERVAL_DEFAULT, SyncMode};
use super::record::SLOT_BYTES;
use super::segment::{Open, Sealed};
use super::{Inner, mend};

/// Between tries to write a failed segment anew.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Memory that is prepared at once: what 28 thousand records need.
const READY_BYTES_MAX: usize = 4 << 20;

/// What those who wait for a sync need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Up to here all is on the disk.
    pub through: u64,
    /// Up to here, what is not on the disk could not be written.
    pub failed: u64,
}

/// The body of the sync thread.
pub fn run(inner: &Inner) {
    let every = match inner.options.sync {
        SyncMode::Always => SYNC_INTERVAL_DEFAULT,
        SyncMode::Interval(every) => every,
    };
    let mut announced = 0;
    loop {
        let woken = inner.sync_bell.wait(every);
        let is_synced = inner.sync();
        let appended = inner.announce_appended();
        inner.make_ready(appended - announced);
        announced = appended;
        if woken == Woken::ToStop {
            return;
        }
        if !is_synced && inner.sync_bell.rest(RETRY_AFTER) == Woken::ToStop {
            return;
        }
    }
}

/// What the next sync is of.
struct Target {
    file: Arc<File>,
    path: Arc<Path>,
    is_suspect: bool,
    through: u64,
    /// Nothing is appended to it any more.
    filled: Option<Sealed>,
}

impl Inner {
    /// Syncs all that was appended before the call. False if some of it could not be written; it
    /// stays to be tried again.
    pub(super) fn sync(&self) -> bool {
        let _one_at_a_time = self.syncing.lock();
        loop {
            let target = self.sync_target();
            match (&target.filled, target.is_suspect) {
                (None, false) => {
                    let is_synced = target.through <= self.synced.borrow().through;
                    if is_synced || self.sync_file(&target) {
                        self.publish(target.through);
                        return self.succeed();
                    }
                    self.give_up_active(&target.path);
                }
                // Appending must go on elsewhere before the records can be read back.
                (None, true) => {
                    if !self.give_up_active(&target.path) {
                        return self.fail(&"there is no other segment to go on in");
                    }
                }
                (Some(filled), false) => {
                    let is_synced = filled.last() <= self.synced.borrow().through;
                    if is_synced || self.sync_file(&target) {
                        self.seal(filled.clone());
                    } else {
                        self.suspect(&target.path);
                    }
                }
                (Some(filled), true) => match self.write_anew(filled) {
                    Ok(sealed) => self.seal(sealed),
                    Err(error) => return self.fail(&error),
                },
            }
        }
    }

    /// The oldest segment that is not synced.
    fn sync_target(&self) -> Target {
        let active = self.active.lock();
        let open = active.filled.front().unwrap_or(&active.segment);
        Target {
            file: open.file.clone(),
            path: open.path.clone(),
            is_suspect: open.suspect,
            through: open.next_sequence() - 1,
            filled: (!active.filled.is_empty()).then(|| open.view()),
        }
    }

    fn sync_file(&self, target: &Target) -> bool {
        let started = Instant::now();
        let result = self.disk.sync(&target.file);
        self.counters.sync_took(started.elapsed());
        match result {
            Ok(()) => true,
            Err(error) => {
                self.counters.sync_failures.fetch_add(1, Relaxed);
                let path = target.path.display();
                error!(%path, %error, "a journal segment could not be synced; it is given up and written anew");
                false
            }
        }
    }

    /// Marks the segment that is appended to, and goes on in the next one if there is one.
    fn give_up_active(&self, path: &Path) -> bool {
        self.suspect(path);
        let has_turned = {
            let mut active = self.active.lock();
            let has_turned = &*active.segment.path != path || active.turn();
            self.gate.set(active.accepts());
            has_turned
        };
        self.keep_bell.ring();
        has_turned
    }

    /// What is not synced of the segment must be written anew, wherever it is by now.
    pub(super) fn suspect(&self, path: &Path) {
        let mut active = self.active.lock();
        if &*active.segment.path == path {
            active.segment.suspect = true;
        }
        for open in active.filled.iter_mut().filter(|open| &*open.path == path) {
            open.suspect = true;
        }
    }

    fn write_anew(&self, filled: &Sealed) -> Result<Sealed, FileError> {
        let lost = mend::unreadable(filled, self.acknowledged(self.epoch))?;
        if lost > 0 {
            self.counters.lost.fetch_add(lost, Relaxed);
            error!(path = %filled.path.display(), records = lost, "the journal has lost records: a sync failed, and they cannot be read back");
            self.quarantine(&self.lane, &filled.path)?;
        }
        let sealed = mend::rewrite(&*self.disk, filled, None)?;
        warn!(path = %sealed.path.display(), records = sealed.count, "a journal segment was written anew");
        Ok(sealed)
    }

    /// Moves the oldest filled segment, which is synced now, to the run of its epoch.
    fn seal(&self, sealed: Sealed) {
        let last = sealed.last();
        let open = {
            let mut runs = self.runs.lock();
            let mut active = self.active.lock();
            runs.run_mut(self.epoch).segments.push_back(sealed);
            active.filled.pop_front()
        };
        // Unmapping takes long, so it is done when nobody waits for the locks.
        drop(open);
        self.publish(last);
        self.keep_bell.ring();
    }

    fn publish(&self, through: u64) {
        self.synced.send_if_modified(|synced| {
            let is_new = through > synced.through;
            synced.through = synced.through.max(through);
            is_new
        });
    }

    fn succeed(&self) -> bool {
        self.sync_trouble.ends();
        let mut active = self.active.lock();
        if active.is_failing {
            active.is_failing = false;
            self.gate.set(active.accepts());
        }
        true
    }

    fn fail(&self, error: &dyn Display) -> bool {
        self.sync_trouble.begins(error);
        let appended = {
            let mut active = self.active.lock();
            active.is_failing = true;
            self.gate.set(active.accepts());
            active.appended()
        };
        self.synced.send_modify(|synced| synced.failed = synced.failed.max(appended));
        false
    }

    /// Tells the deliverer that there is something new, not more often than once per sync.
    fn announce_appended(&self) -> u64 {
        let appended = self.active.lock().appended();
        self.appended.send_if_modified(|announced| {
            let is_new = *announced != appended;
            *announced = appended;
            is_new
        });
        appended
    }

    /// Prepares memory for as many records as came since the last time. A sync takes the pages
    /// from under the stores, so to say: it makes them read-only until they are stored to again.
    fn make_ready(&self, records: u64) {
        let wanted = READY_BYTES_MAX.min(records as usize * SLOT_BYTES);
        if wanted == 0 {
            return;
        }
        let ((from, pages), length, next) = {
            let active = self.active.lock();
            let segment = &active.segment;
            let next = active.next.as_ref().map(Open::next_slot);
            (segment.next_slot(), segment.header.allocated as usize, next)
        };
        pages.make_ready(from, from + wanted);
        if let Some((first, pages)) = next {
            pages.make_ready(first, first + (from + wanted).saturating_sub(length));
        }
    }
}
