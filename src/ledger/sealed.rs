//! A sealed segment: compressed, indexed, closed by a checkpoint, never written again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::batch::Link;
use super::checkpoint::{self, CHECKPOINT, CheckpointHead};
use super::disk;
use super::error::{Error, Place};
use super::index::{Entry, Index};
use super::{pack, segment};
use crate::domain::digest::Sha256;
use crate::domain::fleet::Fleet;

pub(super) const SEALED_EVENTS: &str = "events.log.zst";
pub(super) const SEALED_PACK: &str = "objects.pack.zst";

/// The content of `seal.json`: what a sealed segment holds. **stored**
///
/// Written last; a segment is sealed when this file is there. `events.log.zst` and `objects.pack.zst`
/// are what the open segment's files were, compressed by zstd (the pack in independent frames, so that
/// `zstd -d` gives it back whole). Retention may remove `objects.pack.zst` with `objects.idx` of any
/// sealed segment; then, from the oldest segment on, `events.log.zst`; and whole folders before one
/// whose `seal.json` and `checkpoint.zst` stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub format: u64,
    /// Of the checkpoint's records.
    pub schema: u32,
    pub segment: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// What its first batch links to.
    pub prev: Sha256,
    /// The digest of its last batch.
    pub head: Sha256,
    /// The digest of the checkpoint's text, to which the next segment links.
    pub checkpoint: Sha256,
    /// The newest instant among this segment's events.
    pub newest: Timestamp,
    /// The newest instant among all events up to the end of this segment.
    pub newest_so_far: Timestamp,
    /// Lengths before compression.
    pub events_bytes: u64,
    pub objects_bytes: u64,
    pub objects: u64,
    /// Length and SHA-256 of each file as it lies in the folder.
    pub files: BTreeMap<String, FileSeal>,
}

/// One file of a sealed segment. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileSeal {
    pub bytes: u64,
    pub sha256: Sha256,
}

impl Seal {
    pub(super) const NAME: &str = "seal.json";
    pub(super) const FORMAT: u64 = 1;
    const LIMIT: u64 = 64 << 10;

    /// Reads the seal in a segment's folder; `None` if it has none.
    pub(super) fn read(dir: &Path) -> Result<Option<Seal>, Error> {
        let file = dir.join(Seal::NAME);
        let Some(bytes) = disk::read_small(&file, Self::LIMIT)? else { return Ok(None) };
        let seal: Seal =
            serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&file, Place::Whole, e.to_string()))?;
        if seal.format > Self::FORMAT {
            return Err(Error::TooNew { file, found: seal.format, known: Self::FORMAT });
        }
        Ok(Some(seal))
    }

    /// What the next segment's first batch follows.
    pub(super) fn next_link(&self) -> Link {
        Link { seq: self.last_seq, head: self.checkpoint }
    }
}

/// A sealed segment, ready to be read; holds no file open.
#[derive(Debug)]
pub(super) struct Sealed {
    pub seal: Seal,
    pub dir: PathBuf,
    /// `None`: its objects were dropped.
    pub index: Option<Index>,
    /// `false`: only its checkpoint is kept.
    pub has_events: bool,
}

impl Sealed {
    /// Opens a sealed segment, comparing the lengths of its files; `None` if it is not sealed.
    pub(super) fn open(root: &Path, number: u64) -> Result<Option<Sealed>, Error> {
        let dir = segment::folder(root, number);
        let Some(seal) = Seal::read(&dir)? else { return Ok(None) };
        if seal.segment != number {
            let what = format!("it is the seal of segment {}", seal.segment);
            return Err(Error::damaged(&dir.join(Seal::NAME), Place::Whole, what));
        }
        let there = |name: &str| -> Result<bool, Error> {
            let file = dir.join(name);
            let bytes = match std::fs::metadata(&file) {
                Ok(metadata) => metadata.len(),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(Error::io("look at", &file)(e)),
            };
            match seal.files.get(name) {
                Some(known) if known.bytes == bytes => Ok(true),
                Some(known) => {
                    let what = format!("it has {bytes} bytes and should have {}", known.bytes);
                    Err(Error::damaged(&file, Place::Whole, what))
                }
                None => Err(Error::damaged(&file, Place::Whole, "the seal does not name it")),
            }
        };
        let missing = |name: &str| Error::damaged(&dir.join(name), Place::Whole, "it is missing");
        if !there(CHECKPOINT)? {
            return Err(missing(CHECKPOINT));
        }
        let has_events = there(SEALED_EVENTS)?;
        let index = match (there(SEALED_PACK)?, there(Index::NAME)?) {
            (true, true) => Some(Index::open(&dir.join(Index::NAME))?),
            (false, false) => None,
            (true, false) => return Err(missing(Index::NAME)),
            (false, true) => return Err(missing(SEALED_PACK)),
        };
        Ok(Some(Sealed { seal, dir, index, has_events }))
    }

