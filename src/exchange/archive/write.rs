//! Writing archives, member by member: the same members always give the same bytes.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{BLOCK, NamedBytes};

/// A tar of plain files in the order in which they are added, without owner and time.
pub struct TarWriter<W: Write> {
    to: W,
}

/// The same within a gzip stream without name and time.
pub type TarGzWriter<W> = TarWriter<GzEncoder<W>>;

impl<W: Write> TarWriter<W> {
    pub fn new(to: W) -> Self {
        TarWriter { to }
    }

    /// Adds a file of `size` bytes. Fails on a name that no tar can hold (absolute, or with `..`), and when
    /// `content` has another size; what was written is then no tar.
    pub fn add(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.to.write_all(&header(name, size)?)?;
        let copied = io::copy(content, &mut self.to)?;
        if copied != size {
            return Err(io::Error::other(format!("expected {size} bytes for {name}, got {copied}")));
        }
        let padding = (size.next_multiple_of(BLOCK) - size) as usize;
        self.to.write_all(&[0; BLOCK as usize][..padding])
    }

    /// Writes the mark at the end.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.to)
    }

    /// The same, where the writer has to stay.
    pub fn end(&mut self) -> io::Result<&mut W> {
        self.to.write_all(&END)?;
        self.to.flush()?;
        Ok(&mut self.to)
    }
}

impl<W: Write> TarGzWriter<W> {
    pub fn gz(to: W) -> Self {
        TarWriter::new(GzEncoder::new(to, Compression::default()))
    }

    /// The form alone, for what is compressed already: packing it again costs as much as the first time and gains nothing.
    pub fn gz_stored(to: W) -> Self {
        TarWriter::new(GzEncoder::new(to, Compression::none()))
    }

    /// Writes the mark at the end, and what ends a gzip stream.
    pub fn finish_gz(self) -> io::Result<W> {
        self.finish()?.finish()
    }
}

/// What every tar of ours ends with.
pub const END: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// The blocks that stand before the content of a file: one, or three where the name is long.
pub fn header(name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, io::empty())?;
    let mut blocks = builder.into_inner()?;
    blocks.truncate(blocks.len() - END.len());
    Ok(blocks)
}

/// A tar of files in memory.
pub fn tar(files: &[NamedBytes]) -> io::Result<Vec<u8>> {
    let mut writer = TarWriter::new(Vec::new());
    for (name, bytes) in files {
        writer.add(name, bytes.len() as u64, &mut bytes.as_slice())?;
    }
    writer.finish()
}

/// A gzip stream without name and time.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = GzEncoder::new(Vec::with_capacity(bytes.len() / 8 + 64), Compression::default());
    stream.write_all(bytes)?;
    stream.finish()
}
