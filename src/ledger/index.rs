//! `objects.idx`: where each object of a sealed segment lies.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::batch::limits;
use super::error::{Error, Place};
use super::pack::{Extent, Header};
use crate::domain::digest::Sha256;

/// A frame of `objects.pack.zst` is closed once this much of the pack is in it.
pub(super) const FRAME: u64 = 256 << 10;
/// The most that a frame can hold: almost full, then the largest object.
const FRAME_LIMIT: u64 = FRAME + Header::LEN as u64 + limits::OBJECT;

/// Where a zstd frame begins, in the uncompressed pack and in the compressed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub raw: u64,
    pub stored: u64,
}

/// The index of a sealed pack. **stored**
///
/// All numbers big-endian; n objects, f frames, w words:
///
/// ```text
/// 8       the letters SLPINDX1
/// 5×8     n, f, w, length of the pack, length of objects.pack.zst
/// f×16    per frame: where it begins in the pack, where in objects.pack.zst
/// w×8     Bloom filter, 10 bits an object: bit (a + i·b) mod 64w for i in 0..7, where a and b are the
///         first two 64-bit numbers of the object's SHA-256, b made odd; bit k is in word k/64, 1 << k%64
/// 32      SHA-256 of everything up to here
/// n×48    per object, sorted by SHA-256: SHA-256, where it begins in the pack (32 + 8),
///         its length (4), the number of its frame (4)
/// 32      SHA-256 of the n×48 bytes
/// ```
///
/// An object and its 40-byte header lie wholly within one frame. Opening reads all up to the first
/// digest; the entries are searched where they lie.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    count: u64,
    frames: Vec<Frame>,
    bloom: Vec<u64>,
    raw_len: u64,
    stored_len: u64,
}

const MAGIC: &[u8; 8] = b"SLPINDX1";
const HEAD: usize = 48;
const ENTRY: usize = 48;
/// Entries that are read at once at the end of a search.
const BLOCK: u64 = 64;
/// More frames or words than any segment can have.
const TABLE_LIMIT: u64 = 1 << 28;

/// An object found in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub hash: Sha256,
    pub extent: Extent,
    pub frame: u32,
}

impl Index {
    pub(super) const NAME: &str = "objects.idx";

    /// The bytes of an index file.
    pub(super) fn to_bytes(mut entries: Vec<Entry>, frames: &[Frame], raw_len: u64, stored_len: u64) -> Vec<u8> {
        entries.sort_by_key(|entry| entry.hash);
        entries.dedup_by_key(|entry| entry.hash);
        let count = entries.len() as u64;
        let mut bloom = vec![0u64; (count * 10).div_ceil(64).max(1) as usize];
        for entry in &entries {
            for bit in bits(&entry.hash, bloom.len()) {
                bloom[bit / 64] |= 1 << (bit % 64);
            }
        }
        let mut bytes = Vec::with_capacity(HEAD + frames.len() * 16 + bloom.len() * 8 + entries.len() * ENTRY + 64);
        bytes.extend_from_slice(MAGIC);
        for number in [count, frames.len() as u64, bloom.len() as u64, raw_len, stored_len] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for frame in frames {
            bytes.extend_from_slice(&frame.raw.to_be_bytes());
            bytes.extend_from_slice(&frame.stored.to_be_bytes());
        }
        bloom.iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
        let head = Sha256::of(&bytes);
        bytes.extend_from_slice(&head.0);
        let start = bytes.len();
        for entry in &entries {
            bytes.extend_from_slice(&entry.hash.0);
            bytes.extend_from_slice(&entry.extent.offset.to_be_bytes());
            bytes.extend_from_slice(&entry.extent.len.to_be_bytes());
            bytes.extend_from_slice(&entry.frame.to_be_bytes());
        }
        let tail = Sha256::of(&bytes[start..]);
        bytes.extend_from_slice(&tail.0);
        bytes
    }

