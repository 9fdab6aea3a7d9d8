//! How lists are printed: one place for tables, JSON, NDJSON and CSV.

use std::io::{BufWriter, Write};

use serde::Serialize;

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
pub fn list<T: Serialize>(
    out: &mut dyn Write,
    format: Format,
    items: &[T],
    columns: &[Column<T>],
) -> std::io::Result<()> {
    let mut list = List::new(out, format, columns);
    list.add(items);
    list.end()
}

/// A table, whatever the form of the rest.
pub fn table<T>(out: &mut dyn Write, items: &[T], columns: &[Column<T>]) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, out);
    lay_out(&mut out, &cells(items, columns).collect::<Vec<_>>(), columns)?;
    out.flush()
}

fn cells<'a, T>(items: &'a [T], columns: &'a [Column<T>]) -> impl Iterator<Item = String> + 'a {
    items.iter().flat_map(move |item| columns.iter().map(move |(_, cell)| printable(&cell(item))))
}

/// A list that is printed as its items come; a table, whose columns are as wide as their widest cell, at the end.
pub struct List<'a, T> {
    // Standard output is written by the line, and a row has thirty of them.
    out: BufWriter<&'a mut dyn Write>,
    format: Format,
    columns: &'a [Column<T>],
    empty: bool,
    /// The cells of the table, row by row.
    cells: Vec<String>,
    /// What kept an item from being printed; nothing is after it.
    printed: std::io::Result<()>,
}

impl<'a, T: Serialize> List<'a, T> {
    pub fn new(out: &'a mut dyn Write, format: Format, columns: &'a [Column<T>]) -> Self {
        let out = BufWriter::with_capacity(BUFFER, out);
        List { out, format, columns, empty: true, cells: Vec::new(), printed: Ok(()) }
    }

    pub fn is_empty(&self) -> bool {
        self.empty
    }

    pub fn add(&mut self, items: &[T]) {
        if self.printed.is_ok() && !items.is_empty() {
            self.printed = self.print(items);
            self.empty = false;
        }
    }

    /// Ends the list. Answers what kept it from being printed in full.
    pub fn end(mut self) -> std::io::Result<()> {
        std::mem::replace(&mut self.printed, Ok(()))?;
        match self.format {
            Format::Json if self.empty => writeln!(self.out, "[]")?,
            Format::Json => writeln!(self.out, "\n]")?,
            Format::Csv if self.empty => self.csv(&[])?,
            Format::Ndjson | Format::Csv => {}
            Format::Table => lay_out(&mut self.out, &self.cells, self.columns)?,
        }
        self.out.flush()
    }

    fn print(&mut self, items: &[T]) -> std::io::Result<()> {
        match self.format {
            Format::Json => {
                // The brackets of the whole stand around all parts.
                let text = serde_json::to_string_pretty(items)?;
                let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix("\n]")).unwrap_or(&text);
                write!(self.out, "{}{inner}", if self.empty { "[" } else { "," })
            }
            Format::Ndjson => items.iter().try_for_each(|item| {
                serde_json::to_writer(&mut self.out, item)?;
                writeln!(self.out)
            }),
            Format::Csv => self.csv(items),
            Format::Table => {
                self.cells.extend(cells(items, self.columns));
                Ok(())
            }
        }
    }

    fn csv(&mut self, items: &[T]) -> std::io::Result<()> {
        let mut csv = csv::Writer::from_writer(&mut self.out);
        if self.empty {
            csv.write_record(self.columns.iter().map(|(heading, _)| *heading))?;
        }
        for item in items {
            csv.write_record(self.columns.iter().map(|(_, cell)| spreadsheet(&cell(item)).into_owned()))?;
        }
        csv.flush()
    }
}

/// Columns as wide as their widest cell; `cells` are those of all rows, row by row.
fn lay_out<T>(out: &mut impl Write, cells: &[String], columns: &[Column<T>]) -> std::io::Result<()> {
    let headings = columns.iter().map(|(heading, _)| *heading);
    let mut widths: Vec<usize> = headings.clone().map(str::len).collect();
    for row in cells.chunks(columns.len()) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = String::new();
    let mut write = |row: &mut dyn Iterator<Item = &str>| {
        line.clear();
        for (cell, width) in row.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', 2 + width.saturating_sub(cell.chars().count())));
        }
        line.truncate(line.trim_end().len());
        writeln!(out, "{line}")
    };
    write(&mut headings.clone())?;
    cells.chunks(columns.len()).try_for_each(|row| write(&mut row.iter().map(String::as_str)))
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
    fn a_list_in_parts_is_the_list_at_once() {
        let columns: &[Column<(&str, u32)>] = &[("name", |row| row.0.to_owned()), ("n", |row| row.1.to_string())];
        let items = [("edge-01", 3), ("=1+1", 20), ("core", 100)];
        for format in [Format::Table, Format::Json, Format::Ndjson, Format::Csv] {
            for some in [&items[..], &[]] {
                let (mut whole, mut parts): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
                list(&mut whole, format, some, columns).unwrap();
                let mut list = List::new(&mut parts, format, columns);
                some.chunks(1).chain([&[][..]]).for_each(|part| list.add(part));
                list.end().unwrap();
                assert_eq!(String::from_utf8(whole), String::from_utf8(parts), "{format:?}");
            }
        }
    }

    #[test]
    fn a_list_that_cannot_be_printed_says_so_at_its_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut full = Full;
        let mut list = List::new(&mut full, Format::Ndjson, &[]);
        (0..BUFFER).for_each(|number| list.add(&[number]));
        assert_eq!(list.end().unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let mut out = Vec::new();
        let columns: &[Column<(&str, u32)>] = &[("name", |row| row.0.to_owned()), ("n", |row| row.1.to_string())];
        list(&mut out, Format::Table, &[("edge-01", 3)], columns).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name     n\nedge-01  3\n");
    }
}
