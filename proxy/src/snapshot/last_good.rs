//! The last good snapshot as a file, so that a gateway can serve without the admin.
//!
//! The file is a header, one full batch, and after it the batches of changes since, in the frames of
//! [`wire`]. Owns its bytes, its lock and what is done about damage. It must not know where batches
//! come from.
//!
//! A batch of changes is written in one piece, and its commit is the end of it. One that a death of
//! the process or the machine tore is therefore the front of a batch and the end of the file: its
//! frames are good, the last one may end early, and none is a commit. It was never kept, and is cut.
//!
//! Anything else behind the last good batch is damage: a frame that cannot be read or stands where
//! it cannot, or one that says that it goes on behind the end of the file and does not
//! ([`wire::is_past_its_frame`]). What cannot be read may have taken a key back that the batches
//! before it let in, so nothing of such a file is believed: it is moved aside, as is one whose full
//! batch is not whole, and the start is one without a snapshot.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tollgate_common::snapshot::{Revision, wire};

use super::batch::{Assembly, Batch, BatchError, Sink, Step};
use super::frames::Frames;

const DIRECTORY: &str = "snapshot";
const FILE: &str = "last-good";
/// A full batch on its way; takes the file's place when it is whole.
const FILE_NEW: &str = "last-good.new";
/// A file that cannot be read, kept for whoever wants to know why. Only the newest one.
const FILE_DAMAGED: &str = "last-good.damaged";
const FILE_LOCK: &str = "lock";
const FILE_STORE: &str = "store";

/// Endpoints and who may call them are no one else's to read.
const PRIVATE: u32 = 0o600;

const MAGIC: [u8; 12] = *b"tollgate-cat";
const HEADER_BYTES: u64 = 16;

/// Read at once: large enough that reading is not what takes the time.
const READ_BYTES: usize = 1 << 20;

/// Changes may take this much of the disk, however small the catalog is, before all of it is
/// written anew.
const CHANGES_BYTES_MIN: u64 = 4 << 20;

/// Where the snapshot is kept. Only the process that holds the lock changes anything there.
pub struct Place {
    directory: PathBuf,
    lock: File,
    locked: bool,
}

/// What a start found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The catalog was read and stands at this revision; None: start without.
    pub revision: Option<Revision>,
    /// Bytes after the last whole batch that were no use.
    pub bytes_cut: u64,
    /// The file was of no use and was moved aside.
    pub damaged: bool,
    extent: Option<Extent>,
}

/// The good part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    full_bytes: u64,
    bytes: u64,
}

/// An open file, and what is known to be in it for good.
pub struct Kept {
    file: File,
    extent: Extent,
    revision: Revision,
}

/// A full batch that is being written beside the file.
pub struct Draft {
    file: File,
    bytes: u64,
}

#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("its header is of another kind or version")]
    Header,
    #[error("{0}")]
    Batch(#[from] BatchError),
    #[error("it ends before the catalog is whole")]
    Short,
    #[error("a frame of it has the wrong length")]
    Length,
}

