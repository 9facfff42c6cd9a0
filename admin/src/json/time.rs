//! Moments as callers write them.

use tollgate_common::time::Timestamp;

/// The offsets of RFC 3339 end within a day.
const OFFSET_HOURS_MAX: u8 = 23;

/// A moment in the form of RFC 3339 (section 5.6), alone of all the forms that the library reads:
/// some of those leave out what a caller may have meant, such as the zone in `Z[Europe/Berlin]`.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok().filter(|_| is_rfc3339(text))?;
    Some(Timestamp(time.as_millisecond()))
}

/// Whether each part is in its place; whether there is such a day and such a time is the library's
/// part.
fn is_rfc3339(text: &str) -> bool {
    const MOMENT: &str = "0000-00-00T00:00:00";
    let Some((moment, rest)) = text.split_at_checked(MOMENT.len()) else { return false };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    is_like(moment, MOMENT) && (is_like(offset, "Z") || is_offset(offset))
}

fn is_offset(text: &str) -> bool {
    let hours = text.get(1..3).and_then(|hours| hours.parse::<u8>().ok());
    let is_within_a_day = hours.is_some_and(|hours| hours <= OFFSET_HOURS_MAX);
    is_within_a_day && (is_like(text, "+00:00") || is_like(text, "-00:00"))
}

/// Whether a text has a digit where the form has 0, and otherwise the form's letters, in either case.
fn is_like(text: &str, form: &str) -> bool {
    let fits = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(&form),
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2027-01-01T00:00:00Z")]
    #[case("2027-01-01t00:00:00z")]
    #[case("2027-01-01T00:00:00.000000000Z")]
    #[case("2027-01-01T02:00:00+02:00")]
    #[case("2027-01-01T23:59:00.0+23:59")]
    #[case("2026-12-31T23:00:00-01:00")]
    #[case("2027-01-01T00:00:00-00:00")]
    fn a_moment_is_read_wherever_it_is_told(#[case] text: &str) {
        assert_eq!(parse_time(text).unwrap().to_string(), "2027-01-01T00:00:00.000Z");
    }

    #[rstest]
    #[case::offset_hours("2027-01-01T00:00:00+24:00")]
    #[case::offset_hours_more("2027-01-01T00:00:00+25:00")]
    #[case::offset_minutes("2027-01-01T00:00:00+01:60")]
    #[case::offset_seconds("2027-01-01T00:00:00+01:00:00")]
    #[case::offset_short("2027-01-01T00:00:00+01")]
    #[case::offset_basic("2027-01-01T00:00:00+0100")]
    #[case::offset_missing("2027-01-01T00:00:00")]
    #[case::zone("2027-01-01T00:00:00Z[Europe/Berlin]")]
    #[case::zone_and_offset("2027-01-01T00:00:00+01:00[Europe/Berlin]")]
    #[case::calendar("2027-01-01T00:00:00Z[u-ca=iso8601]")]
    #[case::blank("2027-01-01 00:00:00Z")]
    #[case::basic("20270101T000000Z")]
    #[case::year("+002027-01-01T00:00:00Z")]
    #[case::minutes("2027-01-01T00:00Z")]
    #[case::fraction_empty("2027-01-01T00:00:00.Z")]
    #[case::fraction_comma("2027-01-01T00:00:00,5Z")]
    #[case::day("2027-02-29T00:00:00Z")]
    #[case::date("2027-01-01")]
    #[case::foreign("2027-01-01T00:00:0\u{e9}Z")]
    #[case::foreign_offset("2027-01-01T00:00:00+\u{e9}0:00")]
    #[case::empty("")]
    fn what_is_not_rfc_3339_is_no_moment(#[case] text: &str) {
        assert_eq!(parse_time(text), None);
    }
}
