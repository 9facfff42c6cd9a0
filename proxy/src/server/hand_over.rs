//! Listening sockets for a successor, so that an upgrade refuses no connection.
//!
//! The running process offers its sockets at a path ([`Offer`]); a new one asks there first
//! ([`ask`]), starts to accept from the same queues, and says so. Only then does the old one stop.
//! If the new one fails before, nothing has happened: the old one never stopped accepting. The path
//! is taken from a socket or from nothing; what else may be there is somebody's, and is left alone.
//!
//! ```text
//! hand_over::try_place(&path)?;                        // before anything else is started
//! let inherited = hand_over::ask(&path)?;              // None: nobody runs
//! let sockets = inherited.sockets();  ..  server::run(&options, &sockets, ..)?
//! let offer = Offer::new(&path, sockets.clone())?;     // from now on successors come to us
//! inherited.confirm()?;                                // the old one drains
//! offer.taken().await;                                 // then it is our turn
//! ```
//!
//! The message: [`MAGIC`], the length of what follows (u32 LE), names of sockets with a line feed
//! after each; the descriptors go with its first byte, in the same order. The answer is [`READY`].

use std::fs;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::sockets::Sockets;

const MAGIC: &[u8; 8] = b"tollgate";
const READY: u8 = b'R';

/// Far more than a process listens on, and what the kernel passes at once is 253.
const SOCKETS_MAX: usize = 64;
/// Room for that many names.
const NAMES_BYTES_MAX: usize = 8 << 10;

/// The other side answers from memory.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a successor may take to start before another one may ask.
const START_MAX: Duration = Duration::from_secs(120);

/// Our sockets, to be had at a path by processes of the same user.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    listener: UnixListener,
    sockets: Sockets,
}

impl Offer {
    /// Takes the place of whoever offered at `path` before. Needs a runtime.
    pub fn new(path: &Path, sockets: Sockets) -> io::Result<Self> {
        is_taken(path)?;
        let temporary = temporary(path);
        remove(&temporary)?;
        let listener = UnixListener::bind(&temporary)?;
        // Never at its place with other rights than these.
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
        fs::rename(&temporary, path)?;
        Ok(Self { path: path.to_owned(), listener, sockets })
    }

    /// Ready once a successor accepts connections: the time to drain. The path is the successor's.
    pub async fn taken(self) {
        loop {
            match self.hand_over().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "a successor did not take over"),
            }
        }
    }

    /// Ends the offer without a successor.
    pub fn withdraw(self) -> io::Result<()> {
        remove(&self.path)
    }

    async fn hand_over(&self) -> io::Result<()> {
        let (mut stream, _) = self.listener.accept().await?;
        let sockets = self.sockets.copies()?;
        timeout(ANSWER_MAX, send(&stream, &sockets)).await??;
        drop(sockets);
        let mut answer = [0];
        timeout(START_MAX, stream.read_exact(&mut answer)).await??;
        if answer == [READY] { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
    }
}

/// What a predecessor has handed over. Dropped without [`confirm`](Self::confirm), the predecessor
/// goes on as if nothing had happened.
#[derive(Debug)]
pub struct Inherited {
    sockets: Sockets,
    predecessor: BlockingStream,
}

impl Inherited {
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Tells the predecessor that we accept connections, so that it stops.
    pub fn confirm(mut self) -> io::Result<()> {
        self.predecessor.write_all(&[READY])
    }
}

/// Makes sure that this process can offer its sockets at `path`, and leaves nothing there.
pub fn try_place(path: &Path) -> io::Result<()> {
    is_taken(path)?;
    let temporary = temporary(path);
    remove(&temporary)?;
    let made = std::os::unix::net::UnixListener::bind(&temporary);
    made.map_err(|error| {
        let said = format!("proxy.upgrade_socket is where no socket can be made: {error}");
        io::Error::new(error.kind(), said)
    })?;
    remove(&temporary)
}

/// Where a socket is made before it is put in its place.
fn temporary(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", process::id()));
    temporary.into()
}

/// Asks whoever offers at `path` for its sockets. None: nobody does. Blocks for a moment.
pub fn ask(path: &Path) -> io::Result<Option<Inherited>> {
    if !is_taken(path)? {
        return Ok(None);
    }
    let mut predecessor = match BlockingStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if is_nobody(error.kind()) => return Ok(None),
        Err(error) => return Err(error),
    };
    predecessor.set_read_timeout(Some(ANSWER_MAX))?;
    predecessor.set_write_timeout(Some(ANSWER_MAX))?;
    let sockets = Sockets::default();
    for (name, socket) in receive(&mut predecessor)? {
        sockets.inherit(name, socket)?;
    }
    Ok(Some(Inherited { sockets, predecessor }))
}

fn is_nobody(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

/// Whether a socket is at the path. Anything else there is an error, a link to a socket too.
fn is_taken(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => {
            let path = path.display();
            let said =
                format!("proxy.upgrade_socket takes the place of a socket, which {path} is not");
            Err(io::Error::new(ErrorKind::AlreadyExists, said))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if !is_taken(path)? {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn send(stream: &UnixStream, sockets: &[(String, OwnedFd)]) -> io::Result<()> {
    let message = encode(sockets.iter().map(|(name, _)| name.as_str()))?;
    let descriptors: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS_MAX))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
                return Err(ErrorKind::InvalidInput.into());
            }
            Ok(sendmsg(stream, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?)
        })
        .await?;
    // An empty buffer takes a message of this size whole.
    if sent == message.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

fn receive(stream: &mut BlockingStream) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut head = [0; MAGIC.len() + size_of::<u32>()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let slices = &mut [IoSliceMut::new(&mut head)];
    let received = recvmsg(&*stream, slices, &mut control, flags)?.bytes;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            descriptors.extend(sockets);
        }
    }
    stream.read_exact(&mut head[received..])?;
    let mut names = vec![0; names_length(&head)?];
    stream.read_exact(&mut names)?;
    let names = str::from_utf8(&names).map_err(|_| ErrorKind::InvalidData)?;
    let names: Vec<_> = names.lines().map(str::to_owned).collect();
    if names.len() != descriptors.len() {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(names.into_iter().zip(descriptors).collect())
}

fn encode<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> io::Result<Vec<u8>> {
    if names.len() > SOCKETS_MAX {
        return Err(ErrorKind::InvalidInput.into());
    }
    let names: String = names.flat_map(|name| [name, "\n"]).collect();
    if names.len() > NAMES_BYTES_MAX {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok([MAGIC, (names.len() as u32).to_le_bytes().as_slice(), names.as_bytes()].concat())
}

fn names_length(head: &[u8]) -> io::Result<usize> {
    let (magic, length) = head.split_at(MAGIC.len());
    let length = u32::from_le_bytes(length.try_into().expect("the head ends in four bytes"));
    let length = length as usize;
    if magic != MAGIC || length > NAMES_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(length)
}
