//! Which fields go on, and which end here.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fields::{Field, Fields, Known, list_members};

/// Fields of an upstream's answer on their way to the caller.
pub fn answer(status: u16, fields: &Fields) -> impl Iterator<Item = Field<'_>> {
    // RFC 9110, section 8.6.
    let may_have_length = status >= 200 && status != 204;
    passing(fields, move |known| match known {
        Known::ContentLength => may_have_length,
        Known::ApiKey
        | Known::Authorization
        | Known::Cookie
        | Known::Date
        | Known::Expect
        | Known::Forwarded
        | Known::ForwardedFor
        | Known::Host
        | Known::Referer
        | Known::Other => true,
        Known::Connection
        | Known::HopByHop
        | Known::RateLimit
        | Known::RequestId
        | Known::Te
        | Known::Tollgate
        | Known::Trailer
        | Known::TransferEncoding
        | Known::Upgrade => false,
    })
}

/// Fields of a request on their way to the upstream. Credentials, framing, the host and what
/// the gateway says itself are written anew.
pub fn request(fields: &Fields) -> impl Iterator<Item = Field<'_>> {
    passing(fields, |known| match known {
        Known::Cookie | Known::Date | Known::RateLimit | Known::Referer | Known::Other => true,
        // `Basic` and the like are between caller and upstream; a key is taken out below.
        Known::Authorization => true,
        Known::ApiKey
        | Known::Connection
        | Known::ContentLength
        | Known::Expect
        | Known::Forwarded
        | Known::ForwardedFor
        | Known::HopByHop
        | Known::Host
        | Known::RequestId
        | Known::Te
        | Known::Tollgate
        | Known::Trailer
        | Known::TransferEncoding
        | Known::Upgrade => false,
    })
}

/// Fields behind a body, on their way in either direction. What frames, routes or authenticates a message
/// stands before it (RFC 9110, section 6.5.1).
pub fn trailers(fields: &Fields) -> impl Iterator<Item = Field<'_>> {
    passing(fields, |known| known == Known::Other)
}

/// The fields of one message that may go on: none that concern only the connection, none that the
/// sender has tied to it (RFC 9110, section 7.6.1), and none that only the gateway may say.
fn passing(fields: &Fields, may_pass: impl Fn(Known) -> bool) -> impl Iterator<Item = Field<'_>> {
    fields.iter().filter(move |field| may_pass(field.known) && !is_tied(field, fields))
}

/// A length is tied to the message and not to the connection, whatever its sender says.
fn is_tied(field: &Field<'_>, fields: &Fields) -> bool {
    fields.connection().fields_named > 0
        && field.known != Known::ContentLength
        && fields
            .values(Known::Connection)
            .flat_map(list_members)
            .any(|name| name.eq_ignore_ascii_case(field.name()))
}

thread_local! {
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// The text of `Date` (RFC 9110, section 6.6.1), made once a second on each core.
pub fn with_date<T>(use_text: impl FnOnce(&[u8]) -> T) -> T {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(made_for, text)| {
        if *made_for != second {
            *made_for = second;
            *text = httpdate::fmt_http_date(now);
        }
        use_text(text.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in all {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn names<'a>(passing: impl Iterator<Item = Field<'a>>) -> Vec<String> {
        passing.map(|field| String::from_utf8(field.name().to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_concerns_one_connection_ends_here() {
        let fields = fields(&[
            ("Host", "a"),
            ("Connection", "close, X-Tied"),
            ("X-Tied", "1"),
            ("Keep-Alive", "1"),
            ("Proxy-Authorization", "1"),
            ("TE", "trailers"),
            ("Trailer", "X"),
            ("Expect", "100-continue"),
            ("Upgrade", "h2c"),
            ("Transfer-Encoding", "chunked"),
            ("Accept", "*/*"),
        ]);

        assert_eq!(names(request(&fields)), ["Accept"]);
        assert_eq!(names(answer(200, &fields)), ["Host", "Expect", "Accept"]);
        assert_eq!(names(trailers(&fields)), ["Accept"]);
    }

    #[test]
    fn a_length_stays_with_its_body() {
        let fields = fields(&[("Connection", "Content-Length"), ("Content-Length", "5")]);

        assert_eq!(names(answer(200, &fields)), ["Content-Length"]);
        assert_eq!(names(answer(304, &fields)), ["Content-Length"]);
        assert!(names(answer(204, &fields)).is_empty());
        assert!(names(answer(103, &fields)).is_empty());
        assert!(names(trailers(&fields)).is_empty());
    }

    #[test]
    fn what_only_the_gateway_may_say_is_not_passed_on_from_a_caller() {
        let fields = fields(&[
            ("X-Tollgate-Plan", "x"),
            ("x_tollgate_consumer", "x"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("x_forwarded_proto", "https"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Request-Id", "mine"),
            ("X-API-Key", "k"),
        ]);

        assert!(names(request(&fields)).is_empty());
    }
}
