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
//! inherited.confirm()?;                                // the old one drains
//! let offer = Offer::new(&path, sockets.clone(), data)?; // from now on successors come to us
//! offer.taken().await;                                 // then it is our turn
//! ```
//!
//! The message: [`MAGIC`], the length of what follows (u32 LE), names of sockets with a line feed
//! after each; the descriptors go with its first byte, in the same order. The answer is [`READY`].
//! One of the descriptors is no socket but the directory of the data, named [`DATA`]: to a version that
//! does not know of it, a socket that nobody wants.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
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
const DATA: &str = "data_dir";

/// One for each core, and a few: the kernel passes 253 at once.
const SOCKETS_MAX: usize = 253;
/// Room for that many names.
const NAMES_BYTES_MAX: usize = 16 << 10;

/// The other side answers from memory.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Somebody who ends while it is asked has let go of the path within less than this.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASK_TRIES: u32 = 10;

/// How long a successor may take to start before another one may ask.
const START_MAX: Duration = Duration::from_secs(120);

/// Our sockets, to be had at a path by processes of the same user.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    listener: UnixListener,
    sockets: Sockets,
    data: File,
}

impl Offer {
    /// Takes the place of whoever offered at `path` before; `data` is the directory that a successor has
    /// to have its data in. Needs a runtime.
    pub fn new(path: &Path, sockets: Sockets, data: File) -> io::Result<Self> {
        is_taken(path)?;
        let temporary = temporary(path);
        remove(&temporary)?;
        let listener = UnixListener::bind(&temporary)?;
        // Never at its place with other rights than these.
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
        fs::rename(&temporary, path)?;
        Ok(Self { path: path.to_owned(), listener, sockets, data })
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
        let mut sockets = self.sockets.copies()?;
        sockets.push((DATA.to_owned(), self.data.try_clone()?.into()));
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
    path: PathBuf,
    sockets: Sockets,
    /// None: the predecessor is of a version that does not say.
    data: Option<File>,
    predecessor: BlockingStream,
}

impl Inherited {
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Where the predecessor has its data, if it is known to be another directory than ours.
    pub fn data_elsewhere(&self, ours: &Path) -> io::Result<Option<PathBuf>> {
        let Some(data) = &self.data else { return Ok(None) };
        let (theirs, ours) = (data.metadata()?, fs::metadata(ours)?);
        if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
            return Ok(None);
        }
        fs::read_link(format!("/proc/self/fd/{}", data.as_raw_fd())).map(Some)
    }

    /// Tells the predecessor that we accept connections, so that it stops. Where it has ended meanwhile
    /// nobody is left to be told; an error means that it goes on.
    pub fn confirm(mut self) -> io::Result<()> {
        match self.predecessor.write_all(&[READY]) {
            Err(error) if has_hung_up(error.kind()) => match ask(&self.path) {
                Ok(None) => Ok(()),
                Ok(Some(_)) | Err(_) => {
                    let said = "the process to relieve has not waited for this one, and goes on";
                    Err(io::Error::new(error.kind(), said))
                }
            },
            told => told,
        }
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
#[expect(clippy::disallowed_methods, reason = "a process that starts has no calls to serve yet")]
pub fn ask(path: &Path) -> io::Result<Option<Inherited>> {
    let mut asked = ask_once(path);
    for _ in 1..ASK_TRIES {
        if !asked.as_ref().is_err_and(|error| has_hung_up(error.kind())) {
            break;
        }
        std::thread::sleep(ASK_AGAIN);
        asked = ask_once(path);
    }
    asked
}

fn ask_once(path: &Path) -> io::Result<Option<Inherited>> {
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
    let (sockets, mut data) = (Sockets::default(), None);
    for (name, descriptor) in receive(&mut predecessor)? {
        match name.as_str() {
            DATA => data = Some(descriptor.into()),
            _ => sockets.inherit(name, descriptor)?,
        }
    }
    Ok(Some(Inherited { path: path.to_owned(), sockets, data, predecessor }))
}

/// Whether the other side has let go of the connection.
fn has_hung_up(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
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
