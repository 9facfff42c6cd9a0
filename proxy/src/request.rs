//! The head of a request, whichever protocol it came by.

use http::Method;

use crate::fields::Fields;
use crate::target::Target;

#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub method: Method,
    pub target: Target,
    /// The authority that the caller addressed: `Host`, or `:authority`.
    pub host: String,
    pub fields: Fields,
    pub framing: Framing,
    /// The caller wants to speak WebSocket on this connection.
    pub upgrade: bool,
    /// The caller waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The caller takes trailers (`TE: trailers`).
    pub takes_trailers: bool,
}

/// Where a message's body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    Empty,
    Length(u64),
    /// In chunks, or in frames of unstated number.
    Chunked,
    /// With the connection: responses only.
    UntilClose,
}

impl Framing {
    pub fn length(self) -> Option<u64> {
        match self {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        }
    }
}