impl Place {
    /// Creates the directory where there is none, and takes the lock where nobody has it. Without
    /// the lock (another process is being relieved by this one) the snapshot can be read only.
    pub fn open(data_directory: &Path) -> io::Result<Self> {
        let directory = data_directory.join(DIRECTORY);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE)
            .open(directory.join(FILE_LOCK))?;
        let mut place = Self { directory, lock, locked: false };
        place.acquire()?;
        Ok(place)
    }

    /// Which store the snapshot is of: kept by whoever asks for it.
    pub fn store_file(&self) -> PathBuf {
        self.path(FILE_STORE)
    }

    /// Whether this process may write.
    pub fn acquire(&mut self) -> io::Result<bool> {
        if !self.locked {
            self.locked = match self.lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error),
            };
        }
        Ok(self.locked)
    }

    /// Reads the snapshot into `sink`, batch by batch. Of a damaged one nothing stays there. Blocks;
    /// for before anything is served.
    pub fn load<S: Sink>(&self, sink: &S) -> Found {
        let path = self.path(FILE);
        let result = File::open(&path).map_err(Damage::from).and_then(|file| read(file, sink));
        match result {
            Ok(found) => self.cut(found),
            Err(Damage::Io(error)) if error.kind() == io::ErrorKind::NotFound => Found::default(),
            Err(damage) => {
                forget(sink);
                self.set_aside(&damage)
            }
        }
    }

    /// Opens the file for further batches, when there is a good one and this process may write.
    pub fn resume(&self, found: &Found) -> io::Result<Option<Kept>> {
        let (Some(revision), Some(extent), true) = (found.revision, found.extent, self.locked)
        else {
            return Ok(None);
        };
        let mut file = OpenOptions::new().read(true).write(true).open(self.path(FILE))?;
        file.seek(SeekFrom::Start(extent.bytes))?;
        Ok(Some(Kept { file, extent, revision }))
    }

    pub fn draft(&self) -> io::Result<Draft> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).read(true).write(true).mode(PRIVATE);
        let mut file = options.open(self.path(FILE_NEW))?;
        file.write_all(&header())?;
        Ok(Draft { file, bytes: HEADER_BYTES })
    }

    /// Puts a whole draft in the file's place, durably.
    pub fn replace(&self, draft: Draft, revision: Revision) -> io::Result<Kept> {
        draft.file.sync_all()?;
        fs::rename(self.path(FILE_NEW), self.path(FILE))?;
        File::open(&self.directory)?.sync_all()?;
        let extent = Extent { full_bytes: draft.bytes, bytes: draft.bytes };
        Ok(Kept { file: draft.file, extent, revision })
    }

    /// Gives the space of a draft back. That it may already be gone is no failure.
    pub fn discard(&self) {
        let _ = fs::remove_file(self.path(FILE_NEW));
    }

    fn cut(&self, found: Found) -> Found {
        let Some(extent) = found.extent.filter(|_| found.bytes_cut > 0) else {
            return found;
        };
        tracing::warn!(
            bytes = found.bytes_cut,
            revision = found.revision,
            "the last good snapshot has a tail that is no whole batch: it is cut"
        );
        if !self.locked {
            return found;
        }
        let cut = OpenOptions::new()
            .write(true)
            .open(self.path(FILE))
            .and_then(|file| file.set_len(extent.bytes).and_then(|()| file.sync_all()));
        match cut {
            Ok(()) => found,
            // Nothing may be added behind bytes that are no use.
            Err(_) => Found { extent: None, ..found },
        }
    }

    fn set_aside(&self, damage: &Damage) -> Found {
        tracing::error!(%damage, "the last good snapshot cannot be read: started without it");
        if self.locked
            && let Err(error) = fs::rename(self.path(FILE), self.path(FILE_DAMAGED))
        {
            tracing::error!(%error, "the damaged snapshot could not be moved aside");
        }
        Found { damaged: true, ..Found::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Draft {
    pub fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.bytes += piece.len() as u64;
        Ok(())
    }
}

impl Kept {
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Adds a whole batch of changes, durably. After an error the end of the file is unknown, and
    /// nothing may be added any more.
    pub fn append(&mut self, batch: &[u8], revision: Revision) -> io::Result<()> {
        self.file.write_all(batch)?;
        self.file.sync_data()?;
        self.extent.bytes += batch.len() as u64;
        self.revision = revision;
        Ok(())
    }

    /// Reading the changes takes longer than reading the catalog would: time to write it anew.
    pub fn is_overgrown(&self) -> bool {
        let changes = self.extent.bytes - self.extent.full_bytes;
        changes > self.extent.full_bytes.max(CHANGES_BYTES_MIN)
    }
}

fn header() -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[MAGIC.len()..].copy_from_slice(&wire::FORMAT.to_le_bytes());
    header
}

