//! Where a product's calls go: the gateway endpoint, read in one way only and vetted.
//!
//! A URL that two programs read differently is how a gateway is led to a place that its owner
//! never meant. So the grammar here is narrower than that of URLs (RFC 3986): what it takes is
//! spelled in one way, and everything else is refused with the reason. Names are vetted again as
//! addresses, by [`vet_address`], whenever they are resolved.

pub mod address;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use address::{AddressError, AddressPolicy, vet_address};

/// Longest text of an endpoint; with the rest of the path it must still fit a request line.
pub const ENDPOINT_LENGTH_MAX: usize = 2_048;

/// Longest name of a host (RFC 1035, section 2.3.4, as text without the final dot).
pub const HOST_LENGTH_MAX: usize = 253;

const LABEL_LENGTH_MAX: usize = 63;

/// `http(s)://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub scheme: Scheme,
    pub host: Host,
    pub port: u16,
    /// Goes before the rest of the caller's path: empty, or `/` and at least one segment, without
    /// a slash at its end.
    pub path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case, without a final dot.
    Name(String),
    Address(IpAddr),
}

/// A host and a port, such as one of several servers behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    pub host: Host,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("must be at most {ENDPOINT_LENGTH_MAX} characters long")]
    TooLong,
    #[error("must not contain spaces, control characters, backslashes or characters beyond ASCII")]
    Character,
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("must not contain a user name or password")]
    UserInformation,
    #[error("must not contain a query or a fragment")]
    Query,
    #[error("must name a host")]
    HostMissing,
    #[error("the host must be a DNS name, a dotted IPv4 address or an IPv6 address in brackets")]
    Host,
    #[error("the host must not end in a dot")]
    HostFinalDot,
    #[error("an IPv4 address must be written as four decimal numbers without leading zeros")]
    AddressForm,
    #[error("the port must be a number from 1 to 65535 without leading zeros")]
    Port,
    #[error("must name a port, as in host:8080")]
    PortMissing,
    #[error("the path must not contain empty segments, \".\" or \"..\", encoded or not")]
    Path,
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        check_characters(text)?;
        let (scheme, rest) = split_scheme(text)?;
        if rest.contains(['?', '#']) {
            return Err(EndpointError::Query);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.default_port()),
            path: parse_path(path)?.to_owned(),
        })
    }

    /// Refuses what can be seen to lead to a forbidden place without resolving a name.
    pub fn vet(&self, policy: &AddressPolicy) -> Result<(), EndpointError> {
        self.host.vet(policy)
    }

    /// As it goes into a `Host` field: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.text(), self.authority(), self.path)
    }
}

impl Authority {
    /// Reads `host:port`; the port must be there.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        check_characters(text)?;
        let (host, port) = split_authority(text)?;
        Ok(Self { host, port: port.ok_or(EndpointError::PortMissing)? })
    }

    pub fn vet(&self, policy: &AddressPolicy) -> Result<(), EndpointError> {
        self.host.vet(policy)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Host {
    /// Reads a name or an address in the form that it has in a URL.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        check_characters(text)?;
        parse_host(text)
    }

    /// Addresses by [`vet_address`]. Of names only those that stand for the machine itself are
    /// known without asking (RFC 6761, section 6.3).
    pub fn vet(&self, policy: &AddressPolicy) -> Result<(), EndpointError> {
        match self {
            Self::Address(address) => Ok(vet_address(*address, policy)?),
            Self::Name(name) => {
                let is_local = name == "localhost" || name.ends_with(".localhost");
                if is_local && !policy.allow_loopback {
                    return Err(AddressError::Loopback.into());
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn check_characters(text: &str) -> Result<(), EndpointError> {
    if text.len() > ENDPOINT_LENGTH_MAX {
        return Err(EndpointError::TooLong);
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if text.bytes().all(is_plain) { Ok(()) } else { Err(EndpointError::Character) }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), EndpointError> {
    let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Scheme)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::Http, rest)),
        "https" => Ok((Scheme::Https, rest)),
        _ => Err(EndpointError::Scheme),
    }
}

fn split_authority(text: &str) -> Result<(Host, Option<u16>), EndpointError> {
    if text.contains('@') {
        return Err(EndpointError::UserInformation);
    }
    let host_end = match text.find(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(parse_port(port)?),
        None if rest.is_empty() => None,
        None => return Err(EndpointError::Host),
    };
    Ok((parse_host(host)?, port))
}

fn parse_port(text: &str) -> Result<u16, EndpointError> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EndpointError::Port);
    }
    text.parse().map_err(|_| EndpointError::Port)
}

