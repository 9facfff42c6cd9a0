//! One reading of a request target.
//!
//! A path that two servers could read in two ways is refused, since the gateway routes and weighs by
//! one reading and the upstream acts on its own: dot segments, empty segments, encoded separators,
//! backslashes and control characters. Encoded unreserved characters are decoded
//! (RFC 3986, section 6.2.2.2); everything else goes on as it came.

use tollgate_common::refusal::Refusal;

/// An origin-form target: path and query, held as one text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    text: String,
    path_end: usize,
}

impl Target {
    /// Reads `target` into `self`, keeping the allocation.
    pub fn read(&mut self, target: &[u8]) -> Result<(), Refusal> {
        self.text.clear();
        let path_end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        let (path, query) = target.split_at(path_end);
        if path.first() != Some(&b'/') {
            return Err(Refusal::RequestMalformed);
        }
        read_path(path, &mut self.text)?;
        self.path_end = self.text.len();
        read_query(query, &mut self.text)
    }

    pub fn path(&self) -> &str {
        &self.text[..self.path_end]
    }

    /// The query without its `?`; None when there is no `?` at all.
    pub fn query(&self) -> Option<&str> {
        self.text[self.path_end..].strip_prefix('?')
    }

    /// The first path segment, and the rest with its leading slash (`/` when there is none).
    pub fn first_segment(&self) -> (&str, &str) {
        let path = &self.path()[1..];
        match memchr::memchr(b'/', path.as_bytes()) {
            Some(end) => path.split_at(end),
            None => (path, "/"),
        }
    }

    /// The path from `start` on; `/` when nothing is left of it.
    pub fn below(&self, start: usize) -> &str {
        let path = &self.path()[start..];
        if path.is_empty() { "/" } else { path }
    }

    /// The path from `start` on as a server may read it that gives each segment no parameters and decodes
    /// what a segment may hold undecoded; None where that is the path as it came.
    pub fn plain_below(&self, start: usize) -> Option<String> {
        let path = self.below(start);
        memchr::memchr2(b';', b'%', path.as_bytes())?;
        let segments: Vec<&str> = path.split('/').map(without_parameters).collect();
        let mut plain = String::with_capacity(path.len());
        let mut rest = &*segments.join("/");
        while let Some((before, behind)) = rest.split_once('%') {
            plain.push_str(before);
            match percent_pair(behind.as_bytes()) {
                Ok((decoded, _)) if is_segment(decoded) => plain.push(char::from(decoded)),
                _ => plain.push_str(&rest[before.len()..before.len() + "%00".len()]),
            }
            rest = &behind["00".len()..];
        }
        plain.push_str(rest);
        (plain != path).then_some(plain)
    }

    /// Takes every occurrence of a parameter out of the query and gives back the values.
    pub fn take_query_parameter(&mut self, name: &str) -> Vec<String> {
        let Some(query) = self.query() else { return Vec::new() };
        let mut values = Vec::new();
        let mut rest = String::with_capacity(query.len());
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if percent_decoded(key) == name.as_bytes() {
                values.push(String::from_utf8_lossy(&percent_decoded(value)).into_owned());
            } else {
                if !rest.is_empty() {
                    rest.push('&');
                }
                rest.push_str(pair);
            }
        }
        if !values.is_empty() {
            self.text.truncate(self.path_end);
            if !rest.is_empty() {
                self.text.push('?');
                self.text.push_str(&rest);
            }
        }
        values
    }
}

fn read_path(path: &[u8], text: &mut String) -> Result<(), Refusal> {
    let start = text.len();
    let mut rest = path;
    loop {
        let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(plain);
        push_ascii(run, text)?;
        let [special, tail @ ..] = behind else { break };
        if *special != b'%' {
            return Err(Refusal::RequestMalformed);
        }
        let (decoded, tail) = percent_pair(tail)?;
        rest = tail;
        match decoded {
            b'/' | b'\\' | 0..=0x1f | 0x7f => return Err(Refusal::RequestMalformed),
            _ if is_unreserved(decoded) => text.push(char::from(decoded)),
            _ => text.push_str(&format!("%{decoded:02X}")),
        }
    }
    let mut segments = text.as_bytes()[start + 1..].rsplit(|byte| *byte == b'/');
    let last = segments.next().unwrap_or_default();
    if is_ambiguous(last) || segments.any(|segment| segment.is_empty() || is_ambiguous(segment)) {
        return Err(Refusal::RequestMalformed);
    }
    Ok(())
}

/// What stands in a path as it is.
fn is_plain(byte: u8) -> bool {
    is_visible(byte) && !matches!(byte, b'%' | b'\\')
}

fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'#'
}

fn push_ascii(bytes: &[u8], text: &mut String) -> Result<(), Refusal> {
    text.push_str(str::from_utf8(bytes).map_err(|_| Refusal::RequestMalformed)?);
    Ok(())
}