    pub(super) fn open(path: &Path) -> Result<Index, Error> {
        let damaged = |what: &str| Error::damaged(path, Place::Whole, what);
        let file = File::open(path).map_err(Error::io("open", path))?;
        let size = file.metadata().map_err(Error::io("look at", path))?.len();
        let mut head = [0; HEAD];
        if size < HEAD as u64 {
            return Err(damaged("it is cut short"));
        }
        file.read_exact_at(&mut head, 0).map_err(Error::io("read", path))?;
        if &head[..8] != MAGIC {
            return Err(damaged("it does not begin with SLPINDX1"));
        }
        let [count, frames, words, raw_len, stored_len] = [1, 2, 3, 4, 5].map(|at| number(&head, at * 8));
        let tables = (frames <= TABLE_LIMIT && words <= TABLE_LIMIT && words > 0).then(|| frames * 16 + words * 8);
        let tables = tables.ok_or_else(|| damaged("its tables cannot be that long"))?;
        let fits = count.checked_mul(ENTRY as u64).and_then(|entries| entries.checked_add(HEAD as u64 + tables + 64));
        if fits != Some(size) {
            return Err(damaged("its length is not what its head says"));
        }
        let mut front = vec![0; HEAD + tables as usize + 32];
        file.read_exact_at(&mut front, 0).map_err(Error::io("read", path))?;
        let digest = front.split_off(front.len() - 32);
        if Sha256::of(&front).0.as_slice() != digest {
            return Err(damaged("its head or tables are not what they were"));
        }
        let words_at = HEAD + frames as usize * 16;
        let numbers = |bytes: &[u8]| bytes.chunks_exact(8).map(|chunk| number(chunk, 0)).collect::<Vec<u64>>();
        let frames = numbers(&front[HEAD..words_at])
            .chunks_exact(2)
            .map(|pair| Frame { raw: pair[0], stored: pair[1] })
            .collect();
        let bloom = numbers(&front[words_at..]);
        Ok(Index { path: path.to_owned(), count, frames, bloom, raw_len, stored_len })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn raw_len(&self) -> u64 {
        self.raw_len
    }

    /// Where a frame lies: its beginning and length in the compressed file, its beginning and length in the pack.
    pub(super) fn frame(&self, number: usize) -> Option<(Frame, u64, u64)> {
        let frame = *self.frames.get(number)?;
        let next = self.frames.get(number + 1).copied().unwrap_or(Frame { raw: self.raw_len, stored: self.stored_len });
        let stored = next.stored.checked_sub(frame.stored)?;
        let raw = next.raw.checked_sub(frame.raw)?;
        // A frame cannot be much larger compressed than raw.
        (raw <= FRAME_LIMIT && stored <= FRAME_LIMIT + (1 << 20)).then_some((frame, stored, raw))
    }

    pub(super) fn find(&self, hash: &Sha256) -> Result<Option<Entry>, Error> {
        if !bits(hash, self.bloom.len()).all(|bit| self.bloom[bit / 64] & (1 << (bit % 64)) != 0) {
            return Ok(None);
        }
        let file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        let (mut low, mut high) = (0, self.count);
        while high - low > BLOCK {
            let middle = low + (high - low) / 2;
            let entry = self.entries(&file, middle, 1)?.remove(0);
            if entry.hash <= *hash { low = middle } else { high = middle }
        }
        Ok(self.entries(&file, low, high - low)?.into_iter().find(|entry| entry.hash == *hash))
    }

    /// Reads all entries and checks their digest and order.
    pub(super) fn all(&self) -> Result<Vec<Entry>, Error> {
        let file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        let bytes = self.entry_bytes(&file, 0, self.count)?;
        let mut digest = [0; 32];
        let at = self.entries_at() + bytes.len() as u64;
        file.read_exact_at(&mut digest, at).map_err(Error::io("read", &self.path))?;
        if Sha256::of(&bytes).0 != digest {
            return Err(Error::damaged(
                &self.path,
                Place::Offset(self.entries_at()),
                "its entries are not what they were",
            ));
        }
        let entries: Vec<Entry> = bytes.chunks_exact(ENTRY).map(entry).collect();
        if !entries.is_sorted_by(|a, b| a.hash < b.hash) {
            return Err(Error::damaged(&self.path, Place::Offset(self.entries_at()), "its entries are not in order"));
        }
        Ok(entries)
    }

    fn entries(&self, file: &File, from: u64, count: u64) -> Result<Vec<Entry>, Error> {
        Ok(self.entry_bytes(file, from, count)?.chunks_exact(ENTRY).map(entry).collect())
    }

    fn entry_bytes(&self, file: &File, from: u64, count: u64) -> Result<Vec<u8>, Error> {
        // The file's length was compared with `count` at opening, so this is bounded by it.
        let mut bytes = vec![0; count as usize * ENTRY];
        let at = self.entries_at() + from * ENTRY as u64;
        file.read_exact_at(&mut bytes, at).map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }

    fn entries_at(&self) -> u64 {
        HEAD as u64 + self.frames.len() as u64 * 16 + self.bloom.len() as u64 * 8 + 32
    }
}

/// Eight bytes at `at` as a number; 0 where there are not eight.
fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |eight| u64::from_be_bytes(*eight))
}

