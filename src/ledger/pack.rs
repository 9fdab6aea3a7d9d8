//! `objects.pack`: reports, acknowledgements and answers byte for byte, named by their SHA-256.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::batch::limits;
use super::disk::Stretch;
use super::error::{Error, Place};
use crate::domain::digest::Sha256;

/// What stands before each object in `objects.pack`. **stored**
///
/// 40 bytes: the letters `SLPO`, the object's length as 32 bits big-endian, its SHA-256; then the
/// object. Records follow one another without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub hash: Sha256,
    pub len: u32,
}

impl Header {
    pub(super) const LEN: usize = 40;
    const MAGIC: &[u8; 4] = b"SLPO";

    /// The header of an object, or `None` if it is over [`limits::OBJECT`].
    pub(super) fn of(hash: Sha256, object: &[u8]) -> Option<Header> {
        let len = u32::try_from(object.len()).ok().filter(|len| u64::from(*len) <= limits::OBJECT)?;
        Some(Header { hash, len })
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(Self::MAGIC);
        bytes[4..8].copy_from_slice(&self.len.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash.0);
        bytes
    }

    /// `None` for bytes that are no header of ours.
    pub(super) fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Header> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (len, hash) = rest.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len);
        if magic != Self::MAGIC || u64::from(len) > limits::OBJECT {
            return None;
        }
        Some(Header { hash: Sha256(hash.try_into().ok()?), len })
    }
}

/// Where an object's own bytes lie in the uncompressed pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub offset: u64,
    pub len: u32,
}

impl Extent {
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.len)
    }
}

/// Finds every object of an open pack by walking its headers; the bytes are not read.
pub(super) fn scan(file: &File, path: &Path, end: u64) -> Result<HashMap<Sha256, Extent>, Error> {
    let mut found = HashMap::new();
    let mut at = 0;
    let mut reader = BufReader::with_capacity(256 << 10, Stretch { file, at: 0, end });
    while at < end {
        let header = read_header(&mut reader, path, at)?;
        let extent = Extent { offset: at + Header::LEN as u64, len: header.len };
        if extent.end() > end {
            return Err(Error::damaged(path, Place::Offset(at), "an object reaches beyond the last batch"));
        }
        reader.seek_relative(i64::from(header.len)).map_err(Error::io("read", path))?;
        at = extent.end();
        found.insert(header.hash, extent);
    }
    Ok(found)
}

/// Reads the header that must stand at `at`.
pub(super) fn read_header(from: &mut impl Read, path: &Path, at: u64) -> Result<Header, Error> {
    let mut bytes = [0; Header::LEN];
    from.read_exact(&mut bytes).map_err(|e| match e.kind() {
        ErrorKind::UnexpectedEof => Error::damaged(path, Place::Offset(at), "an object's header is cut short"),
        _ => Error::io("read", path)(e),
    })?;
    Header::from_bytes(&bytes)
        .ok_or_else(|| Error::damaged(path, Place::Offset(at), "expected an object's header (SLPO, length, SHA-256)"))
}

/// Reads one object of an open pack and checks it against its name.
pub(super) fn read(file: &File, path: &Path, hash: &Sha256, extent: Extent) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; extent.len as usize];
    file.read_exact_at(&mut bytes, extent.offset).map_err(Error::io("read", path))?;
    checked(bytes, path, hash, extent)
}

/// Gives `bytes` back if they are what their name says.
pub(super) fn checked(bytes: Vec<u8>, path: &Path, hash: &Sha256, extent: Extent) -> Result<Vec<u8>, Error> {
    if Sha256::of(&bytes) == *hash {
        return Ok(bytes);
    }
    let what = format!("the object {hash} is not what it was");
    Err(Error::damaged(path, Place::Offset(extent.offset), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_and_foreign_bytes_do_not() {
        let header = Header::of(Sha256::of(b"abc"), b"abc").unwrap();
        let bytes = header.to_bytes();
        assert_eq!(&bytes[..8], b"SLPO\0\0\0\x03");
        assert_eq!(Header::from_bytes(&bytes), Some(header));
        let mut foreign = bytes;
        foreign[0] = b'X';
        assert_eq!(Header::from_bytes(&foreign), None);
        let mut huge = bytes;
        huge[4] = 0xff;
        assert_eq!(Header::from_bytes(&huge), None);
    }

    #[test]
    fn a_scan_finds_all_and_refuses_a_wrong_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objects.pack");
        let mut bytes = Vec::new();
        for object in [&b"one"[..], b"", &[7; 600_000]] {
            bytes.extend_from_slice(&Header::of(Sha256::of(object), object).unwrap().to_bytes());
            bytes.extend_from_slice(object);
        }
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let found = scan(&file, &path, bytes.len() as u64).unwrap();
        assert_eq!(found.len(), 3);
        for object in [&b"one"[..], b"", &[7; 600_000]] {
            let hash = Sha256::of(object);
            assert_eq!(read(&file, &path, &hash, found[&hash]).unwrap(), object);
        }
        let wrong = read(&file, &path, &Sha256::of(b"two"), found[&Sha256::of(b"one")]);
        assert!(matches!(wrong, Err(Error::Damaged { .. })));
        bytes[4 + 40 + 3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(scan(&file, &path, bytes.len() as u64), Err(Error::Damaged { .. })));
    }
}
