//! The rows of a snapshot while it is made, on disk, since they may be more than fits into memory: as the lines that its
//! number is made of, for the whole form, and as they are, for the flat ones.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::domain::snapshot::{Entry, Row};

const BUFFER: usize = 256 << 10;
/// So many bytes of lines are taken at a time, and what is left of the last one.
const SOME: usize = 1 << 20;

/// A file that nobody sees, and that goes with whoever holds it.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) file: File,
    /// What of it is rows, in bytes.
    pub(super) length: u64,
}

impl Spool {
    /// An empty one, with room in that folder.
    pub(super) fn begun(folder: &Path) -> io::Result<File> {
        fs::create_dir_all(folder)?;
        // Other collectors may write into the same folder.
        let path = folder.join(format!(".rows-{:016x}.partial", RandomState::new().build_hasher().finish()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    fn beginning(&self) -> io::Result<BufReader<io::Take<&File>>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        Ok(BufReader::with_capacity(BUFFER, file.take(self.length)))
    }
}

/// The rows as lines of JSON, with what they rest on.
#[derive(Debug)]
pub struct Lines(pub(super) Spool);

impl Lines {
    /// Some whole lines at a time, in order. One reader at a time: they share a place in the file.
    pub(super) fn each(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + '_> {
        let mut file = self.0.beginning()?;
        let mut next = move || -> io::Result<Option<Vec<u8>>> {
            let mut lines = Vec::with_capacity(SOME + BUFFER);
            (&mut file).take(SOME as u64).read_to_end(&mut lines)?;
            if !lines.ends_with(b"\n") {
                file.read_until(b'\n', &mut lines)?;
            }
            Ok(Some(lines).filter(|lines| !lines.is_empty()))
        };
        Ok(std::iter::from_fn(move || next().transpose()))
    }
}

/// The rows without what they rest on, some at a time.
#[derive(Debug)]
pub struct Chunks(pub(super) Spool);

/// Some rows that follow each other.
pub(super) struct Chunk {
    pub(super) count: usize,
    bytes: Vec<u8>,
}

impl Chunk {
    pub(super) fn of(entries: &[Entry]) -> Chunk {
        let rows: Vec<&Row> = entries.iter().map(|entry| &entry.row).collect();
        // Nothing in them has an unknown length, and memory takes everything.
        Chunk { count: rows.len(), bytes: postcard::to_stdvec(&rows).unwrap_or_default() }
    }

    /// Its count and its length stand before it.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for number in [self.count, self.bytes.len()] {
            out.write_all(&(number as u64).to_le_bytes())?;
        }
        out.write_all(&self.bytes)
    }

    fn next(file: &mut impl BufRead) -> io::Result<Option<Chunk>> {
        if file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut number = || {
            let mut bytes = [0; 8];
            file.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes) as usize)
        };
        let (count, length) = (number()?, number()?);
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(Some(Chunk { count, bytes }))
    }

    pub(super) fn rows(&self) -> io::Result<Vec<Row>> {
        postcard::from_bytes(&self.bytes).map_err(io::Error::other)
    }
}

impl Chunks {
    /// Each chunk, in order. One reader at a time: they share a place in the file.
    pub(super) fn each(&self) -> io::Result<impl Iterator<Item = io::Result<Chunk>> + '_> {
        let mut file = self.0.beginning()?;
        Ok(std::iter::from_fn(move || Chunk::next(&mut file).transpose()))
    }
}
