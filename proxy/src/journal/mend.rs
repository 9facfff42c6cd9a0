//! Writes a segment anew, with a marker in the place of each record that cannot be read.
//!
//! Sequence numbers must have no holes, or the ledger would take nothing behind one. A marker is a
//! usage record that stands for nothing: no call, no units, no bytes, neither counted nor billed.
//! So every record that can be read keeps its number, and what the ledger has once it never takes
//! again, whatever was damaged and whenever that was found.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

use super::directory::make_directory;
use super::disk::Disk;
use super::error::{FileError, at};
use super::header::{COPIES_AT, Header, SLOTS_AT, bytes_of};
use super::record::{self, Payload, SLOT_BYTES, Salt};
use super::scan::{contents, good_records, names};
use super::segment::{Sealed, SegmentName, replace};

/// Where damaged files are kept whole, for whoever wants to look into them.
pub const QUARANTINE: &str = "quarantine";

/// The part number of a marker, which no call reaches.
pub const MARKER_PART: u16 = u16::MAX;

/// Files of one name in quarantine, each damaged in another way. More is a failing disk.
const SAME_NAME_MAX: u32 = 1_000;

/// The record that stands where another was lost. It borrows the identities of a record nearby, so
/// that whoever takes it knows them; its request id is its own, and the same each time.
pub fn marker(node: NodeId, epoch: u64, sequence: u64, like: Option<&UsageRecord>) -> UsageRecord {
    let mut hash = Sha256::new();
    hash.update(node.as_bytes());
    hash.update(epoch.to_le_bytes());
    hash.update(sequence.to_le_bytes());
    let unique = hash.finalize();
    let unique = u128::from_le_bytes(*unique.first_chunk().expect("a SHA-256 has 32 bytes"));
    let admitted_at = like.map_or(Timestamp(0), |like| like.admitted_at);
    UsageRecord {
        request: RequestId::new(admitted_at.0, unique),
        part: MARKER_PART,
        last: true,
        product: like.map_or(ProductId::from_bytes([0; 16]), |like| like.product),
        plan: like.map_or(PlanId::from_bytes([0; 16]), |like| like.plan),
        subscription: like.map_or(SubscriptionId::from_bytes([0; 16]), |like| like.subscription),
        key: like.map_or(KeyId::from_bytes([0; 16]), |like| like.key),
        admitted_at,
        period_start: like.map_or(Timestamp(0), |like| like.period_start),
        duration_us: 0,
        outcome: Outcome::Aborted,
        status: 0,
        attempts: 0,
        truncated: true,
        counted: false,
        billed: false,
        calls: 0,
        units: 0,
        bytes_in: 0,
        bytes_out: 0,
    }
}

/// Puts a file in the place of a segment that holds the first `count` records of it, markers where
/// they cannot be read. A reader finds the old file or the new one, and the same records in both.
pub fn rewrite(
    disk: &dyn Disk,
    damaged: &Sealed,
    neighbour: Option<&UsageRecord>,
) -> Result<Sealed, FileError> {
    let content = contents(&damaged.path)?;
    let end = damaged.header.first + damaged.count;
    let good: Vec<(u64, &Payload)> = good_records(&content, &damaged.header)
        .take_while(|(sequence, _)| *sequence < end)
        .collect();
    let like = |sequence: u64| {
        let after = good.partition_point(|(good, _)| *good < sequence);
        let near = good.get(after).or_else(|| good.last())?;
        UsageRecord::decode(near.1).ok()
    };
    let header = Header { allocated: 0, ..damaged.header };
    let mut next = good.iter().peekable();
    write_whole(disk, &damaged.path, header, damaged.count, |sequence| {
        match next.next_if(|(good, _)| *good == sequence) {
            Some((_, payload)) => **payload,
            None => {
                let like = like(sequence);
                marker(header.node, header.epoch, sequence, like.as_ref().or(neighbour)).encode()
            }
        }
    })
}

/// How many records of a segment cannot be read, of those behind what the ledger has.
pub fn unreadable(segment: &Sealed, acknowledged: u64) -> Result<u64, FileError> {
    let content = contents(&segment.path)?;
    let wanted = segment.header.first.max(acknowledged + 1)..=segment.last();
    let good = good_records(&content, &segment.header)
        .filter(|(sequence, _)| wanted.contains(sequence))
        .count() as u64;
    Ok(wanted.end().saturating_add(1).saturating_sub(*wanted.start()) - good)
}

/// Makes a segment of nothing but markers.
pub fn fill(
    disk: &dyn Disk,
    lane: &Path,
    name: SegmentName,
    node: NodeId,
    first: u64,
    count: u64,
    like: Option<&UsageRecord>,
) -> Result<Sealed, FileError> {
    let salt = Salt(super::random());
    let header = Header { node, epoch: name.epoch, first, salt, allocated: 0 };
    write_whole(disk, &lane.join(name.to_string()), header, count, |sequence| {
        marker(node, name.epoch, sequence, like).encode()
    })
}

fn write_whole(
    disk: &dyn Disk,
    path: &Path,
    header: Header,
    count: u64,
    mut payload: impl FnMut(u64) -> Payload,
) -> Result<Sealed, FileError> {
    replace(disk, path, |file: &File| {
        let mut out = BufWriter::new(file);
        let mut head = vec![0; SLOTS_AT];
        for copy in COPIES_AT {
            let header = header.encode();
            head[copy..copy + header.len()].copy_from_slice(&header);
        }
        out.write_all(&head)?;
        for sequence in header.first..header.first + count {
            let mut slot = [0; SLOT_BYTES];
            record::write(&mut slot, header.salt.seed(), sequence, &payload(sequence));
            out.write_all(&slot)?;
        }
        out.flush()
    })?;
    Ok(Sealed { path: path.into(), header, count, bytes: bytes_of(count) })
}

/// Keeps a damaged file in quarantine, and says whether it was not there before. Its own name
/// stays, for a file that takes its place.
pub fn quarantine(disk: &dyn Disk, lane: &Path, path: &Path) -> Result<bool, FileError> {
    let Some(kept) = place_in_quarantine(disk, lane, path)? else { return Ok(false) };
    match fs::hard_link(path, &kept) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // Not every file system has hard links.
        Err(_) => {
            let content = contents(path)?;
            replace(disk, &kept, |mut file: &File| file.write_all(&content))?;
        }
    }
    let directory = lane.join(QUARANTINE);
    disk.sync_directory(&directory).map_err(at("sync", &directory))?;
    Ok(true)
}

/// Files in a lane's quarantine.
pub fn in_quarantine(lane: &Path) -> u64 {
    names(&lane.join(QUARANTINE)).map_or(0, |names| names.len() as u64)
}

/// A free name in quarantine, or none if the very same file is there already.
fn place_in_quarantine(
    disk: &dyn Disk,
    lane: &Path,
    path: &Path,
) -> Result<Option<PathBuf>, FileError> {
    let directory = lane.join(QUARANTINE);
    make_directory(disk, &directory)?;
    let file = path.file_name().expect("a file of the journal has a name").to_string_lossy();
    let same = fs::metadata(path).map_err(at("look at", path))?;
    for number in 0..SAME_NAME_MAX {
        let kept = directory.join(format!("{file}.{number}"));
        match fs::metadata(&kept) {
            Ok(other) if (other.dev(), other.ino()) == (same.dev(), same.ino()) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(kept)),
            Err(error) => return Err(at("look at", &kept)(error)),
        }
    }
    Err(at("quarantine", path)(io::Error::from(io::ErrorKind::StorageFull)))
}
