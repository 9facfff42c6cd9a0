//! Tables as Apache Parquet, in one row group and without compression.

use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FixedLenByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use tollgate_common::price::currency::Money;

use super::datum::{Cell, Datum};

/// What each file begins with.
pub const MAGIC: &[u8] = b"PAR1";

/// A column of costs is a decimal of one scale, that of the currencies with the smallest minor unit
/// (ISO 4217), and of as many digits as its bytes hold.
const COST_DECIMALS: u8 = 4;
const COST_DIGITS: u8 = 38;
const COST_BYTES: usize = size_of::<i128>();

/// The table of rows that have the same columns.
pub fn write(rows: &[Vec<Cell>]) -> Result<Vec<u8>, ParquetError> {
    let columns = rows.first().map(Vec::as_slice).unwrap_or_default();
    let fields: String = columns.iter().map(|(name, datum)| field(name, datum)).collect();
    let schema = parse_message_type(&format!("message usage {{ {fields}}}"))?;
    let properties = WriterProperties::builder().set_created_by("tollgate".to_owned()).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (place, (_, kind)) in columns.iter().enumerate() {
        let Some(mut column) = group.next_column()? else { break };
        let data = rows.iter().filter_map(|row| row.get(place)).map(|(_, datum)| datum);
        match kind {
            Datum::Text(_) => {
                let texts: Vec<ByteArray> =
                    data.map(|datum| datum.to_text().into_bytes().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&texts, None, None)?;
            }
            Datum::Flag(_) => {
                let flags: Vec<bool> = data.map(|datum| *datum == Datum::Flag(true)).collect();
                column.typed::<BoolType>().write_batch(&flags, None, None)?;
            }
            Datum::Whole(_) | Datum::Natural(_) | Datum::Time(_) | Datum::WholeSecond(_) => {
                let numbers: Vec<i64> = data.map(number).collect();
                column.typed::<Int64Type>().write_batch(&numbers, None, None)?;
            }
            Datum::TextOption(_) => {
                let (there, texts) = present(data, |datum| match datum {
                    Datum::TextOption(Some(text)) => Some(text.as_bytes().to_vec().into()),
                    _ => None,
                });
                column.typed::<ByteArrayType>().write_batch(&texts, Some(&there), None)?;
            }
            Datum::WholeOption(_) => {
                let (there, numbers) = present(data, |datum| match datum {
                    Datum::WholeOption(number) => *number,
                    _ => None,
                });
                column.typed::<Int64Type>().write_batch(&numbers, Some(&there), None)?;
            }
            Datum::Cost(_) => {
                let costs: Vec<_> = data
                    .map(|datum| ByteArray::from(cost(datum).to_be_bytes().to_vec()).into())
                    .collect();
                column.typed::<FixedLenByteArrayType>().write_batch(&costs, None, None)?;
            }
        }
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn field(name: &str, datum: &Datum) -> String {
    match datum {
        Datum::Text(_) => format!("required binary {name} (STRING); "),
        Datum::Whole(_) => format!("required int64 {name}; "),
        Datum::Natural(_) => format!("required int64 {name} (INTEGER(64,false)); "),
        Datum::Flag(_) => format!("required boolean {name}; "),
        Datum::Time(_) | Datum::WholeSecond(_) => {
            format!("required int64 {name} (TIMESTAMP(MILLIS,true)); ")
        }
        Datum::TextOption(_) => format!("optional binary {name} (STRING); "),
        Datum::WholeOption(_) => format!("optional int64 {name}; "),
        Datum::Cost(_) => {
            let kind = format!("DECIMAL({COST_DIGITS},{COST_DECIMALS})");
            format!("required fixed_len_byte_array({COST_BYTES}) {name} ({kind}); ")
        }
    }
}

/// Which of the values are there, as levels of definition, and those that are.
fn present<'a, T>(
    data: impl Iterator<Item = &'a Datum>,
    value: impl Fn(&Datum) -> Option<T>,
) -> (Vec<i16>, Vec<T>) {
    let values: Vec<Option<T>> = data.map(value).collect();
    let levels = values.iter().map(|value| i16::from(value.is_some())).collect();
    (levels, values.into_iter().flatten().collect())
}

/// In units of the last decimal place of its column.
fn cost(datum: &Datum) -> i128 {
    match datum {
        Datum::Cost(Money { minor_units, currency }) => {
            let missing = COST_DECIMALS.saturating_sub(currency.exponent());
            i128::from(*minor_units) * 10_i128.pow(missing.into())
        }
        other => i128::from(number(other)),
    }
}

fn number(datum: &Datum) -> i64 {
    match datum {
        Datum::Whole(number) => *number,
        // The column says that its bits are to be read without a sign.
        Datum::Natural(number) => number.cast_signed(),
        Datum::Time(at) | Datum::WholeSecond(at) => at.0,
        Datum::Flag(flag) => (*flag).into(),
        Datum::Text(_) | Datum::TextOption(_) | Datum::WholeOption(_) | Datum::Cost(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use tollgate_common::time::Timestamp;

    use super::*;

    #[test]
    fn each_kind_of_value_is_read_as_it_was_written() {
        let cost = |minor_units, code: &str| Money { minor_units, currency: code.parse().unwrap() };
        let row = |number: i64| -> Vec<Cell> {
            vec![
                ("class", (number == 2).then(|| "Correction".to_owned()).into()),
                ("used", (number == 2).then_some(-7).into()),
                ("cost", cost(-4_734 * number, if number == 1 { "USD" } else { "JPY" }).into()),
                ("customer", format!("ä,\"{number}\"").into()),
                ("quantity", (-number).into()),
                ("epoch", (u64::MAX - number.unsigned_abs()).into()),
                ("billed", (number == 1).into()),
                ("window_start", Timestamp(1_795_170_000_000 + number).into()),
            ]
        };

        let bytes = write(&[row(1), row(2)]).unwrap();

        assert!(bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC));
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        insta::assert_snapshot!(rows.join("\n"), @r#"
        {class: null, used: null, cost: -47.3400, customer: "ä,"1"", quantity: -1, epoch: 18446744073709551614, billed: true, window_start: 2026-11-20 10:20:00.001 +00:00}
        {class: "Correction", used: -7, cost: -9468.0000, customer: "ä,"2"", quantity: -2, epoch: 18446744073709551613, billed: false, window_start: 2026-11-20 10:20:00.002 +00:00}
        "#);
    }
}
