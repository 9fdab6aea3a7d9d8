//! Reading a zip, strictly: the files stand one behind the other, then the list of contents, and both say the same.
//!
//! Readers of zip files differ in what they believe where the two differ; so nothing of the kind is read. Without
//! encryption, parts, comment and zip64; stored or deflated. The format is that of PKWARE's APPNOTE.TXT 6.3.

use std::io::{self, Read};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::ArchiveError;
use super::read::Budget;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const END: u32 = 0x0605_4b50;
const END_SIZE: usize = 22;
/// Bits of the flags.
const HAS_DESCRIPTOR: u16 = 1 << 3;
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// How hard it was deflated, that a descriptor follows, that the name is UTF-8.
const UNDERSTOOD: u16 = 0b110 | HAS_DESCRIPTOR | 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Made under Unix: the upper half of the attributes is the mode.
const UNIX: u16 = 3;

/// Does this begin like a zip, with files or without?
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(&LOCAL.to_le_bytes()) || bytes.starts_with(&END.to_le_bytes())
}

/// A file or folder as both places state it.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) is_folder: bool,
    /// Unpacked.
    pub(super) size: u64,
    begin: usize,
    flags: u16,
    method: u16,
    crc: u32,
    packed: &'a [u8],
}

/// Every entry in the order of the bytes.
pub(super) fn entries<'a>(place: &str, bytes: &'a [u8]) -> Result<Vec<Entry<'a>>, ArchiveError> {
    let damaged = |cause: &str| ArchiveError::Damaged { place: place.to_owned(), cause: cause.to_owned() };
    let cut = || damaged("the zip is cut off, or not one that is read here");
    let end_at = bytes.len().checked_sub(END_SIZE).ok_or_else(cut)?;
    let mut end = Fields(&bytes[end_at..]);
    if end.u32() != Some(END) {
        return Err(cut());
    }
    let (parts, counts) = ((end.u16(), end.u16()), (end.u16(), end.u16()));
    let (size, start, comment) = (end.size(), end.size(), end.u16());
    let (Some(size), Some(start)) = (size, start) else { return Err(cut()) };
    if parts != (Some(0), Some(0)) || counts.0 != counts.1 || comment != Some(0) {
        return Err(damaged("a zip in parts or with a comment"));
    }
    if start.checked_add(size) != Some(end_at) {
        return Err(damaged("the list of contents is not where the zip says"));
    }
    let mut list = Fields(&bytes[start..end_at]);
    let mut entries = Vec::new();
    for _ in 0..counts.0.unwrap_or_default() {
        entries.push(central(place, bytes, &mut list)?);
    }
    if !list.0.is_empty() {
        return Err(damaged("the list of contents is longer than its entries"));
    }
    // Side by side from the first byte to the list: nothing overlaps, nothing is hidden between.
    entries.sort_by_key(|entry| entry.begin);
    let mut at = 0;
    for index in 0..entries.len() {
        let next = entries.get(index + 1).map_or(start, |next| next.begin);
        let entry = &mut entries[index];
        let (begin, shown) = (entry.begin, String::from_utf8_lossy(entry.name).chars().take(120).collect::<String>());
        let fits = begin == at && local(entry, &bytes[..start], next).is_some();
        if !fits {
            return Err(damaged(&format!("the entry {shown:?} is not what the list of contents says")));
        }
        at = next;
    }
    if at != start {
        return Err(damaged("the files do not end where the list of contents begins"));
    }
    Ok(entries)
}

