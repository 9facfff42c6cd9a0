//! The journal directory: whose it is, which process may write where, and the epochs.
//!
//! ```text
//! node            the gateway's identity, made once
//! epoch           the last epoch that was begun
//! lock            held for a moment by a process that starts
//! lane-0/         one process's files
//!   lock          held by the process that writes here
//!   checkpoint    what removed segments counted
//!   acknowledged  how far the ledger has each epoch
//!   *.segment
//!   quarantine/   damaged files
//! lane-1/         of a second process, during an upgrade
//! ```

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, IFlags, flock};
use tollgate_common::ids::NodeId;
use tollgate_common::time::Timestamp;
use uuid::Uuid;

use super::disk::Disk;
use super::error::{FileError, OpenError, at};
use super::scan::{contents, names, segment_files};
use super::segment::{create_or_open, replace};

const DIRECTORY_MODE: u32 = 0o700;

/// Another process that starts holds the directory's lock for less than this.
const START_WAIT: Duration = Duration::from_millis(20);
const START_TRIES: u32 = 100;

/// `BTRFS_SUPER_MAGIC` of Linux.
const BTRFS_MAGIC: rustix::fs::FsWord = 0x9123_683e;

/// A lane that this process holds, until it lets go of it.
pub struct HeldLane {
    pub dir: PathBuf,
    lock: Option<File>,
}

impl HeldLane {
    pub fn is_held(&self) -> bool {
        self.lock.is_some()
    }

    /// Another process may write there from now on. It can still be read.
    pub fn let_go(&mut self) {
        self.lock = None;
    }
}

pub struct Directory {
    pub node: NodeId,
    /// The first one is written to.
    pub held: Vec<HeldLane>,
    /// Lanes of other processes.
    pub busy: Vec<PathBuf>,
}

/// Whether another process may hold a part of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    Alone,
    Beside,
}

pub fn open(disk: &dyn Disk, root: &Path, company: Company) -> Result<Directory, OpenError> {
    own_directory(disk, root)?;
    let _starting = starting_lock(root)?;
    let Lanes { mut held, busy, next } = lanes(root)?;
    if company == Company::Alone && !busy.is_empty() {
        return Err(OpenError::Busy(root.to_owned()));
    }
    if held.is_empty() {
        held.push(new_lane(disk, root, next)?);
    }
    let node = node(disk, root)?;
    Ok(Directory { node, held, busy })
}

/// Begins an epoch that neither this directory nor an earlier one of the same node has seen: the
/// last one tells the first, the time of day the second.
pub fn begin_epoch(disk: &dyn Disk, root: &Path, now: Timestamp) -> Result<u64, OpenError> {
    let _starting = starting_lock(root)?;
    let path = root.join("epoch");
    let (mut last, mut said_by) = (last_epoch(root)?.unwrap_or(0), path.clone());
    for number in lane_numbers(root)? {
        if let Some((name, path)) = segment_files(&lane_path(root, number))?.pop()
            && name.epoch > last
        {
            (last, said_by) = (name.epoch, path);
        }
    }
    let next = last.checked_add(1).ok_or(OpenError::Damaged(said_by))?;
    let epoch = u64::try_from(now.0).unwrap_or(0).max(next);
    replace(disk, &path, |mut file| writeln!(file, "{epoch}"))?;
    Ok(epoch)
}

/// The last epoch that was begun; None if none was. One that nothing can follow never was.
pub fn last_epoch(root: &Path) -> Result<Option<u64>, OpenError> {
    let path = root.join("epoch");
    let Some(text) = text(&path)? else { return Ok(None) };
    let epoch = text.trim().parse().ok().filter(|epoch| *epoch < u64::MAX);
    epoch.map(Some).ok_or(OpenError::Damaged(path))
}

/// Takes a lane if no process holds it.
pub fn try_hold(lane: &Path) -> Result<Option<HeldLane>, FileError> {
    let path = lane.join("lock");
    let lock = create_or_open(&path)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(HeldLane { dir: lane.to_owned(), lock: Some(lock) })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(at("lock", &path)(error.into())),
    }
}

