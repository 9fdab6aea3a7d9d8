//! A CSV file as rows with named columns and the line that each starts at.

use std::path::Path;

use super::mistake::{Mistakes, rather};
use super::raw::printable;
use crate::domain::settings::Word;

/// The columns that a file may have.
pub(super) trait Columns: Word + PartialEq {
    /// Without which nothing can be understood.
    const NEEDED: &'static [Self];
    /// A first line to begin with.
    const EXAMPLE: &'static str;
}

/// The text of a file; `None` when it cannot be read, which is noted. `instead` is what to write.
pub(super) fn text_of(file: &Path, instead: &str, mistakes: &mut Mistakes) -> Option<String> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(cause) => {
            mistakes.add(file, 1, format!("cannot be read: {cause}; write {instead}"));
            return None;
        }
    };
    let read = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        mistakes.add(file, line, "is not UTF-8 text; write the file as UTF-8");
    });
    read.ok()
}

/// The rows of a file, after its header.
pub(super) struct Rows<'t, C> {
    file: &'t Path,
    text: &'t str,
    reader: csv::Reader<&'t [u8]>,
    record: csv::StringRecord,
    /// At which field of a record each column is.
    at: Vec<(C, usize)>,
    width: usize,
    /// A byte of the text and the line it is in; moves on with the rows.
    counted: (usize, usize),
}

/// One row.
pub(super) struct Row<'r, C> {
    pub(super) line: usize,
    record: &'r csv::StringRecord,
    at: &'r [(C, usize)],
}

impl<C: Columns> Row<'_, C> {
    /// The field of a column; `None` when it is empty or the file has no such column.
    pub(super) fn field(&self, column: C) -> Option<&str> {
        self.record.get(place(self.at, column)?).filter(|text| !text.is_empty())
    }

    pub(super) fn text(&self, column: C) -> Option<String> {
        self.field(column).map(str::to_owned)
    }
}

impl<'t, C: Columns> Rows<'t, C> {
    /// Reads the header; `None` when rows cannot be understood without what it lacks.
    pub(super) fn open(text: &'t str, file: &'t Path, mistakes: &mut Mistakes) -> Option<Rows<'t, C>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let record = csv::StringRecord::new();
        let mut rows = Rows { file, text, reader, record, at: Vec::new(), width: 0, counted: (0, 1) };
        let example = format!("write a first line such as {}", C::EXAMPLE);
        let Some(line) = rows.record(mistakes) else {
            mistakes.add(file, 1, format!("names no columns; {example}"));
            return None;
        };
        if rows.record.len() == 1 && rows.record[0].contains(';') {
            mistakes.add(file, line, "separates its columns by ';'; write commas");
            return None;
        }
        rows.width = rows.record.len();
        for (at, name) in rows.record.iter().enumerate() {
            match C::of_word(name) {
                Ok(column) if place(&rows.at, column).is_some() => {
                    mistakes.add(file, line, format!("column {name} comes twice; write it once"));
                }
                Ok(column) => rows.at.push((column, at)),
                Err(unknown) => {
                    let message =
                        format!("{:?} is not a known column; {}", printable(name), rather(name, unknown.expected));
                    mistakes.add(file, line, message);
                }
            }
        }
        let lacking = |column: &&C| place(&rows.at, **column).is_none();
        let lacking: Vec<&C> = C::NEEDED.iter().filter(lacking).collect();
        for column in &lacking {
            mistakes.add(file, line, format!("has no column {}; {example}", column.word()));
        }
        lacking.is_empty().then_some(rows)
    }

    /// The next row that is as wide as the header.
    pub(super) fn next(&mut self, mistakes: &mut Mistakes) -> Option<Row<'_, C>> {
        loop {
            let line = self.record(mistakes)?;
            let got = self.record.len();
            if got == self.width {
                return Some(Row { line, record: &self.record, at: &self.at });
            }
            let instead = "write each of them, empty ones between commas";
            let message = format!("has {got} fields where the first line names {} columns; {instead}", self.width);
            mistakes.add(self.file, line, message);
        }
    }

    /// Reads the next record that is not blank, and tells its line.
    fn record(&mut self, mistakes: &mut Mistakes) -> Option<usize> {
        loop {
            // The text is UTF-8 and any width will do, so nothing can fail but the end of the file.
            if !self.reader.read_record(&mut self.record).unwrap_or(false) {
                return None;
            }
            let line = self.line();
            // The fields of the record, one behind the other.
            let fields = self.record.as_slice();
            if fields.is_empty() {
                continue;
            }
            let control = |text: &str| {
                text.bytes().any(|byte| byte.is_ascii_control())
                    || (!text.is_ascii() && text.contains(char::is_control))
            };
            if fields.contains(['\n', '\r']) {
                let message = "has a quote that does not end on its line; write \"\" for a quote in a quoted field";
                mistakes.add(self.file, line, message);
                return None;
            }
            if control(fields) {
                mistakes.add(self.file, line, "has a control character; write plain text");
                continue;
            }
            return Some(line);
        }
    }

    /// The line at which the current record starts, after comments and blank lines.
    fn line(&mut self) -> usize {
        let start = self.record.position().map_or(0, |position| position.byte() as usize);
        let mut start = start.min(self.text.len());
        while let Some((line, _)) = self.text[start..].split_once('\n')
            && (line.starts_with('#') || line.trim_end_matches('\r').is_empty())
        {
            start += line.len() + 1;
        }
        let (from, line) = self.counted;
        let more = self.text.as_bytes()[from..start].iter().filter(|byte| **byte == b'\n').count();
        self.counted = (start, line + more);
        self.counted.1
    }
}

fn place<C: PartialEq>(at: &[(C, usize)], column: C) -> Option<usize> {
    at.iter().find(|(known, _)| *known == column).map(|(_, at)| *at)
}
