//! Rows as Parquet: typed columns, times in microseconds of UTC, digests as 32 bytes, zstd; in groups of rows, so that
//! what is held in memory does not grow with the fleet. The one file that names the crate.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer, get_typed_column_writer_mut};
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, SchemaDescPtr, SchemaDescriptor};

use super::all_there;
use super::flat::{COLUMNS, Line, Of};
use super::rows::in_order;
use super::spool::{Chunk, Chunks};
use crate::domain::snapshot::Head;

/// About so many rows are a group: one ends with the rows of the last instances that it begins. Each thread that makes one
/// holds its rows, 1.2 KB each at most, and two groups a thread may be on their way.
const GROUP: usize = 16_384;

/// A Parquet file that is being written.
pub(super) struct Parquet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    form: Encoder,
    waiting: Group,
}

/// Writes all rows into one file; groups of them are made by several threads.
pub(super) fn all<W: Write + Send>(head: &Head, rows: &Chunks, out: W) -> io::Result<W> {
    let mut parquet = Parquet::begin(out)?;
    let form = parquet.form.clone();
    let encoded = |chunks: io::Result<Vec<Chunk>>| {
        let mut group = Group::default();
        for chunk in chunks? {
            chunk.rows()?.iter().for_each(|row| group.add(&Line::of(head, row)));
        }
        let rows = group.rows as u64;
        Ok((rows, form.encode(group).map_err(io::Error::other)?))
    };
    let mut chunks = rows.each()?;
    let groups = std::iter::from_fn(|| {
        let (mut group, mut count) = (Vec::new(), 0);
        while count < GROUP
            && let Some(chunk) = chunks.next()
        {
            match chunk {
                Ok(chunk) => {
                    count += chunk.count;
                    group.push(chunk);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        (count > 0).then_some(Ok(group))
    });
    let mut count = 0;
    in_order(groups, encoded, |(rows, group): (u64, Encoded)| {
        count += rows;
        parquet.append(group).map_err(io::Error::other)
    })?;
    all_there(head, count)?;
    parquet.end()
}

/// The cells of one column that wait for their group; `defined` is 1 for a row that has one.
struct Cells<T> {
    values: Vec<T>,
    defined: Vec<i16>,
}

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Cells { values: Vec::new(), defined: Vec::new() }
    }
}

impl<T> Cells<T> {
    fn add(&mut self, value: Option<T>) {
        self.defined.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    fn write<D: DataType<T = T>>(&self, out: &mut ColumnWriter<'_>, again: &[i16]) -> Result<(), ParquetError> {
        let again = (!again.is_empty()).then_some(again);
        get_typed_column_writer_mut::<D>(out).write_batch(&self.values, Some(&self.defined), again)?;
        Ok(())
    }
}

enum Column {
    Text(for<'l> fn(&'l Line<'_>) -> Option<Cow<'l, str>>, Cells<ByteArray>),
    /// `again` is 1 for a word that is of the same row as the one before.
    Words {
        of: for<'l> fn(&'l Line<'_>) -> &'l [String],
        cells: Cells<ByteArray>,
        again: Vec<i16>,
    },
    Whole(Whole, Cells<i64>),
    Number(fn(&Line<'_>) -> Option<f64>, Cells<f64>),
    Digest(fn(&Line<'_>) -> Option<crate::domain::digest::Sha256>, Cells<FixedLenByteArray>),
}

enum Whole {
    Count(fn(&Line<'_>) -> Option<u64>),
    Time(fn(&Line<'_>) -> Option<jiff::Timestamp>),
}

impl Column {
    fn of(of: Of) -> Column {
        match of {
            Of::Text(of) => Column::Text(of, Cells::default()),
            Of::Words(of) => Column::Words { of, cells: Cells::default(), again: Vec::new() },
            Of::Count(of) => Column::Whole(Whole::Count(of), Cells::default()),
            Of::Time(of) => Column::Whole(Whole::Time(of), Cells::default()),
            Of::Number(of) => Column::Number(of, Cells::default()),
            Of::Digest(of) => Column::Digest(of, Cells::default()),
        }
    }

    fn add(&mut self, line: &Line<'_>) {
        let bytes = |text: Cow<'_, str>| ByteArray::from(text.into_owned().into_bytes());
        match self {
            Column::Text(of, cells) => {
                // Rows of one device stand together and repeat what they say of it.
                let last = cells.values.last().cloned();
                let cell = of(line).map(|text| match last.filter(|last| last.data() == text.as_bytes()) {
                    Some(last) => last,
                    None => bytes(text),
                });
                cells.add(cell);
            }
            Column::Words { of, cells, again } => {
                let words = of(line);
                if words.is_empty() {
                    cells.add(None);
                    again.push(0);
                }
                for (at, word) in words.iter().enumerate() {
                    cells.add(Some(bytes(Cow::Borrowed(word))));
                    again.push(i16::from(at > 0));
                }
            }
            Column::Whole(Whole::Count(of), cells) => {
                cells.add(of(line).map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
            }
            Column::Whole(Whole::Time(of), cells) => cells.add(of(line).map(jiff::Timestamp::as_microsecond)),
            Column::Number(of, cells) => cells.add(of(line)),
            Column::Digest(of, cells) => {
                cells.add(of(line).map(|digest| FixedLenByteArray::from(digest.0.to_vec())));
            }
        }
    }

    fn write(&self, out: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Column::Text(_, cells) => cells.write::<ByteArrayType>(out, &[]),
            Column::Words { cells, again, .. } => cells.write::<ByteArrayType>(out, again),
            Column::Whole(_, cells) => cells.write::<Int64Type>(out, &[]),
            Column::Number(_, cells) => cells.write::<DoubleType>(out, &[]),
            Column::Digest(_, cells) => cells.write::<FixedLenByteArrayType>(out, &[]),
        }
    }
}

/// The columns as Parquet's own language has them.
fn schema() -> String {
    let of = |(name, of): &(&str, Of)| match of {
        Of::Text(_) => format!("optional binary {name} (STRING);"),
        Of::Words(_) => {
            format!("required group {name} (LIST) {{ repeated group list {{ required binary element (STRING); }} }}")
        }
        Of::Count(_) => format!("optional int64 {name};"),
        Of::Number(_) => format!("optional double {name};"),
        Of::Time(_) => format!("optional int64 {name} (TIMESTAMP(MICROS,true));"),
        Of::Digest(_) => format!("optional fixed_len_byte_array(32) {name};"),
    };
    format!("message row {{ {} }}", COLUMNS.iter().map(of).collect::<Vec<_>>().join(" "))
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    for (name, of) in COLUMNS {
        let path = || ColumnPath::from(*name);
        match of {
            // As good as random: no dictionary and no bounds make anything of it.
            Of::Digest(_) => {
                properties = properties
                    .set_column_dictionary_enabled(path(), false)
                    .set_column_statistics_enabled(path(), EnabledStatistics::None);
            }
            // Its neighbours are near, and none of them is the same.
            Of::Count(_) if *name == "last_report_id" => {
                properties = properties
                    .set_column_dictionary_enabled(path(), false)
                    .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
            }
            Of::Text(_) | Of::Words(_) | Of::Count(_) | Of::Number(_) | Of::Time(_) => {}
        }
    }
    properties.build()
}

/// Rows that are to be a group.
struct Group {
    columns: Vec<Column>,
    rows: usize,
}

impl Default for Group {
    fn default() -> Self {
        Group { columns: COLUMNS.iter().map(|(_, of)| Column::of(*of)).collect(), rows: 0 }
    }
}

impl Group {
    fn add(&mut self, line: &Line<'_>) {
        self.columns.iter_mut().for_each(|column| column.add(line));
        self.rows += 1;
    }
}

/// Makes groups into what stands in the file; each column is its bytes, and what is to be said of them.
#[derive(Clone)]
struct Encoder {
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
}

type Encoded = Vec<(Bytes, ColumnCloseResult)>;

impl Encoder {
    /// Each column's cells are let go of when they are encoded.
    fn encode(&self, group: Group) -> Result<Encoded, ParquetError> {
        let encoded = group.columns.into_iter().zip(self.schema.columns()).map(|(column, description)| {
            let mut bytes = TrackedWrite::new(Vec::new());
            let pages = Box::new(SerializedPageWriter::new(&mut bytes));
            let mut out = get_column_writer(description.clone(), self.properties.clone(), pages);
            column.write(&mut out)?;
            let said = out.close()?;
            Ok((Bytes::from(bytes.into_inner()?), said))
        });
        encoded.collect()
    }
}

impl<W: Write + Send> Parquet<W> {
    pub fn begin(out: W) -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(&schema()).map_err(io::Error::other)?);
        let properties = Arc::new(properties());
        let form = Encoder { schema: Arc::new(SchemaDescriptor::new(schema.clone())), properties: properties.clone() };
        let file = SerializedFileWriter::new(out, schema, properties).map_err(io::Error::other)?;
        Ok(Parquet { file, form, waiting: Group::default() })
    }

    pub fn row(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.waiting.add(line);
        if self.waiting.rows < GROUP { Ok(()) } else { self.let_go() }
    }

    /// Rows that wait for their group.
    pub fn held(&self) -> usize {
        self.waiting.rows
    }

    /// Writes the rows that wait, as a group.
    pub fn let_go(&mut self) -> io::Result<()> {
        if self.waiting.rows == 0 {
            return Ok(());
        }
        let group = self.form.encode(std::mem::take(&mut self.waiting)).map_err(io::Error::other)?;
        self.append(group).map_err(io::Error::other)
    }

    fn append(&mut self, group: Encoded) -> Result<(), ParquetError> {
        let mut out = self.file.next_row_group()?;
        for (bytes, said) in group {
            out.append_column(&bytes, said)?;
        }
        out.close()?;
        Ok(())
    }

    pub fn end(mut self) -> io::Result<W> {
        self.let_go()?;
        self.file.into_inner().map_err(io::Error::other)
    }
}