/// Applies all whole batches. After an error some of them are in force.
fn read<S: Sink>(mut file: File, sink: &S) -> Result<Found, Damage> {
    let mut start = [0; HEADER_BYTES as usize];
    file.read_exact(&mut start).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::Short,
        _ => Damage::Io(error),
    })?;
    if start != header() {
        return Err(Damage::Header);
    }
    let mut assembly = Assembly::onto(sink, None);
    let extent = batches(&mut file, &mut assembly)?.ok_or(Damage::Short)?;
    let bytes_cut = file.metadata()?.len().saturating_sub(extent.bytes);
    Ok(Found { revision: assembly.revision(), bytes_cut, damaged: false, extent: Some(extent) })
}

/// How far the file is good; None when there is no whole batch in it. What is behind was torn.
fn batches<S: Sink>(
    file: &mut File,
    assembly: &mut Assembly<'_, S>,
) -> Result<Option<Extent>, Damage> {
    let mut frames = Frames::default();
    let mut piece = vec![0; READ_BYTES];
    let mut bytes = HEADER_BYTES;
    let mut extent: Option<Extent> = None;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        frames.push(&piece[..count]);
        while let Some(frame) = frames.next().map_err(BatchError::from)? {
            let step = assembly.take(frame)?;
            bytes += frames.skip_read() as u64;
            if matches!(step, Step::Committed { .. }) {
                let full_bytes = extent.map_or(bytes, |extent| extent.full_bytes);
                extent = Some(Extent { full_bytes, bytes });
            }
        }
    }
    if wire::is_past_its_frame(frames.rest()) { Err(Damage::Length) } else { Ok(extent) }
}

/// Puts a catalog of nothing into force, as there was before anything was read.
fn forget<S: Sink>(sink: &S) {
    sink.begin(true).commit(0).expect("a batch of nothing names nothing that could be missing");
}

#[cfg(test)]
mod tests {
    use tollgate_common::snapshot::wire::Frame;

    use super::*;
    use crate::snapshot::shelf::{Shelf, key, key_removed};
    use crate::test_admin::{batch, frame};

    /// A place with a full batch at revision 7 and two batches of changes.
    fn kept(data: &Path) {
        let place = Place::open(data).unwrap();
        let mut draft = place.draft().unwrap();
        draft.append(&batch(true, 7, vec![key(1), key(2)])).unwrap();
        let mut kept = place.replace(draft, 7).unwrap();
        kept.append(&batch(false, 8, vec![key(3)]), 8).unwrap();
        kept.append(&batch(false, 9, vec![key_removed(1)]), 9).unwrap();
    }

    fn load(data: &Path) -> (Found, Vec<u32>) {
        let shelf = Shelf::default();
        let found = Place::open(data).unwrap().load(&shelf);
        (found, shelf.keys())
    }

