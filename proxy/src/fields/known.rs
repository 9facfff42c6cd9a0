//! What a header field is, by its name.

use self::Name::{Beginning, Whole};

/// What the gateway must know a field by. Everything else only passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    ApiKey,
    Authorization,
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    /// `Forwarded` and `X-Forwarded-*`, `X-Real-IP`: who the caller says that it is.
    Forwarded,
    /// The `X-Forwarded-For` chain, read only when a trusted proxy wrote it.
    ForwardedFor,
    Host,
    /// Hop-by-hop by name: `Keep-Alive`, `Proxy-*`.
    HopByHop,
    /// Limits are stated by the gateway, not by the upstream: `RateLimit*`, `X-RateLimit-*`.
    RateLimit,
    Referer,
    RequestId,
    Te,
    /// `X-Tollgate-*`.
    Tollgate,
    Trailer,
    TransferEncoding,
    Upgrade,
    Other,
}

impl Known {
    /// Classifies a field name. Case does not matter, and what is no letter or digit counts as `-`:
    /// once a field has become an environment variable, all of them are `_` on many servers.
    pub fn of(name: &[u8]) -> Known {
        let Some(first) = name.first() else { return Known::Other };
        let names: &[Name] = match FOLDED[usize::from(*first)] {
            b'a' => &[Whole(b"authorization", Known::Authorization)],
            b'c' => &[
                Whole(b"connection", Known::Connection),
                Whole(b"content-length", Known::ContentLength),
                Whole(b"cookie", Known::Cookie),
            ],
            b'd' => &[Whole(b"date", Known::Date)],
            b'e' => &[Whole(b"expect", Known::Expect)],
            b'f' => &[Whole(b"forwarded", Known::Forwarded)],
            b'h' => &[Whole(b"host", Known::Host), Whole(b"http2-settings", Known::HopByHop)],
            b'k' => &[Whole(b"keep-alive", Known::HopByHop)],
            b'p' => &[
                Whole(b"proxy-connection", Known::HopByHop),
                Whole(b"proxy-authenticate", Known::HopByHop),
                Whole(b"proxy-authorization", Known::HopByHop),
                Whole(b"proxy-authentication-info", Known::HopByHop),
            ],
            b'r' => &[Whole(b"referer", Known::Referer), Beginning(b"ratelimit", Known::RateLimit)],
            b't' => &[
                Whole(b"te", Known::Te),
                Whole(b"trailer", Known::Trailer),
                Whole(b"transfer-encoding", Known::TransferEncoding),
            ],
            b'u' => &[Whole(b"upgrade", Known::Upgrade)],
            b'x' => &[
                Whole(b"x-api-key", Known::ApiKey),
                Whole(b"x-forwarded-for", Known::ForwardedFor),
                Whole(b"x-real-ip", Known::Forwarded),
                Whole(b"x-request-id", Known::RequestId),
                Beginning(b"x-tollgate-", Known::Tollgate),
                Beginning(b"x-forwarded-", Known::Forwarded),
                Beginning(b"x-ratelimit-", Known::RateLimit),
            ],
            _ => &[],
        };
        names.iter().find_map(|known| known.of(name)).unwrap_or(Known::Other)
    }

    /// Its own bit of a set of kinds.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A name, or how names begin, in small letters, and what it is known as.
enum Name {
    Whole(&'static [u8], Known),
    Beginning(&'static [u8], Known),
}

impl Name {
    fn of(&self, name: &[u8]) -> Option<Known> {
        match *self {
            Whole(folded, known) if name.len() == folded.len() => begins(name, folded, known),
            Whole(..) => None,
            Beginning(folded, known) => begins(name, folded, known),
        }
    }
}

/// Each byte as names are compared: in small letters, with `-` for what is no letter or digit.
const FOLDED: [u8; 256] = {
    let mut folded = [0; 256];
    let mut byte = 0;
    while byte < folded.len() {
        let is_plain = (byte as u8).is_ascii_alphanumeric();
        folded[byte] = if is_plain { (byte as u8).to_ascii_lowercase() } else { b'-' };
        byte += 1;
    }
    folded
};

fn begins(name: &[u8], folded: &[u8], known: Known) -> Option<Known> {
    let is_so = name.len() >= folded.len()
        && name.iter().zip(folded).all(|(byte, folded)| FOLDED[usize::from(*byte)] == *folded);
    is_so.then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_with_any_byte_between_words() {
        assert_eq!(Known::of(b"X-Tollgate-Plan"), Known::Tollgate);
        assert_eq!(Known::of(b"x_tollgate_plan"), Known::Tollgate);
        assert_eq!(Known::of(b"X.Tollgate!Plan"), Known::Tollgate);
        assert_eq!(Known::of(b"X_Forwarded_For"), Known::ForwardedFor);
        assert_eq!(Known::of(b"CONTENT-LENGTH"), Known::ContentLength);
        assert_eq!(Known::of(b"Proxy-Authentication-Info"), Known::HopByHop);
        assert_eq!(Known::of(b"RateLimit"), Known::RateLimit);
        assert_eq!(Known::of(b"x-ratelimit-reset"), Known::RateLimit);
        for other in [&b""[..], b"x-tollgat", b"x-api-keys", b"hos", b"Content-Type", &[b'x'; 100]]
        {
            assert_eq!(Known::of(other), Known::Other, "{other:?}");
        }
    }
}
