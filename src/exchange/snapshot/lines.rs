//! The rows of a snapshot while it is made: a line of JSON each, on disk, since they may be more than fits into memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const BUFFER: usize = 256 << 10;

/// A file that nobody sees, and that goes with whoever holds it.
pub struct Lines {
    pub(super) file: File,
    /// What of it is rows, in bytes.
    pub(super) length: u64,
}

/// An empty one, with room in that folder.
pub(super) fn begun(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let path = folder.join(".rows.partial");
    // Left over from a run that died just here, if it is there.
    drop(fs::remove_file(&path));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

impl Lines {
    /// Each line, without its end.
    pub(super) fn each(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut rows = BufReader::with_capacity(BUFFER, file.take(self.length));
        let mut line = Vec::new();
        while rows.read_until(b'\n', &mut line)? > 0 {
            take(line.strip_suffix(b"\n").unwrap_or(&line))?;
            line.clear();
        }
        Ok(())
    }
}
