//! `heads.log`: where the chain stood at the end of each segment.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk;
use super::error::{Error, Place};
use super::sealed::Seal;
use crate::domain::digest::Sha256;

/// One line of `heads.log`, a JSON object for each segment ever sealed, in order. **stored**
///
/// Copied elsewhere from time to time (printed, mailed, signed), it proves that nothing before was
/// changed since. It outlives segments that are no longer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub segment: u64,
    /// The last batch of the segment and its digest.
    pub seq: u64,
    pub head: Sha256,
    /// The digest of the checkpoint that closes the segment.
    pub checkpoint: Sha256,
    /// The newest instant among all events up to there.
    pub newest: Timestamp,
}

const LIMIT: u64 = 64 << 20;

impl Head {
    fn of(seal: &Seal) -> Head {
        let Seal { segment, last_seq: seq, head, checkpoint, newest_so_far: newest, .. } = *seal;
        Head { segment, seq, head, checkpoint, newest }
    }
}

pub(super) const NAME: &str = "heads.log";

pub(super) fn path(root: &Path) -> PathBuf {
    root.join(NAME)
}

/// The file's content up to the last of these segments.
pub(super) fn text<'a>(root: &Path, seals: impl Iterator<Item = &'a Seal> + Clone) -> Result<Vec<u8>, Error> {
    let last = seals.clone().last().map_or(0, |seal| seal.segment);
    let mut heads = match lacks(root, seals)? {
        Some(mended) => mended,
        None => read(root)?,
    };
    heads.retain(|head| head.segment <= last);
    Ok(lines(&heads))
}

fn lines(heads: &[Head]) -> Vec<u8> {
    let mut text = Vec::new();
    for head in heads {
        serde_json::to_writer(&mut text, head).expect("a struct of plain fields");
        text.push(b'\n');
    }
    text
}

pub(super) fn read(root: &Path) -> Result<Vec<Head>, Error> {
    let file = path(root);
    let bytes = disk::read_small(&file, LIMIT)?.unwrap_or_default();
    let mut heads: Vec<Head> = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(1..) {
        let damaged = |what: String| Error::damaged(&file, Place::Line(number), what);
        let head: Head = serde_json::from_slice(line).map_err(|e| damaged(e.to_string()))?;
        if heads.last().is_some_and(|last| last.segment >= head.segment) {
            return Err(damaged("segments are not in order".to_owned()));
        }
        heads.push(head);
    }
    Ok(heads)
}

/// Compares the file with the seals that are kept; `true` if lines are missing at its end.
pub(super) fn lacks<'a>(root: &Path, seals: impl Iterator<Item = &'a Seal>) -> Result<Option<Vec<Head>>, Error> {
    let mut heads = read(root)?;
    let mut missing = false;
    for (seal, index) in seals.zip(0..) {
        let wanted = Head::of(seal);
        match heads.iter().position(|head| head.segment == wanted.segment) {
            Some(at) if heads[at] == wanted => {}
            Some(at) => {
                let what = format!("it tells of another segment {} than its seal", wanted.segment);
                return Err(Error::damaged(&path(root), Place::Line(at as u64 + 1), what));
            }
            None if heads.last().is_none_or(|last| last.segment < wanted.segment) => {
                missing = true;
                heads.push(wanted);
            }
            None => {
                let what = format!("segment {} is missing (entry {index})", wanted.segment);
                return Err(Error::damaged(&path(root), Place::Whole, what));
            }
        }
    }
    Ok(missing.then_some(heads))
}

/// Adds the lines that a power cut kept from being written.
pub(super) fn mend<'a>(root: &Path, seals: impl Iterator<Item = &'a Seal>) -> Result<(), Error> {
    let Some(heads) = lacks(root, seals)? else { return Ok(()) };
    disk::replace(&path(root), &lines(&heads))
}
