//! A stream that one task reads and writes at the same time.
//!
//! Request and response run in one task, so the lock is never contended; it is there because the
//! two directions hold the stream at once and the task must be `Send`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

/// Room for one read. Most requests and answers fit; a larger body comes in several reads.
pub const READ_BYTES: usize = 16 << 10;

pub struct Socket<S>(Mutex<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub fn new(stream: S) -> Self {
        Self(Mutex::new(stream))
    }

    pub fn get_mut(&mut self) -> &mut S {
        self.0.get_mut()
    }

    /// Reads what has arrived onto the end of `buffer`; 0 is the end of the stream.
    pub fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            // To its front again, which the processor still has at hand, unless a piece is in use.
            let _ = buffer.try_reclaim(READ_BYTES);
        }
        if buffer.capacity() - buffer.len() < READ_BYTES / 2 {
            buffer.reserve(READ_BYTES);
        }
        let mut stream = self.0.lock();
        tokio_util::io::poll_read_buf(Pin::new(&mut *stream), context, buffer)
    }

    pub async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_read(context, buffer)).await
    }

    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        std::future::poll_fn(|context| {
            let mut stream = self.0.lock();
            while !bytes.is_empty() {
                let written = ready!(Pin::new(&mut *stream).poll_write(context, bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                bytes.advance(written);
            }
            Pin::new(&mut *stream).poll_flush(context)
        })
        .await
    }

    /// Writes `first` and then `second`, in as few system calls as the stream allows.
    pub async fn write_both(&self, mut first: &[u8], mut second: &[u8]) -> io::Result<()> {
        if second.is_empty() {
            return self.write_all(first).await;
        }
        std::future::poll_fn(|context| {
            let mut stream = self.0.lock();
            while !first.is_empty() {
                let both = [IoSlice::new(first), IoSlice::new(second)];
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(context, &both))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                let of_first = written.min(first.len());
                first.advance(of_first);
                second.advance(written - of_first);
            }
            Poll::Ready(io::Result::Ok(()))
        })
        .await?;
        self.write_all(second).await
    }

    /// Ends the sending direction.
    pub async fn shutdown(&self) -> io::Result<()> {
        std::future::poll_fn(|context| Pin::new(&mut *self.0.lock()).poll_shutdown(context)).await
    }
}
