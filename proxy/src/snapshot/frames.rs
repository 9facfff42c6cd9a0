//! Cuts a stream of bytes, as it arrives, into frames.

use bytes::{Buf, Bytes, BytesMut};
use tollgate_common::snapshot::wire::{self, Frame, FrameError};

/// Holds what has arrived and was not taken: at most one frame that is not whole, and the frames
/// of the last piece.
#[derive(Default)]
pub struct Frames {
    buffer: BytesMut,
    /// Up to here the buffer was read as frames.
    read: usize,
}

impl Frames {
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next frame, or None until more bytes have arrived.
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((frame, used)) = wire::decode(&self.buffer[self.read..])? else {
            return Ok(None);
        };
        self.read += used;
        Ok(Some(frame))
    }

    /// The bytes of the frames that were read since the last call, as they were sent.
    pub fn take_read(&mut self) -> Bytes {
        self.buffer.split_to(std::mem::take(&mut self.read)).freeze()
    }

    /// The bytes that are no whole frame yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.read..]
    }

    /// Lets go of the frames that were read since the last call: how many bytes they had.
    pub fn skip_read(&mut self) -> usize {
        let read = std::mem::take(&mut self.read);
        self.buffer.advance(read);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_the_bytes_were_cut() {
        let mut sent = Vec::new();
        wire::encode(&Frame::Begin { full: true }, &mut sent);
        wire::encode(&Frame::Commit { revision: 9, entries: 0 }, &mut sent);
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        let mut bytes = Vec::new();

        for byte in &sent {
            frames.push(std::slice::from_ref(byte));
            while let Some(frame) = frames.next().unwrap() {
                seen.push(frame);
            }
            bytes.extend_from_slice(&frames.take_read());
        }

        let begin = Frame::Begin { full: true };
        assert_eq!(seen, [begin, Frame::Commit { revision: 9, entries: 0 }]);
        assert_eq!(bytes, sent);
        assert_eq!(frames.skip_read(), 0);
        frames.push(&sent[..3]);
        assert_eq!(frames.next(), Ok(None));
        assert_eq!(frames.rest(), &sent[..3]);
    }
}
