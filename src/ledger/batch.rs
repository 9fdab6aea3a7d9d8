//! One line of `events.log`: what one group commit made durable.

use std::io::{self, BufRead, Read};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::digest::Sha256;
use crate::domain::event::Event;

/// Bounds of what one batch may become; readers accept what writers can make, and no more.
pub(super) mod limits {
    /// One append's facts, serialised: a bundle of 200,000 reports, whose record must fit into a checkpoint too.
    pub const FACTS: u64 = 48 << 20;
    /// One object.
    pub const OBJECT: u64 = 64 << 20;
    /// A batch takes no further append beyond this many bytes of facts…
    pub const BATCH_FACTS: u64 = 4 << 20;
    /// …or of objects…
    pub const BATCH_OBJECTS: u64 = 16 << 20;
    /// …or this many appends.
    pub const BATCH_APPENDS: usize = 4096;
    /// One line of `events.log`.
    pub const LINE: u64 = FACTS + BATCH_FACTS + 4096;
    /// One line of a checkpoint.
    pub const RECORD: u64 = LINE;
}

/// Where a chain of batches ends: the next batch has the next number and carries this digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub seq: u64,
    pub head: Sha256,
}

impl Link {
    pub(super) const START: Link = Link { seq: 0, head: Sha256::ZERO };
}

/// One batch, read from its line. **stored**
///
/// A line of `events.log` is the SHA-256 of the rest of it in hex, a space, one JSON object, a line feed:
///
/// ```text
/// <64 hex> {"seq":7,"prev":"<64 hex>","at":"2026-11-21T10:00:00Z","objects_end":4711,"events":[…]}
/// ```
///
/// The digest is taken over the bytes from `{` to `}`. `seq` counts batches of the ledger from 1.
/// `prev` is the digest of the batch before; in the first batch of a segment it is the digest of the
/// checkpoint that closed the segment before; in the very first it is all zeros. `at` is the newest
/// instant among the events, or the append's own for a batch without events. `objects_end` is the
/// length of `objects.pack` (uncompressed) with this batch's objects in it. `events` are
/// [`Event`]s in the order in which they are folded.
///
/// So `cut -c66- events.log | while IFS= read -r l; do printf %s "$l" | sha256sum; done` proves a
/// segment, and `cut -c66- events.log | jq .events[]` reads it.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub hash: Sha256,
    pub seq: u64,
    pub prev: Sha256,
    pub at: Timestamp,
    pub objects_end: u64,
    events: &'a RawValue,
}

#[derive(Deserialize)]
struct Body<'a> {
    seq: u64,
    prev: Sha256,
    at: Timestamp,
    objects_end: u64,
    #[serde(borrow)]
    events: &'a RawValue,
}

/// Why a line is no batch.
#[derive(Debug)]
pub(super) enum BadLine {
    /// Not what was written: the digest does not fit.
    Digest,
    /// The digest fits, but it says something we do not understand.
    Content(String),
}

impl BadLine {
    /// What is wrong with a line that was whole once.
    pub(super) fn told(self) -> String {
        match self {
            BadLine::Digest => "the digest does not fit the line".to_owned(),
            BadLine::Content(what) => format!("its digest is right, but: {what}"),
        }
    }
}

