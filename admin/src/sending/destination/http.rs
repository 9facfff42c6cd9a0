//! What answers over HTTP mean where a destination does not say otherwise.

use super::Answer;
use crate::sending::intent::Outcome;
use crate::sending::wire::{Request, Response, Wire, WireError};

/// Characters of an answer that are kept as a reason.
const REASON_LENGTH_MAX: usize = 300;

/// Sends a request and reads the answer; `read` knows the answers that are a destination's own.
pub async fn send(
    request: Request,
    wire: &dyn Wire,
    read: impl FnOnce(&Response) -> Option<Answer>,
) -> Answer {
    match wire.exchange(request).await {
        Ok(response) => read(&response).unwrap_or_else(|| Answer::All(outcome(&response))),
        Err(error) => Answer::All(no_answer(&error)),
    }
}

pub fn no_answer(error: &WireError) -> Outcome {
    let reason = error.to_string();
    match error {
        WireError::NotSent(_) => Outcome::Refused { reason, asked_ms: None },
        WireError::Unknown(_) => Outcome::Unknown { reason, asked_ms: None },
    }
}

/// What a status says by itself (RFC 9110, section 15).
pub fn outcome(response: &Response) -> Outcome {
    let asked_ms = asked_ms(response);
    let reason = reason(response);
    match response.status {
        200..300 => Outcome::Accepted,
        // Credentials, paths and rates can be put right; the usage is not at fault.
        401 | 403 | 404 | 405 | 407 | 410 | 421 | 425 | 429 => {
            Outcome::Refused { reason, asked_ms }
        }
        408 | 409 | 423 | 424 => Outcome::Unknown { reason, asked_ms },
        400..500 => Outcome::Rejected { reason },
        _ => Outcome::Unknown { reason, asked_ms },
    }
}

/// `Retry-After` in seconds or as a date against the answer's own `Date`, so that clocks that
/// differ do no harm; or the reset that some rate limits state in its place.
pub fn asked_ms(response: &Response) -> Option<i64> {
    let seconds = |name: &str| response.header(name)?.trim().parse::<i64>().ok();
    let date = |name: &str| {
        let text = response.header(name)?;
        let moment = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(moment.timestamp().as_second())
    };
    let until = || Some(date("retry-after")? - date("date")?);
    let limited = || if response.status == 429 { seconds("x-ratelimit-reset") } else { None };
    let asked = seconds("retry-after").or_else(until).or_else(limited)?;
    Some(asked.clamp(0, 86_400) * 1_000)
}

/// The status and the beginning of the answer, in one line.
pub fn reason(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let is_plain = |character: &char| !character.is_control();
    let text: String = text.chars().filter(is_plain).take(REASON_LENGTH_MAX).collect();
    format!("{} {text}", response.status).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Response { status, headers: headers.collect(), body: b"no\nmore".to_vec() }
    }

    #[test]
    fn what_may_have_arrived_is_told_from_what_did_not() {
        let refused = |status| matches!(outcome(&response(status, &[])), Outcome::Refused { .. });
        let unknown = |status| matches!(outcome(&response(status, &[])), Outcome::Unknown { .. });
        let rejected = |status| matches!(outcome(&response(status, &[])), Outcome::Rejected { .. });

        assert!([401, 403, 404, 429].into_iter().all(refused));
        assert!([302, 408, 409, 500, 502, 503, 504].into_iter().all(unknown));
        assert!([400, 413, 415, 422].into_iter().all(rejected));
        assert_eq!(outcome(&response(204, &[])), Outcome::Accepted);
    }

    #[test]
    fn a_wait_is_read_as_seconds_or_against_the_destinations_own_clock() {
        let date = "Thu, 26 Nov 2026 10:00:00 GMT";
        let later = "Thu, 26 Nov 2026 10:01:30 GMT";

        assert_eq!(asked_ms(&response(503, &[("retry-after", "7")])), Some(7_000));
        let headers = [("retry-after", later), ("date", date)];
        assert_eq!(asked_ms(&response(503, &headers)), Some(90_000));
        assert_eq!(asked_ms(&response(429, &[("x-ratelimit-reset", "3")])), Some(3_000));
        assert_eq!(asked_ms(&response(503, &[("retry-after", "soon")])), None);
        assert_eq!(asked_ms(&response(503, &[("retry-after", "-5")])), Some(0));
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason(&response(500, &[])), "500 nomore");
    }
}
