//! One file of the journal, from its preparation to its end.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};

use super::disk::Disk;
use super::error::{FileError, at};
use super::header::{COPIES_AT, Header, SLOTS_AT, slots_in};
use super::mapped::{Mapped, Pages};
use super::record::{self, Payload, SLOT_BYTES, Seed};

/// Ends the name of a file that is not finished and means nothing.
pub const UNFINISHED: &str = "tmp";

/// Nobody but the node's user reads who called what.
pub const FILE_MODE: u32 = 0o600;

/// The name of a segment's file. Its place in the epoch is in its header; the number only keeps
/// names apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    pub epoch: u64,
    pub number: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016}-{:08}.segment", self.epoch, self.number)
    }
}

impl FromStr for SegmentName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, number) =
            text.strip_suffix(".segment").and_then(|stem| stem.split_once('-')).ok_or(())?;
        let name =
            Self { epoch: epoch.parse().map_err(|_| ())?, number: number.parse().map_err(|_| ())? };
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

/// A run of records in a file. Nothing is appended to it any more, or this is a view of what was
/// there at a moment.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub path: Arc<Path>,
    pub header: Header,
    /// Records in it.
    pub count: u64,
    /// Length of the file.
    pub bytes: u64,
}

impl Sealed {
    /// Sequence number of the last record; the one before the first where there is none.
    pub fn last(&self) -> u64 {
        self.header.first + self.count - 1
    }
}

/// A file that is appended to, or prepared for it.
pub struct Open {
    pub path: Arc<Path>,
    pub file: Arc<File>,
    pub header: Header,
    /// Slots written.
    pub used: u64,
    /// A sync of it has failed: what is not known to be on the disk must be written anew.
    pub suspect: bool,
    seed: Seed,
    mapped: Mapped,
}

impl Open {
    /// Makes a file with its blocks reserved and its header on the disk.
    pub fn prepare(
        disk: &dyn Disk,
        lane: &Path,
        name: SegmentName,
        header: Header,
    ) -> Result<Self, FileError> {
        let path = lane.join(name.to_string());
        let unfinished = unfinished(&path);
        let prepared =
            Self::prepare_unfinished(disk, &unfinished, &path, header).and_then(|open| {
                disk.rename(&unfinished, &path).map_err(at("rename", &unfinished))?;
                disk.sync_directory(lane).map_err(at("sync", lane))?;
                Ok(open)
            });
        if prepared.is_err() {
            // What is left of it would only fill the disk. Recovery removes it if this fails too.
            let _ = disk.remove(&unfinished);
            let _ = disk.remove(&path);
        }
        prepared
    }

    fn prepare_unfinished(
        disk: &dyn Disk,
        unfinished: &Path,
        path: &Path,
        header: Header,
    ) -> Result<Self, FileError> {
        let file = create_or_open(unfinished)?;
        // A try that failed may have left something in it.
        file.set_len(0).map_err(at("empty", unfinished))?;
        disk.allocate(&file, header.allocated).map_err(at("reserve space for", unfinished))?;
        for copy in COPIES_AT {
            file.write_all_at(&header.encode(), copy as u64).map_err(at("write", unfinished))?;
        }
        disk.sync(&file).map_err(at("sync", unfinished))?;
        Self::of(file, path, header)
    }

    fn of(file: File, path: &Path, header: Header) -> Result<Self, FileError> {
        let mapped = Mapped::new(&file, header.allocated).map_err(at("map", path))?;
        Ok(Self {
            path: path.into(),
            file: Arc::new(file),
            header,
            used: 0,
            suspect: false,
            seed: header.salt.seed(),
            mapped,
        })
    }

    /// Stands in for the first segment of a process that finds no room for it. Nothing fits in, and no
    /// file is made.
    pub fn without_room(path: &Path, header: Header) -> Result<Self, FileError> {
        let header = Header { allocated: SLOTS_AT as u64, ..header };
        let memory = memfd_create("journal", MemfdFlags::CLOEXEC);
        let file = File::from(memory.map_err(|error| at("stand in for", path)(error.into()))?);
        file.set_len(header.allocated).map_err(at("stand in for", path))?;
        Self::of(file, path, header)
    }

    /// See [`without_room`](Self::without_room).
    pub fn is_stand_in(&self) -> bool {
        self.capacity() == 0
    }

    /// Whether its name still leads to it.
    pub fn find(path: &Path, file: &File) -> Result<(), FileError> {
        let place = |found: Metadata| (found.dev(), found.ino());
        let found = fs::metadata(path).map(place).map_err(at("find", path))?;
        if found == file.metadata().map(place).map_err(at("look at", path))? {
            return Ok(());
        }
        Err(at("find", path)(io::Error::other("another file is in its place")))
    }

    pub fn capacity(&self) -> u64 {
        slots_in(self.header.allocated)
    }

    pub fn room(&self) -> u64 {
        self.capacity() - self.used
    }

    /// Sequence number of the slot that is written next.
    pub fn next_sequence(&self) -> u64 {
        self.header.first + self.used
    }

    /// Writes the next slot. There must be room.
    #[inline]
    pub fn push(&mut self, payload: &Payload) -> u64 {
        debug_assert!(self.room() > 0, "the caller has made sure that there is room");
        let sequence = self.next_sequence();
        let mut slot = [0; SLOT_BYTES];
        record::write(&mut slot, self.seed, sequence, payload);
        self.mapped.store(self.end(), &slot);
        self.used += 1;
        sequence
    }

    /// Gives an empty segment another first sequence number.
    pub fn restart_at(&mut self, first: u64) {
        debug_assert_eq!(self.used, 0, "only an empty segment can be moved");
        self.header.first = first;
        let header = self.header.encode();
        for copy in COPIES_AT {
            self.mapped.store(copy, &header);
        }
    }

    /// Where the next slot is, and the memory it is in.
    pub fn next_slot(&self) -> (usize, Pages) {
        (self.end(), self.mapped.pages())
    }

    fn end(&self) -> usize {
        SLOTS_AT + self.used as usize * SLOT_BYTES
    }

    pub fn view(&self) -> Sealed {
        Sealed {
            path: self.path.clone(),
            header: self.header,
            count: self.used,
            bytes: self.header.allocated,
        }
    }
}

/// The name of a file until it is finished.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    name.into()
}

/// A file, made if it is missing, and as it is if it is there.
pub fn create_or_open(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(at("create", path))
}

/// Writes a whole file under an unfinished name, syncs it and puts it in place, so that there is
/// either the old one or the new one at every moment. Where an unfinished file is there already, it
/// is written over, in the blocks that it has.
pub fn replace(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&File) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let unfinished = unfinished(path);
    let replaced = write_synced(disk, &unfinished, write)
        .and_then(|()| disk.rename(&unfinished, path).map_err(at("replace", path)));
    if replaced.is_err() {
        // A file whose sync has failed is never used again, and its blocks are better free.
        let _ = disk.remove(&unfinished);
    }
    replaced?;
    let directory = path.parent().expect("a file of the journal is in a directory");
    disk.sync_directory(directory).map_err(at("sync", directory))
}

fn write_synced(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&File) -> std::io::Result<()>,
) -> Result<(), FileError> {
    let file = create_or_open(path)?;
    write(&file)
        .and_then(|()| file.set_len((&file).stream_position()?))
        .map_err(at("write", path))?;
    disk.sync(&file).map_err(at("sync", path))
}
