//! What the journal asks of the disk away from the append path.
//!
//! Only calls whose failure has a rule of its own are here, so that each can be made to fail.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};

/// A seam for faults. [`LocalDisk`] is the real one.
pub trait Disk: Send + Sync {
    /// Reserves blocks for the first `bytes` of a file, which read as zeroes.
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Returns once the file's bytes and length would survive a power loss.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Returns once the names in a directory would survive a power loss.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Puts a file in the place of another, or of none, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's files.
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes))?;
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // A sync that a signal cut short has not failed: nothing was dropped.
        rustix::io::retry_on_intr(|| fdatasync(file))?;
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
