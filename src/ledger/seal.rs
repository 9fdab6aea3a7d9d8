//! Sealing: the open segment becomes a sealed one, and a new one begins.
//!
//! Every step leaves a folder that opens: before `seal.json` is in place the seal is taken back, after
//! it is finished. The raw files go last.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;

use super::batch::Link;
use super::checkpoint::{self, CHECKPOINT, CheckpointHead};
use super::disk::{self, aside};
use super::error::Error;
use super::heads;
use super::index::{Entry, FRAME, Frame, Index};
use super::pack::{self, Extent, Header};
use super::sealed::{FileSeal, SEALED_EVENTS, SEALED_PACK, Seal, Sealed};
use super::segment::{self, EVENTS, Open, PACK};
use crate::domain::fleet::Fleet;
use crate::domain::hashing::Hashing;

/// Compression level of everything sealed: zstd's own default.
pub(super) const LEVEL: i32 = 3;

/// The steps of a seal, in order; named so that tests can stop at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All files lie beside, under `.new`.
    Written,
    /// One of them has its name.
    HalfRenamed,
    Renamed,
    /// The next segment's folder is there, empty.
    NextMade,
    /// `seal.json` is there: from here on the segment is sealed.
    Sealed,
    /// `heads.log` has its line.
    HeadsWritten,
    /// `events.log` is gone, `objects.pack` still there.
    HalfRemoved,
    Removed,
}

/// Called after each step; an error there stops the seal as a failing disk would.
pub(super) type Steps = dyn Fn(Step) -> io::Result<()> + Send + Sync;

/// The open segment as it stands when it is sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub link: Link,
    pub events_len: u64,
    pub pack_len: u64,
    pub newest: Timestamp,
    pub newest_so_far: Timestamp,
}

/// What came of it.
pub(super) enum SealError {
    /// Nothing happened; the segment goes on growing.
    TakenBack(Error),
    /// Nobody knows what the disk holds; opening again finds out.
    Unsure(Error),
}

/// A sealed segment, its successor, and what did not work but can wait for the next start.
pub(super) struct Done {
    pub sealed: Sealed,
    pub next: Open,
    pub left_over: Option<Error>,
}

pub(super) fn seal(
    root: &Path,
    open: &Open,
    closing: &Closing,
    fleet: &Fleet,
    steps: &Steps,
) -> Result<Done, SealError> {
    let step = |step: Step| steps(step).map_err(Error::io("seal", &open.dir));
    let prepared = prepare(root, open, closing, fleet, &step);
    let (seal, next) = match prepared {
        Ok(prepared) => prepared,
        Err(cause) => return Err(take_back(root, open, cause)),
    };
    let text = serde_json::to_vec_pretty(&seal).expect("a struct of plain fields");
    if let Err(cause) = disk::replace(&open.dir.join(Seal::NAME), &text) {
        // The rename may have happened although it was not confirmed.
        return Err(SealError::Unsure(cause));
    }
    let sealed = step(Step::Sealed).and_then(|()| Sealed::open(root, open.number));
    let sealed = match sealed {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return Err(SealError::Unsure(Error::damaged(&open.dir, super::Place::Whole, "the seal is gone"))),
        Err(cause) => return Err(SealError::Unsure(cause)),
    };
    let left_over = finish(root, open, &seal, &step).err();
    Ok(Done { sealed, next, left_over })
}

fn prepare(
    root: &Path,
    open: &Open,
    closing: &Closing,
    fleet: &Fleet,
    step: &dyn Fn(Step) -> Result<(), Error>,
) -> Result<(Seal, Open), Error> {
    let path = |name: &str| open.dir.join(name);
    let new = |name: &str| aside(&path(name));
    let head = CheckpointHead::of(fleet, open.number, &closing.link, closing.newest_so_far);
    // The pack is the longest work; the rest is done beside it.
    let (packed, events, checkpoint) = std::thread::scope(|scope| {
        let packing = scope.spawn(|| compress_pack(open, closing.pack_len, &new(SEALED_PACK)));
        let events = compress_events(open, closing.events_len, &new(SEALED_EVENTS));
        let checkpoint = checkpoint::write(&new(CHECKPOINT), &head, fleet);
        let packed = packing.join().unwrap_or_else(|_| Err(Error::io("compress", &open.pack_path())(panicked())));
        (packed, events, checkpoint)
    });
    let (packed, events, (checkpoint, checkpoint_file)) = (packed?, events?, checkpoint?);
    let objects = packed.entries.len() as u64;
    let index = Index::to_bytes(packed.entries, &packed.frames, closing.pack_len, packed.file.bytes);
    let index = write_file(&new(Index::NAME), &index)?;
    step(Step::Written)?;
    let names = [SEALED_EVENTS, SEALED_PACK, Index::NAME, CHECKPOINT];
    for (name, count) in names.iter().zip(1..) {
        fs::rename(new(name), path(name)).map_err(Error::io("rename into", &path(name)))?;
        if count == 2 {
            step(Step::HalfRenamed)?;
        }
    }
    disk::sync_dir(&open.dir)?;
    step(Step::Renamed)?;
    let seal = Seal {
        format: Seal::FORMAT,
        schema: head.schema,
        segment: open.number,
        first_seq: open.start.seq + 1,
        last_seq: closing.link.seq,
        prev: open.start.head,
        head: closing.link.head,
        checkpoint,
        newest: closing.newest,
        newest_so_far: closing.newest_so_far,
        events_bytes: closing.events_len,
        objects_bytes: closing.pack_len,
        objects,
        files: names.map(str::to_owned).into_iter().zip([events, packed.file, index, checkpoint_file]).collect(),
    };
    let next = Open::in_folder(root, open.number + 1, seal.next_link())?;
    step(Step::NextMade)?;
    Ok((seal, next))
}

