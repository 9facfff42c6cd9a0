//! Charts as SVG, drawn on the server. Each says in words what it shows, and a page has its numbers
//! in a table beside it.

use maud::{Markup, html};

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
}