impl<'a> Batch<'a> {
    /// Reads a line, given without its line feed.
    pub(super) fn read(line: &'a [u8]) -> Result<Batch<'a>, BadLine> {
        let (digest, body) = line.split_at_checked(64).ok_or(BadLine::Digest)?;
        let body = body.strip_prefix(b" ").ok_or(BadLine::Digest)?;
        let hash = std::str::from_utf8(digest).ok().and_then(|text| text.parse::<Sha256>().ok());
        let hash = hash.filter(|hash| *hash == Sha256::of(body)).ok_or(BadLine::Digest)?;
        let content = |e: serde_json::Error| BadLine::Content(e.to_string());
        let Body { seq, prev, at, objects_end, events } = serde_json::from_slice(body).map_err(content)?;
        Ok(Batch { hash, seq, prev, at, objects_end, events })
    }

    pub(super) fn events(&self) -> Result<Vec<Event>, String> {
        serde_json::from_str(self.events.get()).map_err(|e| format!("its events cannot be read: {e}"))
    }

    /// Does it follow `link`? Else what is wrong.
    pub(super) fn follows(&self, link: &Link) -> Result<(), String> {
        follows(self.seq, self.prev, link)
    }

    pub(super) fn link(&self) -> Link {
        Link { seq: self.seq, head: self.hash }
    }
}

/// Does a batch of that number, which links to `prev`, follow `link`? Else what is wrong.
pub(super) fn follows(seq: u64, prev: Sha256, link: &Link) -> Result<(), String> {
    if Some(seq) != link.seq.checked_add(1) {
        return Err(format!("batch {seq} follows batch {}", link.seq));
    }
    if prev != link.head {
        return Err(format!("the chain is broken: it links to {}, expected {}", prev.short(), link.head.short()));
    }
    Ok(())
}

/// The line, with its line feed, of the batch that follows `link`.
pub(super) fn line(link: &Link, at: Timestamp, objects_end: u64, events: &[&[u8]]) -> (Vec<u8>, Link) {
    let size: usize = events.iter().map(|part| part.len() + 1).sum();
    let mut line = Vec::with_capacity(size + 320);
    line.resize(64, b'0');
    let seq = link.seq + 1;
    let prev = link.head;
    line.extend_from_slice(
        format!(r#" {{"seq":{seq},"prev":"{prev}","at":"{at}","objects_end":{objects_end},"events":["#).as_bytes(),
    );
    for (index, part) in events.iter().filter(|part| !part.is_empty()).enumerate() {
        if index > 0 {
            line.push(b',');
        }
        line.extend_from_slice(part);
    }
    line.extend_from_slice(b"]}");
    let hash = Sha256::of(&line[65..]);
    line[..64].copy_from_slice(data_encoding::HEXLOWER.encode(&hash.0).as_bytes());
    line.push(b'\n');
    (line, Link { seq, head: hash })
}

/// The events of one append as they stand in a line: JSON, comma between.
pub(super) fn events_json(events: &[Event]) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(events.len() * 768);
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, event)?;
    }
    Ok(json)
}

/// What the next bytes of a text file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line that ends in a line feed (not included).
    Whole,
    /// Bytes up to the end of the file without a line feed.
    Cut,
    /// More than the limit without a line feed.
    TooLong,
    End,
}

/// Reads one line of at most `limit` bytes into `into`.
pub(super) fn read_line(from: &mut impl BufRead, limit: u64, into: &mut Vec<u8>) -> io::Result<Line> {
    into.clear();
    let got = from.by_ref().take(limit + 1).read_until(b'\n', into)? as u64;
    Ok(match into.last() {
        None => Line::End,
        Some(b'\n') => {
            into.pop();
            Line::Whole
        }
        Some(_) if got > limit => Line::TooLong,
        Some(_) => Line::Cut,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_no_changed_byte_passes() {
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let event = r#"{"at":"2026-11-21T10:00:00Z","fact":{"contact-restored":{"device":"r1"}}}"#;
        let link = Link { seq: 6, head: Sha256::of(b"before") };
        let (mut bytes, next) = line(&link, at, 4711, &[event.as_bytes(), b"", event.as_bytes()]);
        assert_eq!(bytes.pop(), Some(b'\n'));
        let batch = Batch::read(&bytes).unwrap();
        assert_eq!((batch.seq, batch.prev, batch.at, batch.objects_end), (7, link.head, at, 4711));
        assert_eq!(batch.events().unwrap().len(), 2);
        assert_eq!(batch.link(), next);
        assert!(batch.follows(&link).is_ok());
        assert!(batch.follows(&Link::START).is_err());
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x10;
            assert!(matches!(Batch::read(&changed), Err(BadLine::Digest)), "byte {index}");
        }
    }

    #[test]
    fn a_right_digest_over_foreign_content_is_told_apart() {
        let body = br#"{"seq":"seven"}"#;
        let bytes = [Sha256::of(body).to_string().as_bytes(), b" ", body.as_slice()].concat();
        assert!(matches!(Batch::read(&bytes), Err(BadLine::Content(_))));
    }

    #[test]
    fn lines_are_bounded() {
        let mut text = &b"ab\n\nabcdef\nxy"[..];
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| read_line(&mut text, 4, line).unwrap();
        assert_eq!((next(&mut line), line.as_slice()), (Line::Whole, b"ab".as_slice()));
        assert_eq!((next(&mut line), line.as_slice()), (Line::Whole, b"".as_slice()));
        assert_eq!(next(&mut line), Line::TooLong);
        let mut text = &b"xy"[..];
        assert_eq!(read_line(&mut text, 4, &mut line).unwrap(), Line::Cut);
        assert_eq!(read_line(&mut text, 4, &mut line).unwrap(), Line::End);
    }
}
