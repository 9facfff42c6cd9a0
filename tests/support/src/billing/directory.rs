//! Whoever loads exported files: reads all that are whole, and counts what is in them.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use tempfile::TempDir;

use super::{Bill, Billing, Mishap, Request, Response, add, moment};

pub struct Directory {
    root: TempDir,
}

impl Directory {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a directory for exports") }
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Billing for Directory {
    /// Nothing is sent to a directory.
    fn answer(&mut self, _: &Request, _: i64, _: Mishap) -> Response {
        Response::empty(404)
    }

    fn bill(&self) -> Bill {
        let mut files = Vec::new();
        list(self.root.path(), &mut files);
        let mut bill = Bill::new();
        let mut seen = HashSet::new();
        for (name, bytes) in files {
            let rows = match name.rsplit_once('.') {
                Some((_, "jsonl")) => json_lines(&String::from_utf8(bytes).expect("it is text")),
                Some((_, "csv")) => csv(&String::from_utf8(bytes).expect("it is text")),
                Some((_, "parquet")) => table(bytes),
                _ => panic!("{name} is no export"),
            };
            for row in rows {
                let text = |own: &str, focus: &str| {
                    let value = if row[own].is_null() { &row[focus] } else { &row[own] };
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                };
                let id = text("id", "x_ItemId");
                assert!(seen.insert(id.clone()), "{id} is in two files or twice in {name}");
                let at = moment(&text("window_start", "ChargePeriodStart"));
                let quantity = text("quantity", "ConsumedQuantity").parse();
                let at = at.unwrap_or_else(|| panic!("{name} has a bad time"));
                let quantity = quantity.unwrap_or_else(|_| panic!("{name} has a bad quantity"));
                let (customer, meter) = (text("customer", "x_Customer"), text("meter", "SkuMeter"));
                add(&mut bill, &customer, &meter, at, quantity);
            }
        }
        bill
    }
}

/// All files that are not hidden, by name, with what is in them.
fn list(directory: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).expect("it is there") {
        let entry = entry.expect("it can be read");
        let name = entry.file_name().into_string().expect("names are plain");
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            list(&entry.path(), files);
        } else {
            files.push((name, fs::read(entry.path()).expect("it can be read")));
        }
    }
}

fn table(bytes: Vec<u8>) -> Vec<Value> {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("it is a table");
    let rows = reader.get_row_iter(None).expect("it has rows");
    rows.map(|row| {
        let row = row.expect("a row is whole");
        let cell = |(name, field): (&String, &Field)| (name.clone(), read(field));
        Value::Object(row.get_column_iter().map(cell).collect())
    })
    .collect()
}

fn read(field: &Field) -> Value {
    match field {
        Field::Str(text) => text.as_str().into(),
        Field::Long(number) => (*number).into(),
        Field::TimestampMillis(at) => {
            jiff::Timestamp::from_millisecond(*at).expect("a time of our days").to_string().into()
        }
        other => panic!("{other} is none of what windows have"),
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Of fields without quotes: no test has others.
fn csv(text: &str) -> Vec<Value> {
    assert!(text.ends_with("\r\n"), "the last line is whole");
    let mut lines = text.split_terminator("\r\n").map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("the names of the columns come first");
    let row = |fields: Vec<&str>| {
        assert_eq!(fields.len(), names.len(), "{fields:?}");
        names.iter().zip(fields).map(|(name, field)| ((*name).to_owned(), field.into())).collect()
    };
    lines.map(|fields| Value::Object(row(fields))).collect()
}
