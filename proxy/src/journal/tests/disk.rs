//! A disk that does as a test wants.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::SystemTime;

use parking_lot::{Mutex, MutexGuard};

use crate::journal::disk::{Disk, LocalDisk};

/// The real disk, with failures switched on and off.
#[derive(Default)]
pub struct FaultyDisk {
    /// Syncs of files fail while this is set.
    pub sync_fails: AtomicBool,
    /// The next sync of this file fails, then it is as if nothing had been.
    fails_once: AtomicU64,
    pub allocate_fails: AtomicBool,
    /// Every call from this one on fails, as for a process that dies there. Zero: none.
    pub dies_at: AtomicU64,
    pub calls: AtomicU64,
    /// By number and birth, since the number of a file that is gone is given again.
    failed: Mutex<HashSet<(u64, SystemTime)>>,
    is_repeated: AtomicBool,
    /// Syncs of this file wait for the lock beside it.
    held_file: AtomicU64,
    hold: Mutex<()>,
}

impl FaultyDisk {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether a file was synced again after a sync of it had failed.
    pub fn was_synced_after_failure(&self) -> bool {
        self.is_repeated.load(SeqCst)
    }

    pub fn fail_next_sync_of(&self, path: &Path) {
        self.fails_once.store(fs::metadata(path).unwrap().ino(), SeqCst);
    }

    /// Syncs of a file take until the guard is dropped.
    pub fn hold_syncs_of(&self, path: &Path) -> MutexGuard<'_, ()> {
        let guard = self.hold.lock();
        self.held_file.store(fs::metadata(path).unwrap().ino(), SeqCst);
        guard
    }

    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        let dies_at = self.dies_at.load(SeqCst);
        if dies_at > 0 && call >= dies_at { Err(io::Error::other("dead")) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.call()?;
        if self.allocate_fails.load(SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        LocalDisk.allocate(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call()?;
        let inode = file.metadata()?.ino();
        let identity = (inode, file.metadata()?.created()?);
        if self.held_file.load(SeqCst) == inode {
            drop(self.hold.lock());
        }
        if self.failed.lock().contains(&identity) {
            self.is_repeated.store(true, SeqCst);
        }
        let fails_once = self.fails_once.compare_exchange(inode, 0, SeqCst, SeqCst).is_ok();
        if fails_once || self.sync_fails.load(SeqCst) {
            self.failed.lock().insert(identity);
            return Err(io::Error::from_raw_os_error(5));
        }
        LocalDisk.sync(file)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        LocalDisk.sync_directory(path)
    }

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.call()?;
        LocalDisk.truncate(file, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        LocalDisk.remove(path)
    }
}
