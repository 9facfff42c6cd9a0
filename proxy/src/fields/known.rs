//! What a header field is, by its name.

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
    /// `X-Tollgate-*`, with underscores for hyphens too.
    Tollgate,
    Trailer,
    TransferEncoding,
    Upgrade,
    Other,
}

impl Known {
    /// Classifies a field name. Case does not matter, and `_` counts as `-`: many servers cannot
    /// tell the two apart once a field has become an environment variable.
    pub fn of(name: &[u8]) -> Known {
        let Some(first) = name.first() else { return Known::Other };
        let (whole, beginnings): (Names, Names) = match FOLDED[usize::from(*first)] {
            b'a' => (&[(b"authorization", Known::Authorization)], &[]),
            b'c' => (
                &[
                    (b"connection", Known::Connection),
                    (b"content-length", Known::ContentLength),
                    (b"cookie", Known::Cookie),
                ],
                &[],
            ),
            b'd' => (&[(b"date", Known::Date)], &[]),
            b'e' => (&[(b"expect", Known::Expect)], &[]),
            b'f' => (&[(b"forwarded", Known::Forwarded)], &[]),
            b'h' => (&[(b"host", Known::Host), (b"http2-settings", Known::HopByHop)], &[]),
            b'k' => (&[(b"keep-alive", Known::HopByHop)], &[]),
            b'p' => (
                &[
                    (b"proxy-connection", Known::HopByHop),
                    (b"proxy-authenticate", Known::HopByHop),
                    (b"proxy-authorization", Known::HopByHop),
                    (b"proxy-authentication-info", Known::HopByHop),
                ],
                &[],
            ),
            b'r' => (&[(b"referer", Known::Referer)], &[(b"ratelimit", Known::RateLimit)]),
            b't' => (
                &[
                    (b"te", Known::Te),
                    (b"trailer", Known::Trailer),
                    (b"transfer-encoding", Known::TransferEncoding),
                ],
                &[],
            ),
            b'u' => (&[(b"upgrade", Known::Upgrade)], &[]),
            b'x' => (
                &[
                    (b"x-api-key", Known::ApiKey),
                    (b"x-forwarded-for", Known::ForwardedFor),
                    (b"x-real-ip", Known::Forwarded),
                    (b"x-request-id", Known::RequestId),
                ],
                &[
                    (b"x-tollgate-", Known::Tollgate),
                    (b"x-forwarded-", Known::Forwarded),
                    (b"x-ratelimit-", Known::RateLimit),
                ],
            ),
            _ => return Known::Other,
        };
        let is_whole =
            |known: &&(&[u8], Known)| known.0.len() == name.len() && begins(name, known.0);
        let is_beginning = |known: &&(&[u8], Known)| begins(name, known.0);
        let found = whole.iter().find(is_whole).or_else(|| beginnings.iter().find(is_beginning));
        found.map_or(Known::Other, |(_, known)| *known)
    }

    /// Its own bit of a set of kinds.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Names in small letters, with what each is known as.
type Names = &'static [(&'static [u8], Known)];

/// Each byte as names are compared: in small letters, with `-` for `_`.
const FOLDED: [u8; 256] = {
    let mut folded = [0; 256];
    let mut byte = 0;
    while byte < folded.len() {
        folded[byte] = if byte == b'_' as usize { b'-' } else { (byte as u8).to_ascii_lowercase() };
        byte += 1;
    }
    folded
};

fn begins(name: &[u8], folded: &[u8]) -> bool {
    name.len() >= folded.len()
        && name.iter().zip(folded).all(|(byte, folded)| FOLDED[usize::from(*byte)] == *folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_with_underscores() {
        assert_eq!(Known::of(b"X-Tollgate-Plan"), Known::Tollgate);
        assert_eq!(Known::of(b"x_tollgate_plan"), Known::Tollgate);
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