fn entry(bytes: &[u8]) -> Entry {
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[..32]);
    let lens = number(bytes, 40);
    let extent = Extent { offset: number(bytes, 32), len: (lens >> 32) as u32 };
    Entry { hash: Sha256(hash), extent, frame: lens as u32 }
}

fn bits(hash: &Sha256, words: usize) -> impl Iterator<Item = usize> {
    let (first, step) = (number(&hash.0, 0), number(&hash.0, 8) | 1);
    let all = words as u64 * 64;
    (0..7u64).map(move |i| (first.wrapping_add(step.wrapping_mul(i)) % all) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(count: u32) -> (tempfile::TempDir, PathBuf, Vec<Entry>) {
        let entries: Vec<Entry> = (0..count)
            .map(|n| Entry {
                hash: Sha256::of(&n.to_be_bytes()),
                extent: Extent { offset: u64::from(n) * 100 + 40, len: 60 },
                frame: n / 10,
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(Index::NAME);
        let frames: Vec<Frame> =
            (0..u64::from(count.div_ceil(10))).map(|n| Frame { raw: n * 1000, stored: n * 300 }).collect();
        let (raw, stored) = (u64::from(count) * 100, frames.len() as u64 * 300);
        std::fs::write(&path, Index::to_bytes(entries.clone(), &frames, raw, stored)).unwrap();
        (dir, path, entries)
    }

    #[test]
    fn every_object_is_found_and_no_other() {
        for count in [0, 1, 63, 64, 65, 1000] {
            let (_dir, path, entries) = written(count);
            let index = Index::open(&path).unwrap();
            assert_eq!(index.all().unwrap().len(), entries.len());
            for entry in &entries {
                assert_eq!(index.find(&entry.hash).unwrap(), Some(*entry));
            }
            for n in count..count + 200 {
                assert_eq!(index.find(&Sha256::of(&n.to_be_bytes())).unwrap(), None);
            }
            assert_eq!(index.find(&Sha256::ZERO).unwrap(), None);
        }
    }

    #[test]
    fn a_changed_byte_is_seen_at_opening_or_by_reading_all() {
        let (_dir, path, _) = written(25);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x41;
            std::fs::write(&path, &bytes).unwrap();
            let read = Index::open(&path).and_then(|index| index.all());
            assert!(matches!(read, Err(Error::Damaged { .. })), "byte {at}");
        }
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(matches!(Index::open(&path), Err(Error::Damaged { .. })));
    }
}