fn parse_host(text: &str) -> Result<Host, EndpointError> {
    if text.is_empty() {
        return Err(EndpointError::HostMissing);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let address: Ipv6Addr = rest
            .strip_suffix(']')
            .and_then(|address| address.parse().ok())
            .ok_or(EndpointError::Host)?;
        return Ok(Host::Address(address.into()));
    }
    if text.ends_with('.') {
        return Err(EndpointError::HostFinalDot);
    }
    let name = text.to_ascii_lowercase();
    if is_number(name.rsplit('.').next().unwrap_or(&name)) {
        let address: Ipv4Addr = name.parse().map_err(|_| EndpointError::AddressForm)?;
        return Ok(Host::Address(address.into()));
    }
    if name.len() > HOST_LENGTH_MAX || !name.split('.').all(is_label) {
        return Err(EndpointError::Host);
    }
    Ok(Host::Name(name))
}

/// Whether a host that ends in this label is taken for an IPv4 address (WHATWG URL, "ends in a
/// number"): decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let digits = label.strip_prefix("0x");
    match digits {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Letters, digits and inner hyphens (RFC 1123, section 2.1); also the underscore, which names of
/// services in clusters carry.
fn is_label(label: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !label.is_empty()
        && label.len() <= LABEL_LENGTH_MAX
        && label.bytes().all(is_allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The path without a slash at its end. Segments that a server could read in a second way are
/// refused: empty ones, dots, and encoded dots and slashes.
fn parse_path(path: &str) -> Result<&str, EndpointError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(segments) = path.strip_prefix('/') else {
        return Ok(path);
    };
    if segments.split('/').all(is_segment) { Ok(path) } else { Err(EndpointError::Path) }
}

/// `pchar` of RFC 3986, section 3.3, with the percent sign only before two hexadecimal digits.
fn is_segment(segment: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let is_fine = match byte {
            b'%' => match (rest.next(), rest.next()) {
                (Some(high), Some(low)) => is_harmless_escape(high, low),
                _ => false,
            },
            b'-' | b'.' | b'_' | b'~' | b':' | b'@' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !is_fine {
            return false;
        }
    }
    true
}

/// Not an encoded dot, slash, backslash, percent sign or control character.
fn is_harmless_escape(high: u8, low: u8) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return false;
    };
    let byte = (high * 16 + low) as u8;
    !matches!(byte, b'.' | b'/' | b'\\' | b'%') && !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CLOSED: AddressPolicy = AddressPolicy { allow_loopback: false, allow_private: false };

    fn refused(text: &str) -> EndpointError {
        Endpoint::parse(text).and_then(|endpoint| endpoint.vet(&CLOSED)).unwrap_err()
    }

    #[rstest]
    #[case("https://api.example.com", "https://api.example.com")]
    #[case("HTTPS://API.Example.com:443/", "https://api.example.com")]
    #[case("http://api.example.com:8080/v1/", "http://api.example.com:8080/v1")]
    #[case("http://my_service.default.svc", "http://my_service.default.svc")]
    #[case("https://8.8.8.8/a%20b;c=d", "https://8.8.8.8/a%20b;c=d")]
    #[case("https://[2606:4700::1111]:8443", "https://[2606:4700::1111]:8443")]
    #[case("https://xn--bcher-kva.example", "https://xn--bcher-kva.example")]
    #[case("https://1password.com", "https://1password.com")]
    fn a_plain_address_of_a_server_is_taken(#[case] text: &str, #[case] canonical: &str) {
        let endpoint = Endpoint::parse(text).unwrap();

        endpoint.vet(&CLOSED).unwrap();
        assert_eq!(endpoint.to_string(), canonical);
        assert_eq!(Endpoint::parse(canonical), Ok(endpoint));
    }

    #[rstest]
    #[case::empty("", EndpointError::Scheme)]
    #[case::no_scheme("api.example.com", EndpointError::Scheme)]
    #[case::other_scheme("ftp://api.example.com", EndpointError::Scheme)]
    #[case::file("file:///etc/passwd", EndpointError::Scheme)]
    #[case::opaque("http:api.example.com", EndpointError::Scheme)]
    #[case::no_host("http://", EndpointError::HostMissing)]
    #[case::only_port("http://:80", EndpointError::HostMissing)]
    #[case::user("http://user@api.example.com", EndpointError::UserInformation)]
    #[case::password("http://a:b@127.0.0.1", EndpointError::UserInformation)]
    #[case::query("http://api.example.com/?a=b", EndpointError::Query)]
    #[case::fragment("http://api.example.com#@evil.example", EndpointError::Query)]
    #[case::space("http://api.example.com /", EndpointError::Character)]
    #[case::line_break("http://api.example.com\r\nHost: b", EndpointError::Character)]
    #[case::tab("http://127.0.0.1\t", EndpointError::Character)]
    #[case::backslash("http://api.example.com\\@evil.example", EndpointError::Character)]
    #[case::idn("http://b\u{fc}cher.example", EndpointError::Character)]
    #[case::full_width("http://\u{ff11}27.0.0.1", EndpointError::Character)]
    #[case::ideographic_stop("http://127\u{3002}0.0.1", EndpointError::Character)]
    #[case::final_dot("http://localhost./", EndpointError::HostFinalDot)]
    #[case::final_dot_address("http://127.0.0.1./", EndpointError::HostFinalDot)]
    #[case::escaped_host("http://127.0.0.%31/", EndpointError::Host)]
    #[case::empty_label("http://api..example.com", EndpointError::Host)]
    #[case::hyphen("http://-api.example.com", EndpointError::Host)]
    #[case::star("http://*.example.com", EndpointError::Host)]
    #[case::bare_ipv6("http://::1/", EndpointError::Port)]
    #[case::open_bracket("http://[::1/", EndpointError::Port)]
    #[case::zone("http://[fe80::1%25eth0]/", EndpointError::Host)]
    #[case::after_bracket("http://[::1]x/", EndpointError::Host)]
    #[case::decimal("http://2130706433/", EndpointError::AddressForm)]
    #[case::octal("http://0177.0.0.1/", EndpointError::AddressForm)]
    #[case::hexadecimal("http://0x7f.0.0.1/", EndpointError::AddressForm)]
    #[case::one_hexadecimal("http://0x7f000001/", EndpointError::AddressForm)]
    #[case::empty_hexadecimal("http://127.0.0.0x/", EndpointError::AddressForm)]
    #[case::short("http://127.1/", EndpointError::AddressForm)]
    #[case::five_parts("http://127.0.0.0.1/", EndpointError::AddressForm)]
    #[case::over("http://127.0.0.256/", EndpointError::AddressForm)]
    #[case::port_zero("http://api.example.com:0", EndpointError::Port)]
    #[case::port_empty("http://api.example.com:", EndpointError::Port)]
    #[case::port_over("http://api.example.com:65536", EndpointError::Port)]
    #[case::port_sign("http://api.example.com:+80", EndpointError::Port)]
    #[case::port_zeros("http://api.example.com:0080", EndpointError::Port)]
    #[case::port_twice("http://api.example.com:80:80", EndpointError::Port)]
    #[case::dots("http://api.example.com/../admin", EndpointError::Path)]
    #[case::dot("http://api.example.com/./admin", EndpointError::Path)]
    #[case::encoded_dots("http://api.example.com/%2e%2E/admin", EndpointError::Path)]
    #[case::encoded_slash("http://api.example.com/a%2fb", EndpointError::Path)]
    #[case::double_slash("http://api.example.com//a", EndpointError::Path)]
    #[case::bad_escape("http://api.example.com/%zz", EndpointError::Path)]
    #[case::cut_escape("http://api.example.com/%2", EndpointError::Path)]
    #[case::localhost("http://localhost:8080", AddressError::Loopback.into())]
    #[case::localhost_upper("http://LOCALHOST", AddressError::Loopback.into())]
    #[case::localhost_below("http://a.localhost", AddressError::Loopback.into())]
    #[case::loopback("http://127.0.0.1", AddressError::Loopback.into())]
    #[case::loopback_ipv6("http://[::1]", AddressError::Loopback.into())]
    #[case::metadata("http://169.254.169.254/latest", AddressError::LinkLocal.into())]
    #[case::private("http://10.0.0.1", AddressError::Private.into())]
    #[case::mapped("http://[::ffff:127.0.0.1]", AddressError::Embedded.into())]
    #[case::unspecified("http://0.0.0.0", AddressError::Unspecified.into())]
    fn a_text_with_a_second_reading_or_a_forbidden_place_is_refused(
        #[case] text: &str,
        #[case] error: EndpointError,
    ) {
        assert_eq!(refused(text), error);
    }

    #[test]
    fn loopback_is_taken_where_the_settings_allow_it() {
        let policy = AddressPolicy { allow_loopback: true, allow_private: false };

        for text in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"] {
            Endpoint::parse(text).unwrap().vet(&policy).unwrap();
        }
    }

    #[test]
    fn one_server_of_several_is_a_host_with_its_port() {
        let parse = |text| Authority::parse(text).map(|authority| authority.to_string());

        assert_eq!(parse("Node-1.Internal:9000").unwrap(), "node-1.internal:9000");
        assert_eq!(parse("[2606:4700::1]:80").unwrap(), "[2606:4700::1]:80");
        assert_eq!(parse("node-1").unwrap_err(), EndpointError::PortMissing);
        assert_eq!(parse("http://node-1:80").unwrap_err(), EndpointError::Port);
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_is_read_in_the_same_way_by_a_browsers_parser(
            text in "(http|https)://[a-zA-Z0-9.:@\\[\\]%x-]{1,24}(/[a-z0-9.%/]{0,12})?",
        ) {
            let Ok(endpoint) = Endpoint::parse(&text) else { return Ok(()) };
            // Whether an encoded international name is well formed is left to the resolver.
            proptest::prop_assume!(!text.contains("xn--"));
            let url = url::Url::parse(&text).unwrap();
            let host = url.host_str().unwrap();
            proptest::prop_assert_eq!(host, endpoint.host.to_string());
            proptest::prop_assert_eq!(url.port_or_known_default(), Some(endpoint.port));
            proptest::prop_assert_eq!(url.path().trim_end_matches('/'), endpoint.path);
            proptest::prop_assert!(url.username().is_empty());
        }
    }
}
