//! A segment's file as memory: the only place of the journal with `unsafe` in it.

use std::fs::File;
use std::io;
use std::ptr;
use std::sync::Arc;

use memmap2::{Advice, MmapOptions, MmapRaw};

/// A shared mapping that bytes are stored into. What is stored is in the page cache at once, so it
/// outlives the process.
pub struct Mapped(Arc<MmapRaw>);

impl Mapped {
    /// Maps the first `bytes` of a file whose blocks are reserved.
    pub fn new(file: &File, bytes: u64) -> io::Result<Self> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        Ok(Self(Arc::new(MmapOptions::new().len(bytes).map_raw(file)?)))
    }

    /// Stores bytes, which must not reach over the end.
    #[inline]
    #[expect(unsafe_code, reason = "an append that makes no system call stores into a mapping")]
    pub fn store(&mut self, at: usize, bytes: &[u8]) {
        let end = at.checked_add(bytes.len());
        assert!(end.is_some_and(|end| end <= self.0.len()), "a store stays within its segment");
        let to = self.0.as_mut_ptr().wrapping_add(at);
        // SAFETY: the range is within the mapping, which lives as long as `self`, and `bytes` is
        // not part of it, since no reference into the mapping is ever made: it is only stored to
        // here, under `&mut self`, and read through system calls. That other processes could change
        // the file meanwhile is therefore no matter of soundness. A store cannot run into a hole
        // (SIGBUS): the caller has reserved all blocks with `fallocate`, the lane's lock keeps
        // others of ours from cutting the file, and we cut it only when the journal is closed and
        // nothing is stored any more. If the device itself fails to give a page, the process dies
        // as if killed, which the journal survives by design.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// A handle on the pages, for another thread.
    pub fn pages(&self) -> Pages {
        Pages(self.0.clone())
    }
}

/// The memory of a mapping, without access to what is in it.
pub struct Pages(Arc<MmapRaw>);

impl Pages {
    /// Sees to it that a store to these bytes finds its pages in memory and writable, so that it
    /// needs no page fault, in which a file system may wait for the disk.
    pub fn make_ready(&self, from: usize, until: usize) {
        let until = until.min(self.0.len());
        if from < until {
            // Where the kernel cannot do this, before Linux 5.14, stores are slower.
            let _ = self.0.advise_range(Advice::PopulateWrite, from, until - from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_stored_is_in_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mut mapped = Mapped::new(&file, 8192).unwrap();
        mapped.pages().make_ready(0, 100_000);

        mapped.store(4090, b"across two pages");
        mapped.store(8192 - 3, b"end");

        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(&content[4090..4106], b"across two pages");
        assert_eq!(&content[8189..], b"end");
    }

    #[test]
    #[should_panic(expected = "a store stays within its segment")]
    fn a_store_over_the_end_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        Mapped::new(&file, 4096).unwrap().store(4094, b"end");
    }
}
