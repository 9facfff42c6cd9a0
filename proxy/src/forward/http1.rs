//! The exchange with an upstream that speaks HTTP/1.1, inside the caller's own task.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use tokio::time::Instant;
use tollgate_common::refusal::Refusal;

use super::answer::{AnswerBody, AnswerBroken, Piece, Relay};
use super::fields::{write_head, write_without_key};
use super::progress::{Progress, Stopped, hand_over};
use super::{Broken, Call, Failure, Unseen};
use crate::fields::{Fields, Known};
use crate::http1::body::{BodyDecoder, BodyMalformed, Decoded};
use crate::http1::names_websocket;
use crate::http1::patience::{Elapsed, Patience};
use crate::http1::response::{ResponseHead, take, write_chunk_size};
use crate::http1::socket::Socket;
use crate::pass;
use crate::request::Framing;
use crate::respond::{BodyEnd, RequestBody, Responder};
use crate::upstream::{Upstream, UpstreamStream};

/// A connection to an upstream, with all that an exchange on it needs.
pub struct Line {
    socket: Socket<UpstreamStream>,
    buffer: BytesMut,
    head: ResponseHead,
    out: Vec<u8>,
    own: Fields,
    patience: Patience,
    /// It has served an exchange before, so the upstream may have closed it by now.
    reused: bool,
}

impl Line {
    pub fn new(stream: UpstreamStream) -> Self {
        Self {
            socket: Socket::new(stream),
            buffer: BytesMut::new(),
            head: ResponseHead::default(),
            out: Vec::with_capacity(1 << 10),
            own: Fields::default(),
            patience: Patience::default(),
            reused: false,
        }
    }

    /// Whether nothing has come since the last exchange: neither bytes nor an end.
    pub fn is_quiet(&mut self) -> bool {
        self.buffer.is_empty() && self.socket.get_mut().is_quiet()
    }

    async fn send_head(
        &mut self,
        call: &Call<'_>,
        upstream: &Upstream,
        timeout: Duration,
    ) -> Result<(), Broken> {
        self.own.clear();
        self.own.push_request_id(call.request);
        write_head(call, upstream, &self.own, &mut self.out);
        match self.patience.within(timeout, self.socket.write_all(&self.out)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                Err(Broken { failure: Failure::UpstreamBroke, unseen: unseen(self.reused) })
            }
            Err(Elapsed) => Err(Failure::UpstreamSilent.into()),
        }
    }
}

/// Sends the call and passes the answer on. Gives the line back when another may use it.
pub(super) async fn exchange(
    mut line: Box<Line>,
    call: &mut Call<'_>,
    upstream: &Upstream,
    body: &mut impl RequestBody,
    responder: &mut impl Responder,
) -> Result<Option<Box<Line>>, Broken> {
    let settings = upstream.settings();
    let timeout = Duration::from_millis(settings.response_timeout_ms);
    let silence = Duration::from_millis(settings.idle_timeout_ms);
    line.send_head(call, upstream, timeout).await?;

    let Line { socket, buffer, head, out, own, patience, reused } = &mut *line;
    let progress = &Progress::of(call.head.framing);
    let bytes_max = call.body_bytes_max();
    let key = &*call.admitted.credential;
    let sending =
        Sending { socket, out, progress, patience: Patience::default(), silence, bytes_max, key };
    let is_upgrade = call.head.upgrade;
    let mut answering =
        Answering { socket, buffer, head, patience, progress, is_upgrade, has_heard: false };
    let method = &call.head.method;
    let tunnel = is_upgrade && answering.agreement(method, timeout, body, responder).await?;

    let framing = if tunnel { Framing::UntilClose } else { call.head.framing };
    let sending = sending.run(framing, body);
    let receiving = async {
        if !is_upgrade {
            answering.head(method, timeout, responder).await?;
        }
        let mut source = Source::new(answering.socket, answering.buffer, answering.head.framing);
        let mut relay = Relay {
            grant: &mut call.admitted.grant,
            weight: &call.admitted.weight,
            limits: &call.admitted.limits,
            progress,
            idle: silence,
        };
        relay.run(answering.head, &mut source, own, answering.patience, responder).await
    };
    let ended = tokio::select! {
        biased;
        received = receiving => received,
        failure = sending => Err(failure),
    };
    if let Err(failure) = ended {
        call.admitted.grant.bytes_in = progress.bytes_in();
        let is_cut = failure == Failure::UpstreamBroke && !answering.has_heard;
        return Err(Broken { failure, unseen: unseen(is_cut && *reused) });
    }
    let keeps = line.head.keeps_connection && line.buffer.is_empty() && !tunnel;
    let keeps = keeps && !is_authenticating(&call.head.fields);
    line.reused = true;
    Ok((keeps && progress.is_sent()).then_some(line))
}

