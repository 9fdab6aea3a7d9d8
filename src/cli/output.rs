//! How lists are printed: one place for tables, JSON, NDJSON and CSV.

use std::io::{BufWriter, Write};

use serde::Serialize;

use crate::domain::parts;
pub use crate::domain::problem::{printable, spreadsheet};

/// The forms of a list. Without a sentence each, so that help stays short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
}

/// A column: its heading, and its cell for one item.
pub type Column<T> = (&'static str, fn(&T) -> String);

const BUFFER: usize = 64 << 10;

/// Prints `items`: JSON in full, tables and CSV by `columns`.
pub fn list<T: Serialize + Sync>(
    out: &mut dyn Write,
    format: Format,
    items: &[T],
    columns: &[Column<T>],
) -> std::io::Result<()> {
    // Standard output is written by the line, and a row has thirty of them.
    let mut out = BufWriter::with_capacity(BUFFER, out);
    match format {
        Format::Json if items.is_empty() => writeln!(out, "[]")?,
        Format::Json => {
            let mut before = "[\n  ";
            for item in written(items, serde_json::to_string_pretty) {
                // No text of JSON has a line break in it but those between its parts.
                write!(out, "{before}{}", item?.replace('\n', "\n  "))?;
                before = ",\n  ";
            }
            writeln!(out, "\n]")?;
        }
        Format::Ndjson => {
            for item in written(items, serde_json::to_string) {
                writeln!(out, "{}", item?)?;
            }
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(&mut out);
            csv.write_record(columns.iter().map(|(heading, _)| *heading))?;
            for row in cells(items, columns, |cell| spreadsheet(&cell)) {
                csv.write_record(row)?;
            }
            csv.flush()?;
        }
        Format::Table => table(&mut out, items, columns)?,
    }
    out.flush()
}

/// Each item as text, made by several threads a few thousand at a time, so that memory does not hold all of it.
fn written<'a, T: Sync, U: Send>(items: &'a [T], make: impl Fn(&'a T) -> U + Sync) -> impl Iterator<Item = U> {
    const AT_ONCE: usize = 8 << 10;
    items.chunks(AT_ONCE).flat_map(move |some| parts::each(some, &make))
}

fn cells<T: Sync>(items: &[T], columns: &[Column<T>], shown: impl Fn(String) -> String + Sync) -> Vec<Vec<String>> {
    parts::each(items, |item| columns.iter().map(|(_, cell)| shown(cell(item))).collect())
}

/// Columns as wide as their widest cell.
pub fn table<T: Sync>(out: &mut dyn Write, items: &[T], columns: &[Column<T>]) -> std::io::Result<()> {
    let cells = cells(items, columns, |cell| printable(&cell));
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, (heading, _))| {
            cells.iter().map(|row| row[at].chars().count()).chain([heading.len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &mut dyn Iterator<Item = &str>| {
        let mut line = String::with_capacity(widths.iter().map(|width| width + 2).sum());
        for (cell, width) in row.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', 2 + width.saturating_sub(cell.chars().count())));
        }
        line.truncate(line.trim_end().len());
        line
    };
    writeln!(out, "{}", line(&mut columns.iter().map(|(heading, _)| *heading)))?;
    written(&cells, |row| line(&mut row.iter().map(String::as_str))).try_for_each(|line| writeln!(out, "{line}"))
}

/// A value or a dash.
pub fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// An instant, to the minute.
pub fn minute(at: Option<jiff::Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%MZ").to_string())
}

/// How far a device's clock is off ours, from seconds.
pub fn clock(skew: i64) -> String {
    let by = crate::config::duration::show(std::time::Duration::from_secs(skew.unsigned_abs()));
    match skew {
        0 => "its clock agrees with ours".to_owned(),
        1.. => format!("its clock is {by} ahead of ours"),
        _ => format!("its clock is {by} behind ours"),
    }
}

/// The word by which an enum is written in JSON.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_sees_text_and_numbers_but_no_formula() {
        assert_eq!(spreadsheet("=1+1"), "'=1+1");
        assert_eq!(spreadsheet("@x"), "'@x");
        assert_eq!(spreadsheet("-1.2"), "-1.2");
        assert_eq!(spreadsheet("-"), "-");
    }

    #[test]
    fn json_is_what_serde_writes_of_the_whole() {
        for items in
            [vec![], vec![serde_json::json!({"a": [1, {"b": "line\nbreak"}], "c": {}})], vec![1.into(), "x".into()]]
        {
            let mut out = Vec::new();
            list(&mut out, Format::Json, &items, &[]).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string_pretty(&items).unwrap() + "\n");
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let mut out = Vec::new();
        let columns: &[Column<(&str, u32)>] = &[("name", |row| row.0.to_owned()), ("n", |row| row.1.to_string())];
        list(&mut out, Format::Table, &[("edge-01", 3)], columns).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name     n\nedge-01  3\n");
    }
}
