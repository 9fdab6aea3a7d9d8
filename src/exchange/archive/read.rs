//! Reading archives that others made: to the end, within limits, or not at all.

use std::io::Read;

use flate2::bufread::GzDecoder;
use tar::EntryType;

use super::{ArchiveError, Limits, Member};

const BLOCK: u64 = 512;
/// Longer names than any file system takes are no names.
const LONGEST_NAME: usize = 1024;

/// Does this begin like a gzip stream or a tar?
pub fn is_archive(bytes: &[u8]) -> bool {
    is_gzip(bytes) || is_tar(bytes)
}

/// Reads everything in the archive, archives in it included. `name` is only for sentences.
pub fn open(name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Member>, ArchiveError> {
    let mut budget = Budget { members: limits.members, bytes: limits.total_bytes, limits };
    budget.open(name.to_owned(), bytes, limits.depth)
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// What may still be unpacked, over all levels.
struct Budget<'a> {
    members: usize,
    bytes: u64,
    limits: &'a Limits,
}

impl Budget<'_> {
    fn open(&mut self, place: String, bytes: &[u8], depth: usize) -> Result<Vec<Member>, ArchiveError> {
        if depth == 0 {
            return Err(ArchiveError::TooDeep { place, limit: self.limits.depth });
        }
        if is_gzip(bytes) {
            let unpacked = self.gunzip(&place, bytes)?;
            if unpacked.is_empty() || !is_tar(&unpacked) && !unpacked.iter().all(|byte| *byte == 0) {
                return Err(ArchiveError::NotAnArchive { place });
            }
            self.untar(place, &unpacked, depth)
        } else if is_tar(bytes) {
            self.untar(place, bytes, depth)
        } else {
            Err(ArchiveError::NotAnArchive { place })
        }
    }

    /// All streams of a gzip file, one after the other, as gzip itself does.
    fn gunzip(&mut self, place: &str, bytes: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let most = (bytes.len() as u64).saturating_mul(self.limits.ratio).max(self.limits.ratio_free_bytes);
        let mut unpacked = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        let mut rest = bytes;
        while !rest.is_empty() {
            if !is_gzip(rest) {
                if rest.iter().all(|byte| *byte == 0) {
                    break; // padding, as tape tools leave it
                }
                return Err(ArchiveError::Trailing { place: place.to_owned(), what: "gzip stream", count: rest.len() });
            }
            let mut stream = GzDecoder::new(rest);
            loop {
                let read = stream
                    .read(&mut chunk)
                    .map_err(|error| ArchiveError::Damaged { place: place.to_owned(), cause: error.to_string() })?;
                if read == 0 {
                    break;
                }
                self.spend(place, read as u64)?;
                unpacked.extend_from_slice(&chunk[..read]);
                if unpacked.len() as u64 > most {
                    return Err(ArchiveError::Bomb { place: place.to_owned(), limit: self.limits.ratio });
                }
            }
            rest = stream.into_inner();
        }
        Ok(unpacked)
    }

    fn untar(&mut self, place: String, bytes: &[u8], depth: usize) -> Result<Vec<Member>, ArchiveError> {
        let damaged = |cause: std::io::Error| ArchiveError::Damaged { place: place.clone(), cause: cause.to_string() };
        let mut archive = tar::Archive::new(bytes);
        let mut members: Vec<Member> = Vec::new();
        let mut names = std::collections::HashSet::new();
        let mut end = 0;
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            if self.members == 0 {
                return Err(ArchiveError::TooMany { place, limit: self.limits.members });
            }
            self.members -= 1;
            let size = entry.size();
            end = entry.raw_file_position().saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));

            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let name = checked_name(&place, &entry.path_bytes())?;
            let own_place = format!("{place}/{name}");
            match kind {
                EntryType::Regular | EntryType::Continuous if !name.is_empty() => {}
                EntryType::Directory => continue,
                other => return Err(ArchiveError::NotAFile { place: own_place, got: kind_name(other) }),
            }
            if !names.insert(name.clone()) {
                return Err(ArchiveError::Name { place, name, why: "comes twice" });
            }
            if size > self.limits.member_bytes {
                return Err(ArchiveError::TooLarge {
                    place: own_place,
                    what: "in one member",
                    limit: self.limits.member_bytes,
                });
            }
            self.spend(&own_place, size)?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(damaged)?;
            if content.len() as u64 != size {
                let cause = format!("expected {size} bytes in {name}, got {}", content.len());
                return Err(ArchiveError::Damaged { place, cause });
            }
            let inside = if is_archive(&content) { Some(self.open(own_place, &content, depth - 1)?) } else { None };
            members.push(Member { name, bytes: content, inside });
        }
        // A tar ends with blocks of zeros; anything else means that a part of it is missing or
        // that something was put behind it.
        let left = archive.into_inner();
        if (bytes.len() - left.len()) as u64 <= end {
            return Err(ArchiveError::Damaged { place, cause: "the mark at the end of a tar is missing".to_owned() });
        }
        if let Some(first) = left.iter().position(|byte| *byte != 0) {
            return Err(ArchiveError::Trailing { place, what: "tar", count: left.len() - first });
        }
        Ok(members)
    }

    fn spend(&mut self, place: &str, bytes: u64) -> Result<(), ArchiveError> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => {
                Err(ArchiveError::TooLarge { place: place.to_owned(), what: "in all", limit: self.limits.total_bytes })
            }
        }
    }
}

/// The name without a leading `./` and without a folder's last `/`.
fn checked_name(place: &str, bytes: &[u8]) -> Result<String, ArchiveError> {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(120).collect();
    let refuse = |why| Err(ArchiveError::Name { place: place.to_owned(), name: shown.clone(), why });
    let Ok(name) = std::str::from_utf8(bytes) else {
        return refuse("is not UTF-8");
    };
    if name.len() > LONGEST_NAME {
        return refuse("is too long");
    }
    if name.chars().any(char::is_control) {
        return refuse("has control characters");
    }
    if name.starts_with(['/', '\\']) || name.as_bytes().get(1) == Some(&b':') {
        return refuse("is absolute");
    }
    if name.split(['/', '\\']).any(|part| part == "..") {
        return refuse("leads out of its folder");
    }
    let name = name.trim_start_matches("./").trim_end_matches('/');
    if name.is_empty() && bytes != b"./" && bytes != b"." {
        return refuse("is empty");
    }
    Ok(name.to_owned())
}

fn kind_name(kind: EntryType) -> String {
    match kind {
        EntryType::Link => "a hard link".to_owned(),
        EntryType::Symlink => "a symbolic link".to_owned(),
        EntryType::Char | EntryType::Block => "a device".to_owned(),
        EntryType::Fifo => "a pipe".to_owned(),
        other => format!("an entry of type {:?}", char::from(other.as_byte())),
    }
}
