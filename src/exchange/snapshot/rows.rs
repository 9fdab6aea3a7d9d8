//! The flat forms: rows go in one after the other, and out as lines or columns.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;

use super::all_there;
use super::flat::{COLUMNS, Line};
use super::resource_values;
use super::spool::{Chunk, Chunks};
use crate::domain::parts;
use crate::domain::problem::spreadsheet;
use crate::domain::snapshot::{Form, Head, Row};

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
        let mut rows = Rows::go_on(form, out)?;
        match &mut rows {
            Rows::Csv(csv) => csv.write_record(COLUMNS.iter().map(|(name, _)| *name))?,
            Rows::ResourceValues(csv) => csv.write_record(resource_values::COLUMNS.iter().map(|(name, _)| *name))?,
            Rows::Ndjson(_) => {}
            #[cfg(feature = "parquet")]
            Rows::Parquet(_) => {}
        }
        Ok(rows)
    }

    /// The same without what stands above all rows.
    fn go_on(form: Form, out: W) -> io::Result<Self> {
        match form {
            Form::Csv => Ok(Rows::Csv(csv::Writer::from_writer(out))),
            Form::ResourceValues => Ok(Rows::ResourceValues(csv::Writer::from_writer(out))),
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
            Rows::Csv(csv) => record(csv, COLUMNS.iter().map(|(_, column)| column.cell(&line))),
            Rows::ResourceValues(csv) => {
                record(csv, resource_values::COLUMNS.iter().map(|(_, cell)| Cow::Owned(cell(&line))))
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

fn record<'c>(csv: &mut csv::Writer<impl Write>, cells: impl Iterator<Item = Cow<'c, str>>) -> io::Result<()> {
    for cell in cells {
        csv.write_field(spreadsheet(&cell).as_bytes())?;
    }
    Ok(csv.write_record(None::<&[u8]>)?)
}

/// Writes all rows into one file.
pub(super) fn all<W: Write + Send>(form: Form, head: &Head, rows: &Chunks, mut out: W) -> io::Result<W> {
    #[cfg(feature = "parquet")]
    if form == Form::Parquet {
        return super::parquet::all(head, rows, out);
    }
    // Lines need nothing of those before them: each chunk is made into text by itself.
    let text = |chunk: io::Result<Chunk>| {
        let (mut lines, rows) = (Rows::go_on(form, Vec::new())?, chunk?.rows()?);
        rows.iter().try_for_each(|row| lines.row(head, row))?;
        Ok((rows.len() as u64, lines.end()?))
    };
    out.write_all(&Rows::begin(form, Vec::new())?.end()?)?;
    let mut count = 0;
    in_order(rows.each()?, text, |(rows, text): (u64, Vec<u8>)| {
        count += rows;
        out.write_all(&text)
    })?;
    all_there(head, count).map(|()| out)
}

/// Every row, until one cannot be written.
pub(super) fn each(head: &Head, rows: &Chunks, write: &mut dyn FnMut(&Row) -> io::Result<()>) -> io::Result<()> {
    let mut count = 0;
    in_order(
        rows.each()?,
        |chunk| chunk?.rows(),
        |rows: Vec<Row>| {
            count += rows.len() as u64;
            rows.iter().try_for_each(&mut *write)
        },
    )?;
    all_there(head, count)
}

/// [`parts::in_order`] until something fails.
pub(super) fn in_order<T: Send, U: Send>(
    items: impl Iterator<Item = T>,
    make: impl Fn(T) -> io::Result<U> + Sync,
    mut take: impl FnMut(U) -> io::Result<()>,
) -> io::Result<()> {
    let mut ended = Ok(());
    parts::in_order(items, make, |made| {
        ended = made.and_then(&mut take);
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    ended
}
