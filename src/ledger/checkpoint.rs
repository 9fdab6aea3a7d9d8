//! `checkpoint.zst`: the fold of everything up to the end of a segment.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::{self, Line, Link, limits};
use super::decode::{self, Records};
use super::error::{Error, Place};
use super::register::Applied;
use super::seal::LEVEL;
use super::sealed::FileSeal;
use crate::domain::digest::Sha256;
use crate::domain::fleet::{Fleet, RecordForm};
use crate::domain::hashing::Hashing;

pub(super) const CHECKPOINT: &str = "checkpoint.zst";

/// The first line of a checkpoint; its digest therefore covers the chain. **stored**
///
/// A checkpoint is text, one JSON object a line, compressed by zstd. After this first line comes one
/// line a record, in the order of the records' keys:
/// `{"key":["instance","C9300-24T","FOC00000000"],"record":{…}}`, where the parts of `key` are those of
/// [`RecordKey::to_bytes`](crate::domain::fleet::RecordKey::to_bytes) between its NULs and `record` is what [`Fleet::encode`] gives. The checkpoint's
/// digest is the SHA-256 of the uncompressed text; the first batch of the next segment carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointHead {
    pub format: u64,
    /// Of the records, as in [`Applied`]: a program with another one folds from the first event instead.
    pub schema: u32,
    /// The segment that it closes.
    pub segment: u64,
    /// That segment's last batch and its digest.
    pub seq: u64,
    pub head: Sha256,
    /// The newest instant among all events so far.
    pub newest: Timestamp,
    pub records: u64,
}

impl CheckpointHead {
    pub(super) const FORMAT: u64 = 1;

    pub(super) fn of(fleet: &Fleet, segment: u64, link: &Link, newest: Timestamp) -> CheckpointHead {
        let records = fleet.records();
        CheckpointHead {
            format: Self::FORMAT,
            schema: Applied::SCHEMA,
            segment,
            seq: link.seq,
            head: link.head,
            newest,
            records,
        }
    }
}

#[derive(Deserialize)]
struct RecordLine<'a> {
    key: Vec<String>,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// Writes the uncompressed text.
fn write_text(to: &mut impl Write, head: &CheckpointHead, fleet: &Fleet) -> std::io::Result<()> {
    serde_json::to_writer(&mut *to, head)?;
    to.write_all(b"\n")?;
    for key in fleet.keys() {
        let Some(record) = fleet.encode(&key, RecordForm::Json) else { continue };
        let key = key.to_bytes();
        let parts: Vec<_> = key.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        to.write_all(b"{\"key\":")?;
        serde_json::to_writer(&mut *to, &parts)?;
        to.write_all(b",\"record\":")?;
        to.write_all(&record)?;
        to.write_all(b"}\n")?;
    }
    Ok(())
}

/// Writes a checkpoint file and confirms it; gives the digest of its text, and the file's own.
pub(super) fn write(file: &Path, head: &CheckpointHead, fleet: &Fleet) -> Result<(Sha256, FileSeal), Error> {
    let write = || {
        let mut encoder = zstd::Encoder::new(Hashing::new(File::create(file)?), LEVEL)?;
        encoder.include_checksum(true)?;
        let mut text = BufWriter::with_capacity(256 << 10, Hashing::new(encoder));
        write_text(&mut text, head, fleet)?;
        let (encoder, digest, _) = text.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish();
        let (file, sha256, bytes) = encoder.finish()?.finish();
        file.sync_all()?;
        Ok((digest, FileSeal { bytes, sha256 }))
    };
    write().map_err(Error::io("write", file))
}

/// The digest that a checkpoint of this fold has.
pub(super) fn digest(head: &CheckpointHead, fleet: &Fleet) -> Sha256 {
    let mut text = Hashing::new(std::io::sink());
    write_text(&mut text, head, fleet).expect("a sink takes everything");
    text.finish().1
}

/// Reads a checkpoint whose digest is known.
pub(super) fn read(file: &Path, expected: Sha256) -> Result<(CheckpointHead, Fleet), Error> {
    let (head, fleet, digest) = read_unchecked(file)?;
    if digest != expected {
        let what = format!("its digest is {digest}, expected {expected}");
        return Err(Error::damaged(file, Place::Whole, what));
    }
    Ok((head, fleet))
}

fn read_unchecked(file: &Path) -> Result<(CheckpointHead, Fleet, Sha256), Error> {
    let open = File::open(file).map_err(Error::io("open", file))?;
    let decoder = zstd::Decoder::new(open).map_err(Error::io("read", file))?;
    let mut reader = BufReader::with_capacity(256 << 10, Hashing::new(decoder));
    let read = |records: &mut Records| read_lines(&mut reader, file, records);
    let (head, fleet) = decode::fleet(RecordForm::Json, read, |what| Error::damaged(file, Place::Whole, what))?;
    if fleet.records() != head.records {
        let what = format!("it has {} records and should have {}", fleet.records(), head.records);
        return Err(Error::damaged(file, Place::Whole, what));
    }
    let (_, digest, _) = reader.into_inner().finish();
    Ok((head, fleet, digest))
}

fn read_lines(reader: &mut impl BufRead, file: &Path, records: &mut Records) -> Result<CheckpointHead, Error> {
    let (mut line, mut number) = (Vec::new(), 0);
    let mut head: Option<CheckpointHead> = None;
    loop {
        number += 1;
        let damaged = |what: String| Error::damaged(file, Place::Line(number), what);
        let kind = batch::read_line(reader, limits::RECORD, &mut line).map_err(|e| damaged(e.to_string()))?;
        match kind {
            Line::End => return head.ok_or_else(|| damaged("it is empty".to_owned())),
            Line::Cut | Line::TooLong => return Err(damaged("the line has no end".to_owned())),
            Line::Whole => {}
        }
        if head.is_none() {
            let read: CheckpointHead = serde_json::from_slice(&line).map_err(|e| damaged(e.to_string()))?;
            if read.format > CheckpointHead::FORMAT {
                let (found, known) = (read.format, CheckpointHead::FORMAT);
                return Err(Error::TooNew { file: file.to_owned(), found, known });
            }
            head = Some(read);
            continue;
        }
        let RecordLine { key, record } = serde_json::from_slice(&line).map_err(|e| damaged(e.to_string()))?;
        records.push(key.join("\0").as_bytes(), record.get().as_bytes());
    }
}