    fn change(data: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let path = data.join("snapshot/last-good");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn without_a_file_a_gateway_starts_without() {
        let data = tempfile::tempdir().unwrap();

        assert_eq!(load(data.path()).0, Found::default());
    }

    #[test]
    fn what_was_kept_is_found() {
        let data = tempfile::tempdir().unwrap();
        kept(data.path());

        let (found, keys) = load(data.path());

        assert_eq!((found.revision, found.bytes_cut, found.damaged), (Some(9), 0, false));
        assert_eq!(keys, [2, 3]);
    }

    #[test]
    fn a_torn_tail_is_cut_and_written_over() {
        let data = tempfile::tempdir().unwrap();
        kept(data.path());
        change(data.path(), |bytes| bytes.truncate(bytes.len() - 3));

        let place = Place::open(data.path()).unwrap();
        let found = place.load(&Shelf::default());
        let mut kept = place.resume(&found).unwrap().unwrap();
        kept.append(&batch(false, 10, vec![key(5)]), 10).unwrap();
        drop(place);

        assert_eq!(found.revision, Some(8));
        assert!(found.bytes_cut > 0);
        let (found, keys) = load(data.path());
        assert_eq!((found.revision, found.bytes_cut), (Some(10), 0));
        assert_eq!(keys, [1, 2, 3, 5]);
    }

    #[test]
    fn whichever_bit_is_wrong_no_key_is_honoured_that_was_removed() {
        let data = tempfile::tempdir().unwrap();
        kept(data.path());
        let path = data.path().join("snapshot/last-good");
        let good = fs::read(&path).unwrap();
        let place = Place::open(data.path()).unwrap();
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &damaged).unwrap();
            let shelf = Shelf::default();

            let found = place.load(&shelf);

            assert_eq!(found, Found { damaged: true, ..Found::default() }, "bit {bit}");
            assert!(shelf.keys().is_empty(), "bit {bit}");
            assert!(!path.exists());
            let aside = fs::read(data.path().join("snapshot/last-good.damaged")).unwrap();
            assert!(aside == damaged, "bit {bit}");
        }
    }

    #[test]
    fn frames_that_cannot_follow_are_damage() {
        let data = tempfile::tempdir().unwrap();
        let back = batch(false, 6, vec![key(4)]);
        let outside = frame(&Frame::Commit { revision: 10, entries: 0 });
        for strange in [back, outside] {
            kept(data.path());
            change(data.path(), |bytes| bytes.extend(strange));

            let (found, keys) = load(data.path());

            assert_eq!((found.damaged, found.revision), (true, None));
            assert!(keys.is_empty());
        }
    }

    #[test]
    fn a_damaged_catalog_is_moved_aside() {
        let data = tempfile::tempdir().unwrap();
        for damage in [HEADER_BYTES as usize + 30, 3, 13] {
            kept(data.path());
            change(data.path(), |bytes| bytes[damage] ^= 1);

            let (found, keys) = load(data.path());

            assert_eq!(found, Found { damaged: true, ..Found::default() });
            assert!(keys.is_empty());
            assert!(data.path().join("snapshot/last-good.damaged").exists());
            assert_eq!(load(data.path()).0, Found::default());
        }
    }

    #[test]
    fn wherever_a_file_was_torn_it_gives_a_catalog_that_was_in_force_or_none() {
        let data = tempfile::tempdir().unwrap();
        kept(data.path());
        let whole = fs::read(data.path().join("snapshot/last-good")).unwrap();
        for length in 0..=whole.len() {
            fs::write(data.path().join("snapshot/last-good"), &whole[..length]).unwrap();

            let (found, keys) = load(data.path());

            let expected: &[u32] = match found.revision {
                None => &[],
                Some(7) => &[1, 2],
                Some(8) => &[1, 2, 3],
                Some(9) => &[2, 3],
                Some(other) => panic!("revision {other} was never in force"),
            };
            assert_eq!(keys, expected, "cut at {length}");
            assert_eq!(found.damaged, found.revision.is_none());
        }
    }

    #[test]
    fn a_second_process_reads_and_changes_nothing() {
        let data = tempfile::tempdir().unwrap();
        kept(data.path());
        let first = Place::open(data.path()).unwrap();
        change(data.path(), |bytes| bytes.truncate(bytes.len() - 3));

        let mut second = Place::open(data.path()).unwrap();
        let found = second.load(&Shelf::default());

        assert_eq!(found.revision, Some(8));
        assert!(second.resume(&found).unwrap().is_none());
        assert!(!second.acquire().unwrap());
        drop(first);
        assert!(second.acquire().unwrap());
    }

    #[test]
    fn changes_that_outgrow_the_catalog_are_noticed() {
        let data = tempfile::tempdir().unwrap();
        let place = Place::open(data.path()).unwrap();
        let mut draft = place.draft().unwrap();
        draft.append(&batch(true, 1, vec![key(1)])).unwrap();
        let mut kept = place.replace(draft, 1).unwrap();
        assert!(!kept.is_overgrown());

        let changes = batch(false, 2, (0..100_000).map(key).collect());
        kept.append(&changes, 2).unwrap();

        assert_eq!(kept.is_overgrown(), changes.len() as u64 > CHANGES_BYTES_MIN);
        kept.append(&batch(false, 3, (0..100_000).map(key).collect()), 3).unwrap();
        assert!(kept.is_overgrown());
    }
}
