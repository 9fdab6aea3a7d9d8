//! A segment: a folder with a stretch of the chain and the objects that came with it.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;

use super::batch::{self, BadLine, Batch, Line, Link, limits};
use super::disk::{self, Stretch};
use super::error::{Error, Place};
use super::pack::{self, Extent};
use crate::domain::digest::Sha256;

pub(super) const SEGMENTS: &str = "segments";
pub(super) const EVENTS: &str = "events.log";
pub(super) const PACK: &str = "objects.pack";

/// `segments/000001` and so on.
pub(super) fn folder(root: &Path, number: u64) -> PathBuf {
    root.join(SEGMENTS).join(format!("{number:06}"))
}

/// The numbers of all segment folders, in order and without a gap.
pub(super) fn numbers(root: &Path) -> Result<Vec<u64>, Error> {
    let dir = root.join(SEGMENTS);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", &dir)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", &dir))?.file_name();
        let number = name.to_str().filter(|name| name.len() >= 6).and_then(|name| name.parse::<u64>().ok());
        let number = number.filter(|number| folder(root, *number).file_name() == Some(&name));
        match number {
            Some(number) if number > 0 => found.push(number),
            _ => return Err(Error::damaged(&dir.join(&name), Place::Whole, "this is no segment of ours")),
        }
    }
    found.sort_unstable();
    if let Some(pair) = found.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        let missing = folder(root, pair[0] + 1);
        return Err(Error::damaged(&missing, Place::Whole, "this segment is missing"));
    }
    Ok(found)
}

/// The segment that grows: `events.log` and `objects.pack`, read by many while the owner appends.
#[derive(Debug)]
pub(super) struct Open {
    pub number: u64,
    pub dir: PathBuf,
    /// What its first batch links to.
    pub start: Link,
    events: File,
    pack: File,
    /// How much of `events.log` is whole batches; readers stop there.
    events_len: AtomicU64,
    objects: RwLock<HashMap<Sha256, Extent>>,
}

/// What a walk through an `events.log` found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Walked {
    pub end: Link,
    /// How many bytes are whole batches.
    pub events_len: u64,
    /// How long `objects.pack` is by the last of them.
    pub objects_end: u64,
    pub first_at: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    /// Something follows that was never confirmed: a batch cut short.
    pub torn: bool,
}

impl Open {
    /// Opens the segment's files, making them if they are not there. Nothing is checked or cut.
    pub(super) fn in_folder(root: &Path, number: u64, start: Link) -> Result<Open, Error> {
        let dir = folder(root, number);
        disk::create_dirs(&dir)?;
        let events = disk::open_or_create(&dir.join(EVENTS))?;
        let pack = disk::open_or_create(&dir.join(PACK))?;
        let objects = RwLock::new(HashMap::new());
        Ok(Open { number, dir, start, events, pack, events_len: AtomicU64::new(0), objects })
    }

    /// Opens the segment's files for reading only.
    pub(super) fn open_to_read(root: &Path, number: u64, start: Link) -> Result<Open, Error> {
        let dir = folder(root, number);
        let open = |name: &str| {
            let path = dir.join(name);
            File::open(&path).map_err(Error::io("open", &path))
        };
        let (events, pack) = (open(EVENTS)?, open(PACK)?);
        let objects = RwLock::new(HashMap::new());
        Ok(Open { number, dir, start, events, pack, events_len: AtomicU64::new(0), objects })
    }

    /// Second handles of both files, for the one who appends.
    pub(super) fn writing_handles(&self) -> Result<(File, File), Error> {
        let events = self.events.try_clone().map_err(Error::io("open", &self.events_path()))?;
        let pack = self.pack.try_clone().map_err(Error::io("open", &self.pack_path()))?;
        Ok((events, pack))
    }

    pub(super) fn events_path(&self) -> PathBuf {
        self.dir.join(EVENTS)
    }

    pub(super) fn pack_path(&self) -> PathBuf {
        self.dir.join(PACK)
    }