/// The next entry of the list of contents. Its packed bytes are those from its local header on, for now.
fn central<'a>(place: &str, bytes: &'a [u8], list: &mut Fields<'a>) -> Result<Entry<'a>, ArchiveError> {
    let read = (|| {
        list.u32().filter(|mark| *mark == CENTRAL)?;
        let (made_by, _needs, flags, method, _time) = (list.u16()?, list.u16()?, list.u16()?, list.u16()?, list.u32()?);
        let (crc, packed, size) = (list.u32()?, list.size()?, list.size()?);
        let lengths = (list.u16()?, list.u16()?, list.u16()?);
        let (_part, _text, attributes, begin) = (list.u16()?, list.u16()?, list.u32()?, list.size()?);
        let name = list.take(lengths.0.into())?;
        list.take(usize::from(lengths.1) + usize::from(lengths.2))?;
        let packed = bytes.get(begin..)?.get(..packed)?;
        let (size, is_folder) = (size as u64, name.ends_with(b"/"));
        let mode = if made_by >> 8 == UNIX { attributes >> 16 & 0o170_000 } else { 0 };
        Some((Entry { name, is_folder, size, begin, flags, method, crc, packed }, mode))
    })();
    let Some((entry, mode)) = read else {
        let cause = "the list of contents is cut off, or of a zip64".to_owned();
        return Err(ArchiveError::Damaged { place: place.to_owned(), cause });
    };
    let got = match (entry.flags, entry.method, mode) {
        (flags, _, _) if flags & ENCRYPTED != 0 => "an encrypted file".to_owned(),
        (flags, _, _) if flags & !UNDERSTOOD != 0 => format!("a file with flags {flags:#06x}"),
        (_, method, _) if method != STORED && method != DEFLATED => format!("a file packed by method {method}"),
        (_, _, 0o120_000) => "a symbolic link".to_owned(),
        (_, _, 0 | 0o100_000) => return Ok(entry),
        (_, _, 0o040_000) if entry.is_folder => return Ok(entry),
        (_, _, mode) => format!("an entry of mode {mode:o}"),
    };
    let name = String::from_utf8_lossy(entry.name).chars().take(120).collect::<String>();
    Err(ArchiveError::NotAFile { place: format!("{place}/{name:?}"), got })
}

/// Finds the packed bytes, if the local header and what stands behind the bytes fit; `next` is where they end.
fn local<'a>(entry: &mut Entry<'a>, bytes: &'a [u8], next: usize) -> Option<()> {
    let mut fields = Fields(bytes.get(entry.begin..next)?);
    fields.u32().filter(|mark| *mark == LOCAL)?;
    let (_needs, flags, method, _time) = (fields.u16()?, fields.u16()?, fields.u16()?, fields.u32()?);
    let stated = (fields.u32()?, fields.u32()? as usize, u64::from(fields.u32()?));
    let lengths = (fields.u16()?, fields.u16()?);
    let name = fields.take(lengths.0.into())?;
    fields.take(lengths.1.into())?;
    let listed = (entry.crc, entry.packed.len(), entry.size);
    let later = flags & HAS_DESCRIPTOR != 0;
    let alike = stated == listed || later && (stated == (0, 0, 0) || stated == (entry.crc, 0, 0));
    if (flags, method, name) != (entry.flags, entry.method, entry.name) || !alike {
        return None;
    }
    entry.packed = fields.take(entry.packed.len())?;
    if later {
        // Its mark may be there or not.
        if fields.0.len() == 16 {
            fields.u32().filter(|mark| *mark == DESCRIPTOR)?;
        }
        let described = (fields.u32()?, fields.u32()? as usize, u64::from(fields.u32()?));
        (described == listed).then_some(())?;
    }
    let empty = entry.size == 0 && entry.packed.len() <= 2;
    (fields.0.is_empty() && (!entry.is_folder || empty)).then_some(())
}

impl<'a> Entry<'a> {
    /// Its bytes as they are unpacked.
    pub(super) fn content(&self, budget: &'a Budget<'a>, place: &'a str) -> Result<Content<'a>, ArchiveError> {
        let packed = match self.method {
            STORED => Packed::Stored(self.packed),
            _ => Packed::Deflated(DeflateDecoder::new(self.packed)),
        };
        Ok(Content {
            packed,
            size: self.packed.len() as u64,
            expected: self.crc,
            crc: Crc::new(),
            total: 0,
            budget,
            place,
        })
    }
}

enum Packed<'a> {
    Stored(&'a [u8]),
    Deflated(DeflateDecoder<&'a [u8]>),
}

pub(super) struct Content<'a> {
    packed: Packed<'a>,
    size: u64,
    expected: u32,
    crc: Crc,
    total: u64,
    budget: &'a Budget<'a>,
    place: &'a str,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = match &mut self.packed {
            Packed::Stored(bytes) => bytes.read(buffer)?,
            Packed::Deflated(stream) => stream.read(buffer)?,
        };
        self.crc.update(&buffer[..got]);
        self.total += got as u64;
        self.budget.unpacked(self.place, got as u64, self.total, self.size)?;
        if got == 0 && !buffer.is_empty() {
            let left = match &self.packed {
                Packed::Stored(bytes) => bytes.len(),
                Packed::Deflated(stream) => stream.get_ref().len(),
            };
            if left > 0 || self.crc.sum() != self.expected {
                return Err(io::Error::other("the content does not fit its check sum"));
            }
        }
        Ok(got)
    }
}

/// Little-endian numbers, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A size or place; the highest number says that a zip64 has it elsewhere.
    fn size(&mut self) -> Option<usize> {
        self.u32().filter(|number| *number != u32::MAX)?.try_into().ok()
    }
}
