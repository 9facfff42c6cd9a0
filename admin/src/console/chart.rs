//! Charts as SVG, drawn on the server. Each says in words what it shows, and a page has its numbers
//! in a table beside it.

use maud::{Markup, html};

use super::part::{Column, table};
use super::text::number;

const BAR_STEP: i64 = 20;
const BAR_WIDTH: i64 = 14;
const BARS_HEIGHT: i64 = 120;

const SPARK_WIDTH: i64 = 120;
const SPARK_HEIGHT: i64 = 28;

/// A small trend beside a number.
pub fn spark(values: &[i64], label: &str) -> Markup {
    let max = values.iter().copied().max().unwrap_or(0).max(1);
    let steps = (values.len() as i64 - 1).max(1);
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(position, value)| {
            let x = position as i64 * SPARK_WIDTH / steps;
            let y = 1 + scaled(max - value, max, SPARK_HEIGHT - 2);
            format!("{x},{y}")
        })
        .collect();
    let frame = format!("0 0 {SPARK_WIDTH} {SPARK_HEIGHT}");
    html! {
        svg.spark viewBox=(frame) role="img" aria-label=(label) preserveAspectRatio="none" {
            polyline points=(points.join(" ")) {}
        }
    }
}

/// A bar for each of a few values, and their table.
pub fn bars(label: &str, values: &[(String, i64)]) -> Markup {
    let most = values.iter().max_by_key(|(_, value)| *value);
    let max = most.map_or(0, |(_, value)| *value).max(1);
    let frame = format!("0 0 {} {BARS_HEIGHT}", values.len() as i64 * BAR_STEP);
    let told = most.filter(|(_, value)| *value > 0).map_or_else(
        || format!("{label}: none"),
        |(name, value)| format!("{label}; the most is {} on {name}", number(*value)),
    );
    html! {
        svg.bars viewBox=(frame) role="img" aria-label=(told) preserveAspectRatio="none" {
            @for (position, (name, value)) in values.iter().enumerate() {
                @let height = scaled(*value, max, BARS_HEIGHT);
                rect x=(position as i64 * BAR_STEP) y=(BARS_HEIGHT - height) width=(BAR_WIDTH) height=(height) {
                    title { (name) ": " (number(*value)) }
                }
            }
        }
        details.more {
            summary { "As a table" }
            (table(label, &[Column::Text("When"), Column::Number(label)], &html! {
                @for (name, value) in values {
                    tr { th scope="row" { (name) } td.number { (number(*value)) } }
                }
            }))
        }
    }
}

/// How much of a limit is used; only how much, where there is none.
pub fn meter(used: i64, limit: Option<i64>) -> Markup {
    html! {
        @match limit {
            Some(limit) => {
                meter min="0" max=(limit.max(1)) value=(used.clamp(0, limit.max(1))) high=(scaled(9, 10, limit))
                    aria-label="Used of the quota" {}
                span { (number(used)) " of " (number(limit)) }
            }
            None => span { (number(used)) ", no quota" },
        }
    }
}

fn scaled(value: i64, max: i64, height: i64) -> i64 {
    let scaled = i128::from(value.max(0)) * i128::from(height) / i128::from(max.max(1));
    i64::try_from(scaled).unwrap_or(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_stays_inside_its_frame() {
        let shown = spark(&[0, i64::MAX, 5], "calls").into_string();

        assert!(shown.contains(r#"points="0,27 60,1 120,26""#), "{shown}");
        assert!(spark(&[], "").into_string().contains(r#"points="""#));
        assert!(spark(&[0], "").into_string().contains(r#"points="0,27""#));
    }

    #[test]
    fn the_tallest_bar_fills_the_frame_and_is_told() {
        let days = [("2026-11-01".to_owned(), 5), ("2026-11-02".to_owned(), 10)];

        let shown = bars("Calls", &days).into_string();

        assert!(shown.contains("Calls; the most is 10 on 2026-11-02"), "{shown}");
        assert!(shown.contains(r#"y="60" width="14" height="60""#), "{shown}");
        assert!(shown.contains(r#"y="0" width="14" height="120""#), "{shown}");
        assert!(bars("Calls", &[]).into_string().contains("Calls: none"));
    }

    #[test]
    fn a_meter_that_is_overrun_is_full_and_says_by_how_much() {
        let shown = meter(12, Some(10)).into_string();

        assert!(shown.contains(r#"max="10" value="10" high="9""#), "{shown}");
        assert!(shown.contains("12 of 10"), "{shown}");
        assert!(meter(12, Some(0)).into_string().contains(r#"max="1""#));
        assert!(meter(12, None).into_string().contains("12, no quota"));
    }
}