    pub(super) fn file_lengths(&self) -> Result<(u64, u64), Error> {
        let events = self.events.metadata().map_err(Error::io("look at", &self.events_path()))?.len();
        let pack = self.pack.metadata().map_err(Error::io("look at", &self.pack_path()))?.len();
        Ok((events, pack))
    }

    /// Walks the log from its start, checking every batch; tells where whole batches end.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(u64, &Batch) -> Result<(), String>) -> Result<Walked, Error> {
        let (events_len, pack_len) = self.file_lengths()?;
        let path = self.events_path();
        let walked = walk(Stretch { file: &self.events, at: 0, end: events_len }, &path, self.start, visit)?;
        if walked.objects_end > pack_len {
            let what = format!("it ends here, but the batches tell of {} bytes", walked.objects_end);
            return Err(Error::damaged(&self.pack_path(), Place::Offset(pack_len), what));
        }
        Ok(walked)
    }

    /// Finds the objects and lets readers see the batches, after the files were cut to `walked`.
    pub(super) fn publish(&self, walked: &Walked) -> Result<(), Error> {
        let found = pack::scan(&self.pack, &self.pack_path(), walked.objects_end)?;
        *self.objects.write().unwrap_or_else(PoisonError::into_inner) = found;
        self.events_len.store(walked.events_len, Ordering::Release);
        Ok(())
    }

    /// Lets readers see one batch more.
    pub(super) fn grown(&self, events_len: u64, objects: impl IntoIterator<Item = (Sha256, Extent)>) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).extend(objects);
        self.events_len.store(events_len, Ordering::Release);
    }

    pub(super) fn extent(&self, hash: &Sha256) -> Option<Extent> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(hash).copied()
    }

    pub(super) fn object(&self, hash: &Sha256) -> Result<Option<Vec<u8>>, Error> {
        let Some(extent) = self.extent(hash) else { return Ok(None) };
        pack::read(&self.pack, &self.pack_path(), hash, extent).map(Some)
    }

    /// A reader of the confirmed batches from byte `from` on.
    pub(super) fn batches_from(&self, from: u64) -> BufReader<Stretch<'_>> {
        let end = self.events_len.load(Ordering::Acquire);
        BufReader::with_capacity(256 << 10, Stretch { file: &self.events, at: from, end })
    }

    /// How long both files are by the last confirmed batch, and that batch's number.
    pub(super) fn confirmed(&self) -> Result<(u64, u64, Option<u64>), Error> {
        let end = self.events_len.load(Ordering::Acquire);
        let (mut objects, mut last) = (0, None);
        let mut note = |batch: &Batch| {
            (objects, last) = (batch.objects_end, Some(batch.link().seq));
            Ok(std::ops::ControlFlow::Continue(()))
        };
        let _ = each_batch(&mut self.events_bytes(end), &self.events_path(), &mut note)?;
        Ok((end, objects, last))
    }

    /// A reader of the first `len` bytes of the log.
    pub(super) fn events_bytes(&self, len: u64) -> BufReader<Stretch<'_>> {
        BufReader::with_capacity(256 << 10, Stretch { file: &self.events, at: 0, end: len })
    }

    /// A reader of the first `len` bytes of the pack.
    pub(super) fn pack_bytes(&self, len: u64) -> BufReader<Stretch<'_>> {
        BufReader::with_capacity(256 << 10, Stretch { file: &self.pack, at: 0, end: len })
    }
}

