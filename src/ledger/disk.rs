//! Files that survive a power cut: every write here ends in a confirmed sync.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::Error;

/// What a journal file must do; a trait so that tests can let it fail.
pub(super) trait Durable: Send {
    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// Shortens the file and confirms it.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Durable for File {
    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.sync_all()
    }
}

/// Reads a stretch of a file that others may be appending to.
pub(super) struct Stretch<'a> {
    pub file: &'a File,
    pub at: u64,
    pub end: u64,
}

impl io::Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        let got = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl io::Seek for Stretch<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            io::SeekFrom::End(by) => self.end.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The name under which `file` is written before it is renamed into place.
pub(super) fn aside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync folder", dir))
}

pub(super) fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Makes a folder and its missing parents, each confirmed in its parent.
pub(super) fn create_dirs(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    if above != dir {
        create_dirs(above)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => sync_dir(above),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io("create folder", dir)(e)),
    }
}

/// An empty file for reading and writing, confirmed in its folder; an existing one is opened as it is.
pub(super) fn open_or_create(file: &Path) -> Result<File, Error> {
    let new = !file.exists();
    let open = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(file)
        .map_err(Error::io("open", file))?;
    if new {
        open.sync_all().map_err(Error::io("sync", file))?;
        sync_dir(parent(file))?;
    }
    Ok(open)
}

/// Replaces a small file whole: written aside, synced, renamed, folder synced.
pub(super) fn replace(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = aside(file);
    let write = || {
        let mut open = File::create(&new)?;
        open.write_all(bytes)?;
        open.sync_all()
    };
    write().map_err(Error::io("write", &new))?;
    fs::rename(&new, file).map_err(Error::io("rename into", file))?;
    sync_dir(parent(file))
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(file: &Path) -> Result<bool, Error> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("remove", file)(e)),
    }
}

/// Reads a small file of ours; `None` if there is none.
pub(super) fn read_small(file: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    use io::Read;
    let open = match File::open(file) {
        Ok(open) => open,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open", file)(e)),
    };
    let mut bytes = Vec::new();
    open.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", file))?;
    if bytes.len() as u64 > limit {
        return Err(Error::damaged(file, super::error::Place::Whole, format!("longer than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// The bytes of every file below a folder. What goes away meanwhile, or cannot be read, counts as nothing.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