fn finish(root: &Path, open: &Open, seal: &Seal, step: &dyn Fn(Step) -> Result<(), Error>) -> Result<(), Error> {
    heads::mend(root, std::iter::once(seal))?;
    step(Step::HeadsWritten)?;
    disk::remove(&open.dir.join(EVENTS))?;
    step(Step::HalfRemoved)?;
    disk::remove(&open.dir.join(PACK))?;
    disk::sync_dir(&open.dir)?;
    step(Step::Removed)
}

/// Removes whatever a failed seal made.
fn take_back(root: &Path, open: &Open, cause: Error) -> SealError {
    let undo = || {
        for name in [SEALED_EVENTS, SEALED_PACK, Index::NAME, CHECKPOINT] {
            let file = open.dir.join(name);
            disk::remove(&file)?;
            disk::remove(&aside(&file))?;
        }
        disk::sync_dir(&open.dir)?;
        let next = segment::folder(root, open.number + 1);
        if next.exists() {
            fs::remove_dir_all(&next).map_err(Error::io("remove", &next))?;
            disk::sync_dir(disk::parent(&next))?;
        }
        Ok::<_, Error>(())
    };
    match undo() {
        Ok(()) => SealError::TakenBack(cause),
        Err(second) => SealError::Unsure(second),
    }
}

fn panicked() -> io::Error {
    io::Error::other("the thread panicked")
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<FileSeal, Error> {
    let write = || {
        let mut file = Hashing::new(File::create(path)?);
        file.write_all(bytes)?;
        confirmed(file)
    };
    write().map_err(Error::io("write", path))
}

fn confirmed(file: Hashing<File>) -> io::Result<FileSeal> {
    let (file, sha256, bytes) = file.finish();
    file.sync_all()?;
    Ok(FileSeal { bytes, sha256 })
}

fn compress_events(open: &Open, len: u64, to: &Path) -> Result<FileSeal, Error> {
    let write = || {
        let mut encoder = zstd::Encoder::new(Hashing::new(File::create(to)?), LEVEL)?;
        encoder.include_checksum(true)?;
        let copied = io::copy(&mut open.batches_from(0).take(len), &mut encoder)?;
        if copied != len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        confirmed(encoder.finish()?)
    };
    write().map_err(Error::io("write", to))
}

struct Packed {
    file: FileSeal,
    entries: Vec<Entry>,
    frames: Vec<Frame>,
}

fn compress_pack(open: &Open, len: u64, to: &Path) -> Result<Packed, Error> {
    let from = open.pack_path();
    let mut reader = open.pack_bytes(len);
    let mut file = Hashing::new(File::create(to).map_err(Error::io("write", to))?);
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(Error::io("write", to))?;
    compressor.include_checksum(true).map_err(Error::io("write", to))?;
    let (mut entries, mut frames) = (Vec::new(), Vec::new());
    let (mut raw, mut raw_start, mut stored) = (Vec::new(), 0, 0);
    let mut at = 0;
    loop {
        if at == len || raw.len() as u64 >= FRAME {
            // Also for an empty pack: a file of zstd has a frame.
            if !raw.is_empty() || frames.is_empty() {
                let frame = compressor.compress(&raw).map_err(Error::io("write", to))?;
                frames.push(Frame { raw: raw_start, stored });
                stored += frame.len() as u64;
                raw_start += raw.len() as u64;
                raw.clear();
                file.write_all(&frame).map_err(Error::io("write", to))?;
            }
            if at == len {
                break;
            }
        }
        let header = pack::read_header(&mut reader, &from, at)?;
        let extent = Extent { offset: at + Header::LEN as u64, len: header.len };
        raw.extend_from_slice(&header.to_bytes());
        let body = raw.len();
        raw.resize(body + header.len as usize, 0);
        reader.read_exact(&mut raw[body..]).map_err(Error::io("read", &from))?;
        entries.push(Entry { hash: header.hash, extent, frame: frames.len() as u32 });
        at = extent.end();
    }
    let file = confirmed(file).map_err(Error::io("write", to))?;
    Ok(Packed { file, entries, frames })
}
