//! How rows become bytes.

use serde::Deserialize;

use super::datum::Cell;
use super::parquet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON Lines: an object per line.
    Jsonl,
    /// By RFC 4180, with the names of the columns first.
    Csv,
    /// Apache Parquet, with times as such.
    Parquet,
}

impl Format {
    /// That of a file that was written before.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [b'{', ..] => Self::Jsonl,
            bytes if bytes.starts_with(parquet::MAGIC) => Self::Parquet,
            _ => Self::Csv,
        }
    }

    pub const fn ending(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    pub fn write(self, rows: Vec<Vec<Cell>>) -> Vec<u8> {
        match self {
            Self::Jsonl => rows.into_iter().map(json_line).collect::<String>().into_bytes(),
            Self::Csv => csv(&rows).into_bytes(),
            Self::Parquet => {
                parquet::write(&rows).expect("rows of the same columns are written to memory")
            }
        }
    }
}

/// In the order of the names, as a map of them is written.
fn json_line(mut row: Vec<Cell>) -> String {
    row.sort_by_key(|(name, _)| *name);
    let members: Vec<String> =
        row.iter().map(|(name, datum)| format!("\"{name}\":{}", datum.to_json())).collect();
    format!("{{{}}}\n", members.join(","))
}

fn csv(rows: &[Vec<Cell>]) -> String {
    let names = rows.first().into_iter().flatten().map(|(name, _)| (*name).to_owned());
    let mut text = csv_line(names);
    for row in rows {
        text.push_str(&csv_line(row.iter().map(|(_, datum)| datum.to_text())));
    }
    text
}

fn csv_line(fields: impl Iterator<Item = String>) -> String {
    let fields: Vec<String> = fields.map(quoted).collect();
    format!("{}\r\n", fields.join(","))
}

fn quoted(field: String) -> String {
    match field.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::price::currency::Money;

    use super::*;

    #[test]
    fn a_field_that_would_break_a_line_is_quoted() {
        let fields = ["plain", "a,b", "say \"hi\"", "two\nlines", ""];

        let line = csv_line(fields.into_iter().map(str::to_owned));

        assert_eq!(line, "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\r\n");
    }

    #[test]
    fn the_first_bytes_tell_the_format() {
        assert_eq!(Format::of(b"{\"id\":1}\n"), Format::Jsonl);
        assert_eq!(Format::of(b"id,quantity\r\n"), Format::Csv);
        assert_eq!(Format::of(b"BillingAccountId\r\n"), Format::Csv);
        assert_eq!(Format::of(b"PAR1\x15\x04"), Format::Parquet);
    }

    #[test]
    fn what_is_missing_is_null_and_a_cost_keeps_its_decimal_places() {
        let cost = Money { minor_units: -1_200, currency: "USD".parse().unwrap() };
        let row: Vec<Cell> = vec![
            ("BilledCost", cost.into()),
            ("ChargeClass", None::<String>.into()),
            ("ConsumedQuantity", None::<i64>.into()),
        ];

        let written = |format: Format| String::from_utf8(format.write(vec![row.clone()])).unwrap();

        assert_eq!(
            written(Format::Jsonl),
            "{\"BilledCost\":-12.00,\"ChargeClass\":null,\"ConsumedQuantity\":null}\n"
        );
        assert_eq!(written(Format::Csv), "BilledCost,ChargeClass,ConsumedQuantity\r\n-12.00,,\r\n");
    }
}
