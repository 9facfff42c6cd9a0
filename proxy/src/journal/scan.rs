//! Looks at a segment's file without changing it, whatever state it is in.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{FileError, at};
use super::header::{Header, HeaderError, SLOTS_AT};
use super::record::{self, Payload, SLOT_BYTES, Slot, SlotBytes};
use super::segment::SegmentName;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 32 << 10;

/// What one slot was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    Good,
    Bad,
}

/// A file whose header could be read.
#[derive(Clone, Debug)]
pub struct Scan {
    pub name: SegmentName,
    pub path: PathBuf,
    pub header: Header,
    pub bytes: u64,
    /// Each slot up to the end of the file, or in one that was appended to, up to the last that is
    /// not empty.
    pub slots: Vec<State>,
    /// The file ends where its records end, so an unreadable slot at its end is damage too.
    pub is_closed: bool,
}

impl Scan {
    /// Slots up to and with the last good one.
    pub fn good_end(&self) -> u64 {
        self.slots.iter().rposition(|slot| *slot == State::Good).map_or(0, |last| last as u64 + 1)
    }

    /// Slots that hold something, good or not.
    pub fn written(&self) -> u64 {
        self.slots.iter().filter(|slot| **slot != State::Empty).count() as u64
    }

    pub fn state(&self, slot: u64) -> State {
        self.slots.get(slot as usize).copied().unwrap_or(State::Empty)
    }
}

/// A file that is named as a segment.
#[derive(Clone, Debug)]
pub enum Seen {
    Segment(Scan),
    /// Neither copy of the header is good, so no record can be told from noise.
    Headless {
        name: SegmentName,
        path: PathBuf,
        bytes: u64,
        written: u64,
    },
    OtherVersion {
        path: PathBuf,
        bytes: u64,
        version: u32,
    },
}

pub fn scan(path: &Path, name: SegmentName) -> Result<Seen, FileError> {
    let content = contents(path)?;
    let bytes = content.len() as u64;
    let header = match Header::find(&content) {
        Ok(header) => header,
        Err(HeaderError::Version(version)) => {
            return Ok(Seen::OtherVersion { path: path.to_owned(), bytes, version });
        }
        Err(HeaderError::Damaged) => {
            let slots = content.get(SLOTS_AT..).unwrap_or_default().chunks(SLOT_BYTES);
            let written = slots.filter(|slot| slot.iter().any(|byte| *byte != 0)).count() as u64;
            return Ok(Seen::Headless { name, path: path.to_owned(), bytes, written });
        }
    };
    let is_closed = bytes != header.allocated;
    let mut states: Vec<State> = slots(&content, &header)
        .map(|(_, slot)| match slot {
            Slot::Empty => State::Empty,
            Slot::Good(_) => State::Good,
            Slot::Bad => State::Bad,
        })
        .collect();
    if is_closed {
        let is_ragged = !content[SLOTS_AT.min(content.len())..].len().is_multiple_of(SLOT_BYTES);
        if is_ragged {
            states.push(State::Bad);
        }
    } else {
        let used = states.iter().rposition(|slot| *slot != State::Empty).map_or(0, |last| last + 1);
        states.truncate(used);
    }
    Ok(Seen::Segment(Scan { name, path: path.to_owned(), header, bytes, slots: states, is_closed }))
}

pub fn contents(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut file = File::open(path).map_err(at("open", path))?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(at("read", path))?;
    Ok(content)
}

/// The whole slots in a file's bytes, each with its sequence number.
pub fn slots<'a>(
    content: &'a [u8],
    header: &Header,
) -> impl Iterator<Item = (u64, Slot<'a>)> + use<'a> {
    let (seed, first) = (header.salt.seed(), header.first);
    let (chunks, _) = content.get(SLOTS_AT..).unwrap_or_default().as_chunks::<SLOT_BYTES>();
    chunks.iter().zip(first..).map(move |(slot, sequence): (&SlotBytes, u64)| {
        (sequence, record::read(slot, seed, sequence))
    })
}

/// The good records of a file, each with its sequence number.
pub fn good_records<'a>(
    content: &'a [u8],
    header: &Header,
) -> impl Iterator<Item = (u64, &'a Payload)> + use<'a> {
    slots(content, header).filter_map(|(sequence, slot)| match slot {
        Slot::Good(payload) => Some((sequence, payload)),
        Slot::Empty | Slot::Bad => None,
    })
}

/// The good records of a file, read piece by piece: a large segment costs no memory of its own.
pub fn read_good_records(
    path: &Path,
    header: &Header,
) -> Result<impl Iterator<Item = Result<(u64, Payload), FileError>>, FileError> {
    let mut file = File::open(path).map_err(at("open", path))?;
    file.seek(SeekFrom::Start(SLOTS_AT as u64)).map_err(at("read", path))?;
    let mut reader = BufReader::with_capacity(PIECE_BYTES, file);
    let seed = header.salt.seed();
    let mut slot = [0; SLOT_BYTES];
    let slots = (header.first..).map_while(move |sequence| match reader.read_exact(&mut slot) {
        Ok(()) => Some(Ok(match record::read(&slot, seed, sequence) {
            Slot::Good(payload) => Some((sequence, *payload)),
            Slot::Empty | Slot::Bad => None,
        })),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
        Err(error) => Some(Err(at("read", path)(error))),
    });
    Ok(slots.filter_map(Result::transpose))
}

/// The segment files of a lane, in the order of their names.
pub fn segment_files(lane: &Path) -> Result<Vec<(SegmentName, PathBuf)>, FileError> {
    let mut files: Vec<_> = names(lane)?
        .into_iter()
        .filter_map(|name| Some((name.parse().ok()?, lane.join(name))))
        .collect();
    files.sort();
    Ok(files)
}

/// The names in a directory. A name that is not UTF-8 is not one of ours.
pub fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let entries = fs::read_dir(directory).map_err(at("list", directory))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("list", directory))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}
