//! What can go wrong with a journal, each with what an operator needs to mend it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tollgate_common::ids::NodeId;

use super::header::VERSION;
use super::options::{
    BYTES_MAX_SEGMENTS_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SYNC_INTERVAL_MAX,
    SYNC_INTERVAL_MIN,
};

/// A call on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct FileError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

/// Adds what was tried, and on which file, to an error of the operating system.
pub(super) fn at<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// Why a journal cannot be opened or looked at. The node does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "a journal segment is from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes long, not {0}"
    )]
    SegmentBytes(u64),
    #[error(
        "a journal needs room for {BYTES_MAX_SEGMENTS_MIN} segments at least; {0} bytes are less"
    )]
    BytesMax(u64),
    #[error(
        "a journal is synced every {SYNC_INTERVAL_MIN:?} to {SYNC_INTERVAL_MAX:?}, not every {0:?}"
    )]
    SyncInterval(Duration),
    #[error("the journal directory {0} is in use by another process")]
    Busy(PathBuf),
    #[error("{0} must be the journal directory, but it is not a directory")]
    NotADirectory(PathBuf),
    #[error("{0} is no journal directory: it has neither a node, nor an epoch, nor a lane")]
    NoJournal(PathBuf),
    #[error("the journal directory {0} cannot be made: the directory above it does not exist")]
    NoParent(PathBuf),
    #[error("{path} belongs to user {owner}, but this process runs as user {user}")]
    WrongOwner { path: PathBuf, owner: u32, user: u32 },
    #[error(
        "the file system of {0} cannot reserve space (fallocate), so a full disk could lose calls in flight"
    )]
    CannotReserve(PathBuf),
    #[error("{0} is damaged: what it holds is not what was written there")]
    Damaged(PathBuf),
    #[error("{path} was written by node {found}, but the journal directory is that of node {node}")]
    OtherNode { path: PathBuf, found: NodeId, node: NodeId },
    #[error("{path} has format version {found}; this program knows version {VERSION}")]
    Version { path: PathBuf, found: u32 },
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a record was not taken. The call that it stands for must not be answered as a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the journal has no room, not even in its reserve")]
    Full,
    #[error("the journal is closed")]
    Closed,
}

/// The record is in the journal, but neither syncing it nor writing it anew succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal could not be written to disk")]
pub struct SyncFailed;

/// Why no batch could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is being written anew without what was lost; the next try will find it mended.
    #[error("{0} is damaged and is being mended")]
    Damaged(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why an acknowledgement cannot be of this journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeError {
    #[error("epoch {0} is not one of this journal")]
    UnknownEpoch(u64),
    #[error(
        "the ledger has records of epoch {epoch} up to {through}, but only {appended} were appended: another node has the same id"
    )]
    NotAppended { epoch: u64, through: u64, appended: u64 },
}