/// Whether a server takes the connection for the caller's own from here on, as some do by these schemes (RFC 4559,
/// section 6): no other caller may have it.
fn is_authenticating(fields: &Fields) -> bool {
    let is_bound = |value: &[u8]| {
        let scheme = value.trim_ascii_start().split(u8::is_ascii_whitespace).next();
        let schemes = [&b"NTLM"[..], b"Negotiate"];
        scheme.is_some_and(|scheme| schemes.iter().any(|bound| scheme.eq_ignore_ascii_case(bound)))
    };
    fields.values(Known::Authorization).any(is_bound)
}

fn unseen(is_likely: bool) -> Option<Unseen> {
    is_likely.then_some(Unseen::Likely)
}

/// The request body on its way.
struct Sending<'a> {
    socket: &'a Socket<UpstreamStream>,
    out: &'a mut Vec<u8>,
    progress: &'a Progress,
    patience: Patience,
    /// For how long the upstream may take nothing.
    silence: Duration,
    bytes_max: u64,
    /// The caller's key, which does not go on.
    key: &'a [u8],
}

impl Sending<'_> {
    /// Sends the body and then watches for the caller leaving. Ends only when the call must end; an
    /// upstream that takes no more is not a reason, since it may have answered already.
    async fn run(mut self, framing: Framing, body: &mut impl RequestBody) -> Failure {
        if let Err(stopped) = self.send(framing, body).await {
            return match stopped.failure() {
                Some(failure) => failure,
                None => std::future::pending().await,
            };
        }
        if framing == Framing::UntilClose {
            // One direction of a tunnel has ended; the other goes on.
            let _ = self.socket.shutdown().await;
            return std::future::pending().await;
        }
        body.gone().await;
        Failure::CallerGone
    }

    async fn send(&mut self, framing: Framing, body: &mut impl RequestBody) -> Result<(), Stopped> {
        if framing == Framing::Empty {
            return Ok(());
        }
        let chunked = framing == Framing::Chunked;
        while let Some(piece) = self.progress.piece(body).await.map_err(Stopped::Caller)? {
            let passed = self.progress.bytes_in.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if framing != Framing::UntilClose && passed + piece.len() as u64 > self.bytes_max {
                return Err(Stopped::Caller(BodyEnd::Refused(Refusal::ContentTooLarge)));
            }
            if framing.length().is_some_and(|length| passed + piece.len() as u64 > length) {
                // What is over would be read as the next request.
                return Err(Stopped::Caller(BodyEnd::Refused(Refusal::RequestMalformed)));
            }
            self.write(&piece, framing, body).await?;
        }
        if chunked {
            self.out.clear();
            self.out.extend_from_slice(b"0\r\n");
            for field in body.trailers().into_iter().flat_map(pass::trailers) {
                write_without_key(&field, self.key, self.out);
            }
            self.out.extend_from_slice(b"\r\n");
            let end = self.socket.write_all(self.out);
            hand_over(&mut self.patience, self.silence, self.progress, body, end).await?;
        }
        self.progress.has_sent();
        Ok(())
    }

    async fn write(
        &mut self,
        piece: &[u8],
        framing: Framing,
        body: &mut impl RequestBody,
    ) -> Result<(), Stopped> {
        if piece.is_empty() {
            // A chunk of nothing would be the last.
            return Ok(());
        }
        self.out.clear();
        let chunked = framing == Framing::Chunked;
        if chunked {
            write_chunk_size(piece.len(), self.out);
        }
        let (socket, out) = (self.socket, &*self.out);
        let write = async {
            socket.write_both(out, piece).await?;
            if chunked { socket.write_all(b"\r\n").await } else { Ok(()) }
        };
        if framing != Framing::UntilClose {
            let (silence, progress) = (self.silence, self.progress);
            return hand_over(&mut self.patience, silence, progress, body, write).await;
        }
        // In a tunnel the caller may end its half; what it has said before goes on all the same. One half
        // that is stuck is stuck as a whole.
        match self.patience.within(self.silence, write).await {
            Ok(written) => written.map_err(|_| Stopped::Upstream),
            Err(Elapsed) => Err(Stopped::Silent),
        }
    }
}

/// The answer on its way, until its head is whole.
struct Answering<'a> {
    socket: &'a Socket<UpstreamStream>,
    buffer: &'a mut BytesMut,
    head: &'a mut ResponseHead,
    patience: &'a mut Patience,
    progress: &'a Progress,
    is_upgrade: bool,
    /// Something has come, be it an interim head.
    has_heard: bool,
}

/// Interim heads that one answer may have: more is a flood.
const INTERIM_HEADS_MAX: usize = 16;

