//! A segment's file as memory: the only place of the journal with `unsafe` in it.

use std::fs::File;
use std::io;

use memmap2::{MmapMut, MmapOptions};

/// A writable, shared mapping of a whole file. What is stored in it is in the page cache at once,
/// so it outlives the process.
pub struct Mapped(MmapMut);

impl Mapped {
    /// Maps the first `bytes` of a file whose blocks are reserved.
    #[expect(unsafe_code, reason = "an append that does no system call is a store into a mapping")]
    pub fn new(file: &File, bytes: u64) -> io::Result<Self> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: a mapping is sound as long as nobody else changes the file's bytes or cuts it
        // while it is mapped. The lane's lock keeps other processes of ours from writing to its
        // files; this process writes to the file only through this mapping, and cuts it only when
        // the journal is closed and nothing is stored any more; readers in this process and others read through system calls,
        // never through a reference into this memory. A store cannot run into a hole (SIGBUS),
        // since the caller has reserved all blocks with `fallocate`; if the device itself fails to
        // give a page back, the process dies as if killed, which the journal survives by design.
        unsafe { MmapOptions::new().len(bytes).map_mut(file) }.map(Self)
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
