//! How quantities, times and amounts look to people.

use maud::{Markup, html};

/// `1234567` as `1,234,567`.
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut shown = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if number < 0 { format!("-{shown}") } else { shown }
}

/// A moment of the API, to the second: `2026-11-28 12:29:10 UTC`.
pub fn moment(text: &str) -> Markup {
    let shown = text.split_once('T').map(|(date, time)| {
        let time = time.get(..8).unwrap_or(time);
        format!("{date} {time} UTC")
    });
    html! { time datetime=(text) { (shown.as_deref().unwrap_or(text)) } }
}

/// A moment, or a word where there is none.
pub fn moment_or(text: Option<&str>, none: &str) -> Markup {
    text.map_or_else(|| html! { span.quiet { (none) } }, moment)
}

/// A number, or a word where there is none.
pub fn number_or(value: Option<i64>, none: &str) -> String {
    value.map_or(none.to_owned(), number)
}

/// An amount in minor units as people write it, from what they would type: `4900` with 2 places is
/// `49.00`, `0.5` is `0.005`.
pub fn major(minor: &str, places: usize) -> String {
    let (whole, fraction) = minor.split_once('.').unwrap_or((minor, ""));
    let digits = format!("{whole:0>width$}", width = places + 1);
    let (whole, moved) = digits.split_at(digits.len() - places);
    let fraction = format!("{moved}{fraction}");
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// The other way: `49` with 2 places is `4900`, `0.005` is `0.5`. What is no plain decimal number
/// stays as it is, so that whoever reads it says what is wrong.
pub fn minor(major: &str, places: usize) -> String {
    let text = major.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return text.to_owned();
    }
    let padded = format!("{fraction:0<places$}");
    let (moved, rest) = padded.split_at(places);
    let whole = format!("{whole}{moved}");
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 12, 999, 1_000, 1_234_567, -1_000].map(number);

        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567", "-1,000"]);
    }

    #[test]
    fn a_moment_is_shown_to_the_second() {
        let shown = moment("2026-11-28T12:29:10.123Z").into_string();

        assert!(shown.contains(">2026-11-28 12:29:10 UTC<"), "{shown}");
        assert!(moment("never").into_string().contains(">never<"));
        assert!(moment_or(None, "<no>").into_string().contains("&lt;no&gt;"));
    }

    #[test]
    fn an_amount_is_moved_without_being_rounded() {
        for (shown, stored, places) in [
            ("49.00", "4900", 2),
            ("0.05", "5", 2),
            ("0.005", "0.5", 2),
            ("47", "47", 0),
            ("1.500", "1500", 3),
            ("0.00", "0", 2),
            ("0.000000000001", "0.0000000001", 2),
        ] {
            assert_eq!(major(stored, places), shown);
            assert_eq!(minor(shown, places), stored);
        }
        assert_eq!(minor("49", 2), "4900");
        assert_eq!(minor(" 49.5 ", 2), "4950");
        for wrong in ["4,900", "-1", "", "1e3", ".5", "$5"] {
            assert_eq!(minor(wrong, 2), wrong);
        }
    }
}
