//! The flat forms: rows go in one after the other, and out as lines or columns.

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::flat::{COLUMNS, Line};
use super::resource_values;
use crate::domain::problem::spreadsheet;
use crate::domain::snapshot::{Form, Head, Row, Survey};

/// A file of a flat form that is being written.
pub(super) enum Rows<W: Write + Send> {
    Csv(csv::Writer<W>),
    ResourceValues(csv::Writer<W>),
    Ndjson(W),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Parquet<W>>),
}

impl<W: Write + Send> Rows<W> {
    /// Begins with what stands above all rows. [`Form::Json`] is not flat, and [`Form::Parquet`] may not be built in.
    pub fn begin(form: Form, out: W) -> io::Result<Self> {
        let header = |names: &mut dyn Iterator<Item = &'static str>, out| {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(names)?;
            io::Result::Ok(csv)
        };
        match form {
            Form::Csv => header(&mut COLUMNS.iter().map(|(name, _)| *name), out).map(Rows::Csv),
            Form::ResourceValues => {
                header(&mut resource_values::COLUMNS.iter().map(|(name, _)| *name), out).map(Rows::ResourceValues)
            }
            Form::Ndjson => Ok(Rows::Ndjson(out)),
            #[cfg(feature = "parquet")]
            Form::Parquet => Ok(Rows::Parquet(Box::new(super::parquet::Parquet::begin(out)?))),
            #[cfg(not(feature = "parquet"))]
            Form::Parquet => Err(io::Error::new(io::ErrorKind::Unsupported, crate::domain::snapshot::NO_PARQUET)),
            Form::Json => Err(io::Error::new(io::ErrorKind::Unsupported, "the whole form is no table")),
        }
    }

    pub fn row(&mut self, head: &Head, row: &Row) -> io::Result<()> {
        let line = Line::of(head, row);
        match self {
            Rows::Csv(csv) => Ok(csv.write_record(COLUMNS.iter().map(|(_, column)| spreadsheet(&column.cell(&line))))?),
            Rows::ResourceValues(csv) => {
                Ok(csv.write_record(resource_values::COLUMNS.iter().map(|(_, cell)| spreadsheet(&cell(&line))))?)
            }
            Rows::Ndjson(out) => {
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")
            }
            #[cfg(feature = "parquet")]
            Rows::Parquet(parquet) => parquet.row(&line),
        }
    }

    /// How many rows are held back until there are enough of them for a group.
    pub fn held(&self) -> usize {
        match self {
            Rows::Csv(_) | Rows::ResourceValues(_) | Rows::Ndjson(_) => 0,
            #[cfg(feature = "parquet")]
            Rows::Parquet(parquet) => parquet.held(),
        }
    }

    /// Writes what is held back.
    pub fn let_go(&mut self) -> io::Result<()> {
        match self {
            Rows::Csv(_) | Rows::ResourceValues(_) | Rows::Ndjson(_) => Ok(()),
            #[cfg(feature = "parquet")]
            Rows::Parquet(parquet) => parquet.let_go(),
        }
    }

    /// Ends the file; everything was given to `W`, which may still hold some of it.
    pub fn end(self) -> io::Result<W> {
        match self {
            Rows::Csv(csv) | Rows::ResourceValues(csv) => csv.into_inner().map_err(csv::IntoInnerError::into_error),
            Rows::Ndjson(out) => Ok(out),
            #[cfg(feature = "parquet")]
            Rows::Parquet(parquet) => parquet.end(),
        }
    }
}

/// Writes all rows into one file.
pub(super) fn all<W: Write + Send>(form: Form, head: &Head, survey: &Survey<'_>, out: W) -> io::Result<W> {
    let mut rows = Rows::begin(form, out)?;
    each(survey, &mut |row| rows.row(head, row))?;
    rows.end()
}

/// Every row, until one cannot be written.
pub(super) fn each(survey: &Survey<'_>, write: &mut dyn FnMut(&Row) -> io::Result<()>) -> io::Result<()> {
    let mut written = Ok(());
    survey.each(&mut |entry| {
        written = write(&entry.row);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written
}