/// Walks an `events.log` that may end in a batch cut short.
fn walk(
    file: Stretch<'_>,
    path: &Path,
    start: Link,
    visit: &mut dyn FnMut(u64, &Batch) -> Result<(), String>,
) -> Result<Walked, Error> {
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut walked = Walked { end: start, events_len: 0, objects_end: 0, first_at: None, newest: None, torn: false };
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let damaged = |what: String| Error::damaged(path, Place::Line(number), what);
        let kind = batch::read_line(&mut reader, limits::LINE, &mut line).map_err(Error::io("read", path))?;
        match kind {
            Line::End => return Ok(walked),
            Line::Cut if runs_on(&line) => return Err(damaged(RUNS_ON.to_owned())),
            Line::Cut => return Ok(Walked { torn: true, ..walked }),
            Line::TooLong => return Err(damaged(format!("more than {} bytes without a line feed", limits::LINE))),
            Line::Whole => {}
        }
        let batch = match Batch::read(&line) {
            Ok(batch) => batch,
            Err(BadLine::Digest) => {
                if runs_on(&line) {
                    return Err(damaged(RUNS_ON.to_owned()));
                }
                // Only the very last batch can be unconfirmed: it was being written when the power went.
                let mut next = Vec::new();
                if batch::read_line(&mut reader, limits::LINE, &mut next).map_err(Error::io("read", path))? == Line::End
                {
                    return Ok(Walked { torn: true, ..walked });
                }
                return Err(damaged("the digest does not fit the line, and more lines follow".to_owned()));
            }
            Err(BadLine::Content(what)) => return Err(damaged(format!("its digest is right, but: {what}"))),
        };
        batch.follows(&walked.end).map_err(damaged)?;
        if batch.objects_end < walked.objects_end {
            return Err(damaged(format!("objects_end falls from {} to {}", walked.objects_end, batch.objects_end)));
        }
        visit(walked.events_len, &batch).map_err(damaged)?;
        walked.end = batch.link();
        walked.events_len += line.len() as u64 + 1;
        walked.objects_end = batch.objects_end;
        walked.first_at = walked.first_at.or(Some(batch.at));
        walked.newest = walked.newest.max(Some(batch.at));
    }
}

const RUNS_ON: &str = "two batches stand in one line: the line feed between them is damaged";

/// Does another batch begin within the line? An unconfirmed batch is one, so that is damage, not a torn end.
/// The space before the brace and the bare quotes cannot stand within a batch's own JSON.
fn runs_on(line: &[u8]) -> bool {
    let begins = b" {\"seq\":";
    line.windows(begins.len()).skip(65).any(|window| window == begins)
}

/// Visits the whole batches of a log that must not end in a torn one; `number` is that of the first line.
pub(super) fn each_batch(
    reader: &mut impl std::io::BufRead,
    path: &Path,
    visit: &mut dyn FnMut(&Batch) -> Result<std::ops::ControlFlow<()>, String>,
) -> Result<std::ops::ControlFlow<()>, Error> {
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let damaged = |what: String| Error::damaged(path, Place::Line(number), what);
        let kind = batch::read_line(reader, limits::LINE, &mut line).map_err(Error::io("read", path))?;
        match kind {
            Line::End => return Ok(std::ops::ControlFlow::Continue(())),
            Line::Cut | Line::TooLong => return Err(damaged("the line has no end".to_owned())),
            Line::Whole => {}
        }
        let batch = Batch::read(&line).map_err(|bad| damaged(bad.told()))?;
        if visit(&batch).map_err(damaged)?.is_break() {
            return Ok(std::ops::ControlFlow::Break(()));
        }
    }
}

/// The lines of a log that must not end in a torn one, up to the first that cannot be read.
pub(super) fn lines<'r>(
    reader: &'r mut impl std::io::BufRead,
    path: &'r Path,
) -> impl Iterator<Item = Result<Vec<u8>, Error>> + 'r {
    let mut number = 0;
    let next = move || {
        number += 1;
        let mut line = Vec::new();
        let end = "the line has no end";
        match batch::read_line(reader, limits::LINE, &mut line).map_err(Error::io("read", path)) {
            Ok(Line::End) => None,
            Ok(Line::Whole) => Some(Ok(line)),
            Ok(Line::Cut | Line::TooLong) => Some(Err(Error::damaged(path, Place::Line(number), end))),
            Err(error) => Some(Err(error)),
        }
    };
    let mut failed = false;
    std::iter::from_fn(next).take_while(move |line| !std::mem::replace(&mut failed, line.is_err()))
}