/// A segment that some servers take for no name: dots, or nothing, before its parameters.
fn is_ambiguous(segment: &[u8]) -> bool {
    let name = segment.strip_prefix(b".").unwrap_or(segment);
    let behind = name.strip_prefix(b".").unwrap_or(name);
    !segment.is_empty() && (behind.is_empty() || begins_parameters(behind))
}

/// What servers take for the parameters of a segment begins so (RFC 3986, section 3.3).
fn begins_parameters(rest: &[u8]) -> bool {
    rest.starts_with(b";") || rest.starts_with(b"%3B")
}

fn without_parameters(segment: &str) -> &str {
    let end = (0..segment.len()).find(|at| begins_parameters(&segment.as_bytes()[*at..]));
    &segment[..end.unwrap_or(segment.len())]
}

fn read_query(query: &[u8], text: &mut String) -> Result<(), Refusal> {
    if query.iter().all(|byte| is_visible(*byte)) {
        push_ascii(query, text)
    } else {
        Err(Refusal::RequestMalformed)
    }
}

/// The byte that two digits spell, and what is behind them.
pub fn percent_pair(rest: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    let ([high, low], tail) = rest.split_first_chunk().ok_or(Refusal::RequestMalformed)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(Refusal::RequestMalformed);
    let value = digit(*high)? * 16 + digit(*low)?;
    Ok((value as u8, tail))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, percent_pair(tail)) {
            (b'%', Ok((value, tail))) => {
                decoded.push(value);
                rest = tail;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
    }
    decoded
}

/// What may stand in a segment undecoded (`pchar` of RFC 3986, section 3.3).
fn is_segment(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'!' | b'$' | b'&'..=b',' | b'=' | b':' | b'@')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Result<Target, Refusal> {
        let mut read = Target::default();
        read.read(target.as_bytes()).map(|()| read)
    }

    #[test]
    fn a_plain_target_goes_on_as_it_came() {
        let target = read("/orders/v1/items;a=1?x=%2F..&y").unwrap();

        assert_eq!(target.path(), "/orders/v1/items;a=1");
        assert_eq!(target.query(), Some("x=%2F..&y"));
        assert_eq!(target.first_segment(), ("orders", "/v1/items;a=1"));
    }

    #[test]
    fn a_path_of_one_segment_leads_to_the_root_of_the_product() {
        assert_eq!(read("/orders").unwrap().first_segment(), ("orders", "/"));
        assert_eq!(read("/orders/").unwrap().first_segment(), ("orders", "/"));
        assert_eq!(read("/").unwrap().first_segment(), ("", "/"));
    }

    #[test]
    fn encoded_unreserved_characters_are_decoded_and_others_kept() {
        assert_eq!(read("/%6Frders/%7e%c3%a9").unwrap().path(), "/orders/~%C3%A9");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for target in [
            "",
            "*",
            "orders",
            "/a/../b",
            "/a/..",
            "/a/./b",
            "/a/%2e%2E/b",
            "/a/..;/b",
            "/a/..;x=1",
            "/a/.;/b",
            "/a/%2e%2e;/b",
            "/a/..%3b/b",
            "/a/;/b",
            "/a/;x",
            "/a//b",
            "//a",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%0a",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a b",
            "/a\tb",
            "/a#b",
            "/a?b#c",
            "/a?b c",
            "/\u{e9}",
            "http://a/b",
        ] {
            assert_eq!(read(target), Err(Refusal::RequestMalformed), "{target}");
        }
    }

    #[test]
    fn a_path_is_known_as_others_may_read_it() {
        for (target, plain) in [
            ("/orders/report", None),
            ("/orders/%C3%A9", None),
            ("/orders/report;x", Some("/report")),
            ("/orders/a;x=1/b%3Bc", Some("/a/b")),
            ("/orders/models%3agen%2b%40%25%2C", Some("/models:gen+@%25,")),
            ("/orders", None),
        ] {
            let plain = plain.map(str::to_owned);
            assert_eq!(read(target).unwrap().plain_below("/orders".len()), plain, "{target}");
        }
    }

    #[test]
    fn a_query_parameter_is_taken_out_wherever_it_stands() {
        let mut target = read("/a?x=1&api%5Fkey=k%31&y=2&api_key=k2").unwrap();

        let values = target.take_query_parameter("api_key");

        assert_eq!(values, ["k1", "k2"]);
        assert_eq!(target.query(), Some("x=1&y=2"));
    }

    #[test]
    fn a_query_that_held_only_the_parameter_is_gone() {
        let mut target = read("/a?key=k").unwrap();

        assert_eq!(target.take_query_parameter("key"), ["k"]);
        assert_eq!(target.query(), None);
    }
}