    pub(super) fn number(&self) -> u64 {
        self.seal.segment
    }

    pub(super) fn events_path(&self) -> PathBuf {
        self.dir.join(SEALED_EVENTS)
    }

    /// A reader of its batches.
    pub(super) fn batches(&self) -> Result<BufReader<impl Read + use<>>, Error> {
        let path = self.events_path();
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let decoder = zstd::Decoder::new(file).map_err(Error::io("read", &path))?;
        Ok(BufReader::with_capacity(256 << 10, decoder))
    }

    /// The fold at its end.
    pub(super) fn checkpoint(&self) -> Result<Fleet, Error> {
        let file = self.dir.join(CHECKPOINT);
        let (head, fleet) = checkpoint::read(&file, self.seal.checkpoint)?;
        let CheckpointHead { format: _, schema, segment, seq, head, newest, records: _ } = head;
        let seal = &self.seal;
        let told = (seal.schema, seal.segment, seal.last_seq, seal.head, seal.newest_so_far);
        if (schema, segment, seq, head, newest) != told {
            return Err(Error::damaged(&file, Place::Line(1), "it tells of another batch than the seal"));
        }
        Ok(fleet)
    }

    /// Is the object kept here? An index that cannot be read knows of none.
    pub(super) fn has(&self, hash: &Sha256) -> bool {
        self.index.as_ref().is_some_and(|index| matches!(index.find(hash), Ok(Some(_))))
    }

    /// Leaves the frame that it needed in `last`, and takes it from there.
    pub(super) fn object(&self, hash: &Sha256, last: &mut Option<Unpacked>) -> Result<Option<Vec<u8>>, Error> {
        let Some(index) = &self.index else { return Ok(None) };
        let Some(entry) = index.find(hash)? else { return Ok(None) };
        let path = self.dir.join(SEALED_PACK);
        let at = (self.number(), entry.frame);
        let unpacked = match last.take().filter(|unpacked| unpacked.at == at) {
            Some(unpacked) => unpacked,
            None => {
                let file = File::open(&path).map_err(Error::io("open", &path))?;
                let (bytes, start) = read_frame(index, &file, &path, entry.frame as usize)?;
                Unpacked { at, start, bytes }
            }
        };
        let Unpacked { start, bytes, .. } = last.insert(unpacked);
        let bytes = within(bytes, *start, &entry)
            .ok_or_else(|| Error::damaged(&path, Place::Offset(*start), "the index points beyond the frame"))?;
        pack::checked(bytes.to_vec(), &path, hash, entry.extent).map(Some)
    }
}

/// One frame of a sealed pack, decompressed.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The segment, and the frame's number in it.
    at: (u64, u32),
    /// Where it begins in the pack.
    start: u64,
    bytes: Vec<u8>,
}

/// Decompresses one frame; also gives where it begins in the pack.
pub(super) fn read_frame(index: &Index, file: &File, path: &Path, number: usize) -> Result<(Vec<u8>, u64), Error> {
    let (frame, stored_len, raw_len) =
        index.frame(number).ok_or_else(|| Error::damaged(path, Place::Whole, format!("there is no frame {number}")))?;
    let mut stored = vec![0; stored_len as usize];
    file.read_exact_at(&mut stored, frame.stored).map_err(Error::io("read", path))?;
    let damaged = |what: String| Error::damaged(path, Place::Offset(frame.stored), what);
    let raw = zstd::bulk::decompress(&stored, raw_len as usize).map_err(|e| damaged(format!("frame {number}: {e}")))?;
    if raw.len() as u64 != raw_len {
        return Err(damaged(format!("frame {number} holds {} bytes and should hold {raw_len}", raw.len())));
    }
    Ok((raw, frame.raw))
}

fn within<'a>(frame: &'a [u8], start: u64, entry: &Entry) -> Option<&'a [u8]> {
    let from = usize::try_from(entry.extent.offset.checked_sub(start)?).ok()?;
    frame.get(from..from.checked_add(entry.extent.len as usize)?)
}
