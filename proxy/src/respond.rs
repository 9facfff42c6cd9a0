//! The two halves of a caller, whichever protocol it speaks: the body that it sends, and the
//! answer that it gets.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tollgate_common::refusal::Refusal;

use crate::fields::Fields;
use crate::request::Framing;

/// Why no more of a request body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// The caller broke a rule and is to be answered with this.
    Refused(Refusal),
    /// The caller has left.
    Gone,
}

pub trait RequestBody: Send {
    /// The next piece; None is the end.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, BodyEnd>> + Send;

    /// What followed the end.
    fn trailers(&self) -> Option<&Fields>;

    /// From here on no rate is asked of the body.
    fn take_time(&mut self);

    /// From here on the body may be silent for so long, at the most.
    fn limit_silence(&mut self, silence: Duration);

    /// From here on every byte of the caller belongs to a tunnel.
    fn open_tunnel(&mut self);

    /// Ends when the caller leaves. Waited for only once the body is at its end.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

/// The head of an answer, on its way to the caller.
pub struct AnswerHead<'a> {
    pub status: u16,
    /// Fields of the upstream; those that concern only its connection are left out on the way.
    pub fields: &'a Fields,
    /// Fields of the gateway, said after the upstream's.
    pub own: &'a Fields,
    pub framing: Framing,
}

pub trait Responder: Send {
    /// Sends a head that another follows.
    fn interim(
        &mut self,
        status: u16,
        fields: &Fields,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Says the head; it may wait for the first piece of the body.
    fn head(&mut self, head: &AnswerHead<'_>);

    /// Sends a piece of the body and whatever has waited.
    fn piece(&mut self, piece: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends the last piece and the end.
    fn finish(
        &mut self,
        last: Bytes,
        trailers: Option<&Fields>,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Breaks the answer off, so that the caller cannot take it for whole.
    fn abort(&mut self);
}