impl Answering<'_> {
    /// Waits for what the upstream says to a change of protocol: whether it agrees. Nothing of the
    /// caller's may pass before it has.
    async fn agreement(
        &mut self,
        method: &Method,
        timeout: Duration,
        body: &mut impl RequestBody,
        responder: &mut impl Responder,
    ) -> Result<bool, Failure> {
        tokio::select! {
            biased;
            received = self.head(method, timeout, responder) => received?,
            () = body.gone() => return Err(Failure::CallerGone),
        }
        let agrees = self.head.status == 101;
        if agrees {
            self.head.framing = Framing::UntilClose;
            body.open_tunnel();
        }
        Ok(agrees)
    }

    /// Waits for the final head; interim ones are passed on.
    async fn head(
        &mut self,
        method: &Method,
        timeout: Duration,
        responder: &mut impl Responder,
    ) -> Result<(), Failure> {
        for _ in 0..INTERIM_HEADS_MAX {
            self.next_head(method, timeout).await?;
            // To change to a protocol unasked is to say something else than HTTP.
            let is_agreed = self.is_upgrade && names_websocket(&self.head.fields);
            if self.head.status == 101 && !is_agreed {
                return Err(Failure::UpstreamMalformed);
            }
            if !self.head.is_interim() {
                return Ok(());
            }
            if self.head.status != 100 {
                let interim = responder.interim(self.head.status, &self.head.fields);
                interim.await.map_err(|_| Failure::CallerGone)?;
            }
        }
        Err(Failure::UpstreamMalformed)
    }

    /// Waits for the first byte of a head, and no longer than that again for its last.
    async fn next_head(&mut self, method: &Method, timeout: Duration) -> Result<(), Failure> {
        let mut seen = 0;
        let mut deadline = None;
        loop {
            let whole = take(self.buffer, seen, method, self.head);
            if whole.map_err(|_| Failure::UpstreamMalformed)? {
                return Ok(());
            }
            seen = self.buffer.len();
            if seen > 0 {
                deadline.get_or_insert_with(|| Instant::now() + timeout);
            }
            let read = self.socket.read(self.buffer);
            let read = match deadline {
                Some(deadline) => self.patience.by(deadline, read).await,
                None => self.patience.within(timeout, read).await,
            };
            match read {
                Ok(Ok(read)) if read > 0 => self.has_heard = true,
                Ok(_) => return Err(Failure::UpstreamBroke),
                Err(Elapsed) => match self.progress.more_time(timeout) {
                    Some(due) => deadline = Some(due),
                    None => return Err(Failure::UpstreamSilent),
                },
            }
        }
    }
}

/// The body of an answer on this line.
struct Source<'a> {
    socket: &'a Socket<UpstreamStream>,
    buffer: &'a mut BytesMut,
    decoder: BodyDecoder,
    /// Decoded already, to learn whether the piece before it was the last.
    ahead: Option<Result<Bytes, AnswerBroken>>,
}

impl<'a> Source<'a> {
    fn new(socket: &'a Socket<UpstreamStream>, buffer: &'a mut BytesMut, framing: Framing) -> Self {
        Self { socket, buffer, decoder: BodyDecoder::new(framing), ahead: None }
    }

    /// A piece, and whether what has arrived behind it already ends the body.
    /// What is wrong behind it is said when it is asked for, so that the piece itself is not lost.
    fn with_end(&mut self, data: Bytes) -> Piece {
        if !self.decoder.ends_with_connection() && !self.decoder.is_done() {
            self.ahead = match self.decoder.decode(self.buffer) {
                Ok(Decoded::Data(ahead)) => Some(Ok(ahead)),
                Ok(Decoded::More | Decoded::End) => None,
                Err(BodyMalformed) => Some(Err(AnswerBroken)),
            };
        }
        Piece { data, last: self.decoder.is_done() && self.ahead.is_none() }
    }
}

impl AnswerBody for Source<'_> {
    async fn piece(&mut self) -> Result<Piece, AnswerBroken> {
        if let Some(ahead) = self.ahead.take() {
            return ahead.map(|ahead| self.with_end(ahead));
        }
        loop {
            match self.decoder.decode(self.buffer).map_err(|_| AnswerBroken)? {
                Decoded::Data(data) => return Ok(self.with_end(data)),
                Decoded::End => return Ok(Piece { data: Bytes::new(), last: true }),
                Decoded::More => {}
            }
            let read = self.socket.read(self.buffer).await.map_err(|_| AnswerBroken)?;
            if read == 0 {
                let is_end = self.decoder.ends_with_connection();
                let end = Piece { data: Bytes::new(), last: true };
                return if is_end { Ok(end) } else { Err(AnswerBroken) };
            }
        }
    }

    fn trailers(&self) -> Option<&Fields> {
        Some(self.decoder.trailers()).filter(|trailers| !trailers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[&str]) -> Fields {
        let mut fields = Fields::default();
        for value in values {
            fields.push(b"authorization", value.as_bytes());
        }
        fields
    }

    #[test]
    fn a_connection_is_the_callers_own_by_any_of_its_authorizations_however_it_is_spaced() {
        for values in [
            &["NTLM TlRM"][..],
            &["negotiate"],
            &[" NTLM TlRM"],
            &["\tNegotiate\tYII"],
            &["Basic dXNlcjpwYXNz", "ntlm TlRM"],
        ] {
            assert!(is_authenticating(&fields(values)), "{values:?}");
        }
        for values in [&[][..], &[""], &["Basic NTLM"], &["NTLMv2 x", "Bearer Negotiate"]] {
            assert!(!is_authenticating(&fields(values)), "{values:?}");
        }
    }
}