/// Makes a directory that only this user can look into, for good.
pub fn make_directory(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(at("create", path)(error)),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_directory(parent).map_err(at("sync", parent))?;
    }
    Ok(())
}

fn own_directory(disk: &dyn Disk, root: &Path) -> Result<(), OpenError> {
    let found = match fs::metadata(root) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
            if parent.is_some_and(|parent| !parent.exists()) {
                return Err(OpenError::NoParent(root.to_owned()));
            }
            return Ok(make_directory(disk, root)?);
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(OpenError::NotADirectory(root.to_owned()));
        }
        Err(error) => return Err(at("look at", root)(error).into()),
    };
    if !found.is_dir() {
        return Err(OpenError::NotADirectory(root.to_owned()));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(OpenError::WrongOwner { path: root.to_owned(), owner: found.uid(), user });
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a process that starts has no calls to serve yet")]
fn starting_lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let lock = create_or_open(&path)?;
    for _ in 0..START_TRIES {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(START_WAIT),
            Err(error) => return Err(at("lock", &path)(error.into()).into()),
        }
    }
    Err(OpenError::Busy(root.to_owned()))
}

struct Lanes {
    held: Vec<HeldLane>,
    busy: Vec<PathBuf>,
    /// A number that no lane has.
    next: usize,
}

fn lanes(root: &Path) -> Result<Lanes, OpenError> {
    let numbers = lane_numbers(root)?;
    let next = numbers.last().map_or(0, |last| last + 1);
    let (mut held, mut busy) = (Vec::new(), Vec::new());
    for number in numbers {
        let lane = lane_path(root, number);
        match try_hold(&lane)? {
            Some(lane) => held.push(lane),
            None => busy.push(lane),
        }
    }
    Ok(Lanes { held, busy, next })
}

/// The numbers of the lanes there are, in order. There is one more for a new lane.
pub fn lane_numbers(root: &Path) -> Result<Vec<usize>, OpenError> {
    let mut numbers: Vec<usize> =
        names(root)?.iter().filter_map(|name| name.strip_prefix("lane-")?.parse().ok()).collect();
    numbers.sort_unstable();
    match numbers.last() {
        Some(&usize::MAX) => Err(OpenError::Damaged(lane_path(root, usize::MAX))),
        Some(_) | None => Ok(numbers),
    }
}

fn new_lane(disk: &dyn Disk, root: &Path, number: usize) -> Result<HeldLane, OpenError> {
    let lane = lane_path(root, number);
    make_directory(disk, &lane)?;
    write_in_place(&lane).map_err(at("set writing in place for", &lane))?;
    try_hold(&lane)?.ok_or(OpenError::Busy(lane))
}

pub fn lane_path(root: &Path, number: usize) -> PathBuf {
    root.join(format!("lane-{number}"))
}

/// Btrfs writes a block elsewhere each time, so that a reserved one is no promise for its second
/// writing; it can be told not to.
fn write_in_place(lane: &Path) -> io::Result<()> {
    if rustix::fs::statfs(lane)?.f_type != BTRFS_MAGIC {
        return Ok(());
    }
    let directory = File::open(lane)?;
    let flags = rustix::fs::ioctl_getflags(&directory)?;
    rustix::fs::ioctl_setflags(&directory, flags | IFlags::NOCOW)?;
    Ok(())
}

fn node(disk: &dyn Disk, root: &Path) -> Result<NodeId, OpenError> {
    if let Some(node) = known_node(root)? {
        return Ok(node);
    }
    let node = NodeId(Uuid::now_v7());
    replace(disk, &root.join("node"), |mut file| writeln!(file, "{node}"))?;
    Ok(node)
}

/// Whose directory it is; None if nobody has begun to write there.
pub fn known_node(root: &Path) -> Result<Option<NodeId>, OpenError> {
    let path = root.join("node");
    let Some(text) = text(&path)? else { return Ok(None) };
    let node = text.trim().parse::<NodeId>().ok().filter(|node| node.0 != Uuid::nil());
    node.map(Some).ok_or(OpenError::Damaged(path))
}

fn text(path: &Path) -> Result<Option<String>, OpenError> {
    match contents(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(OpenError::Damaged(path.to_owned())),
        },
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
