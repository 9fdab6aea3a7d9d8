//! Reading archives that others made: to the end, within limits, or not at all.
//!
//! Everything is read as it comes, archives in archives included: in memory are one file at a time and what the
//! visitor keeps. Only a zip has to be there whole, because its list of contents stands at its end.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Instant;

use flate2::bufread::GzDecoder;
use tar::EntryType;

use super::{ArchiveError, BLOCK, Limits, Member, zip};
use crate::domain::digest::Sha256;
use crate::domain::hashing::Hashing;

/// Longer names than any file system takes are no names.
const LONGEST_NAME: usize = 1024;
/// What a tar may put before a file: its header, and a long name.
const LONGEST_HEADER: u64 = 1 << 20;
/// Enough of a file to see what it is.
const HEAD: u64 = BLOCK;

/// Does this begin like a gzip stream, a tar or a zip?
pub fn is_archive(bytes: &[u8]) -> bool {
    is_gzip(bytes) || is_tar(bytes) || zip::is_zip(bytes)
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// What a walk meets, in the order of the bytes.
pub enum Step<'a> {
    File {
        name: &'a str,
        /// With the names of the archives around it, joined by `/`.
        place: &'a str,
        bytes: Vec<u8>,
    },
    /// An archive in the archive begins; what follows is in it …
    Enter { name: &'a str },
    /// … until here. Size and digest are its own.
    Leave { size: u64, sha256: Sha256 },
}

pub type Visit<'a> = &'a mut dyn FnMut(Step<'_>);

/// Visits every file in the archive, and those of archives in it. `name` is only for sentences.
///
/// What was visited before an error counts for nothing: the archive is refused as a whole.
pub fn walk(name: &str, from: &mut dyn Read, limits: &Limits, visit: Visit<'_>) -> Result<(), ArchiveError> {
    Budget::new(limits).archive(name.to_owned(), from, limits.depth, visit)
}

/// The same, with archives in it as files.
pub fn walk_outermost(name: &str, from: &mut dyn Read, limits: &Limits, visit: Visit<'_>) -> Result<(), ArchiveError> {
    let budget = Budget { outermost: true, ..Budget::new(limits) };
    budget.archive(name.to_owned(), from, limits.depth, visit)
}

/// Everything in the archive at once.
pub fn open(name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Member>, ArchiveError> {
    let mut open: Vec<(String, Vec<Member>)> = Vec::new();
    let mut members = Vec::new();
    walk(name, &mut &*bytes, limits, &mut |step| match step {
        Step::File { name, bytes, .. } => {
            let (size, sha256) = (bytes.len() as u64, Sha256::of(&bytes));
            members.push(Member { name: name.to_owned(), size, sha256, bytes, inside: None });
        }
        Step::Enter { name } => open.push((name.to_owned(), std::mem::take(&mut members))),
        Step::Leave { size, sha256 } => {
            let (name, outer) = open.pop().unwrap_or_default();
            let inside = Some(std::mem::replace(&mut members, outer));
            members.push(Member { name, size, sha256, bytes: Vec::new(), inside });
        }
    })?;
    Ok(members)
}

/// What may still be unpacked, over all levels.
pub(super) struct Budget<'a> {
    pub(super) limits: &'a Limits,
    members: Cell<usize>,
    bytes: Cell<u64>,
    until: Option<Instant>,
    outermost: bool,
    /// Why a reader gave up, on its way through those that know only of I/O errors.
    refusal: RefCell<Option<ArchiveError>>,
}

impl Budget<'_> {
    fn new(limits: &Limits) -> Budget<'_> {
        Budget {
            limits,
            members: Cell::new(limits.members),
            bytes: Cell::new(limits.total_bytes),
            until: Instant::now().checked_add(limits.time),
            outermost: false,
            refusal: RefCell::new(None),
        }
    }

    fn archive(&self, place: String, from: &mut dyn Read, depth: usize, visit: Visit<'_>) -> Result<(), ArchiveError> {
        if depth == 0 {
            return Err(ArchiveError::TooDeep { place, limit: self.limits.depth });
        }
        let head = self.head(&place, from)?;
        if is_gzip(&head) {
            let mut unpacked = Gunzip::new(head.chain(from), self, &place);
            let head = self.head(&place, &mut unpacked)?;
            if !is_tar(&head) && (head.is_empty() || !is_blank(&head)) {
                return Err(ArchiveError::NotAnArchive { place });
            }
            self.tar(place.clone(), &mut head.chain(unpacked), depth, visit)
        } else if is_tar(&head) {
            self.tar(place, &mut head.chain(from), depth, visit)
        } else if zip::is_zip(&head) {
            let bytes = self.whole(&place, &mut head.chain(from), None)?;
            let mut names = Names::default();
            for entry in zip::entries(&place, &bytes)? {
                self.take_member(&place)?;
                let (name, own_place) = names.check(&place, entry.name)?;
                if entry.is_folder {
                    continue;
                }
                self.member(&name, own_place, entry.size, &mut entry.content(self, &place)?, depth, visit)?;
            }
            Ok(())
        } else {
            Err(ArchiveError::NotAnArchive { place })
        }
    }

    fn tar(&self, place: String, from: &mut dyn Read, depth: usize, visit: Visit<'_>) -> Result<(), ArchiveError> {
        let (passed, allowed) = (Cell::new(0), Cell::new(u64::MAX));
        let mut archive = tar::Archive::new(Gate { from, passed: &passed, allowed: &allowed });
        let mut names = Names::default();
        let mut end = 0;
        let mut entries = archive.entries().map_err(|error| self.damaged(&place, &error))?;
        loop {
            allowed.set(LONGEST_HEADER);
            let Some(entry) = entries.next() else { break };
            allowed.set(u64::MAX);
            let mut entry = entry.map_err(|error| self.damaged(&place, &error))?;
            self.take_member(&place)?;
            let size = entry.size();
            end = entry.raw_file_position().saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let (name, own_place) = names.check(&place, &entry.path_bytes())?;
            match kind {
                EntryType::Regular | EntryType::Continuous if !name.is_empty() => {
                    self.member(&name, own_place, size, &mut entry, depth, visit)?;
                }
                EntryType::Directory => {}
                other => return Err(ArchiveError::NotAFile { place: own_place, got: kind_name(other) }),
            }
        }
        // A tar ends with blocks of zeros; anything else means that a part of it is missing or
        // that something was put behind it.
        if passed.get() <= end {
            return Err(ArchiveError::Damaged { place, cause: "the mark at the end of a tar is missing".to_owned() });
        }
        allowed.set(u64::MAX);
        let mut rest = BufReader::new(archive.into_inner());
        loop {
            let bytes = rest.fill_buf().map_err(|error| self.damaged(&place, &error))?;
            if bytes.is_empty() {
                return Ok(());
            }
            if !is_blank(bytes) {
                return Err(ArchiveError::Trailing { place, what: "tar" });
            }
            let count = bytes.len();
            rest.consume(count);
        }
    }

    /// One file of `size` bytes, or an archive.
    fn member(
        &self,
        name: &str,
        place: String,
        size: u64,
        from: &mut dyn Read,
        depth: usize,
        visit: Visit<'_>,
    ) -> Result<(), ArchiveError> {
        let wrong = |place: String, got| {
            let cause = format!("expected {size} bytes, got {got}");
            Err(ArchiveError::Damaged { place, cause })
        };
        let head = self.head(&place, from)?;
        if is_archive(&head) && !self.outermost {
            visit(Step::Enter { name });
            let mut from = Hashing::new(head.chain(from));
            self.archive(place.clone(), &mut from, depth - 1, visit)?;
            let (_, sha256, got) = from.finish();
            if got != size {
                return wrong(place, got);
            }
            visit(Step::Leave { size, sha256 });
            return Ok(());
        }
        let bytes = self.whole(&place, &mut head.chain(from), Some(size))?;
        if bytes.len() as u64 != size {
            return wrong(place, bytes.len() as u64);
        }
        visit(Step::File { name, place: &place, bytes });
        Ok(())
    }

    /// What is read at once; of the size that was told, if one was.
    fn whole(&self, place: &str, from: &mut dyn Read, told: Option<u64>) -> Result<Vec<u8>, ArchiveError> {
        let limit = self.limits.member_bytes;
        let too_large = || ArchiveError::TooLarge { place: place.to_owned(), what: "in one member", limit };
        if told.is_some_and(|size| size > limit) {
            return Err(too_large());
        }
        if let Some(size) = told {
            self.spend(place, size)?;
        }
        let mut bytes = Vec::new();
        let most = told.unwrap_or(limit).saturating_add(1);
        from.take(most).read_to_end(&mut bytes).map_err(|error| self.damaged(place, &error))?;
        if told.is_none() {
            self.spend(place, bytes.len() as u64)?;
        }
        if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
    }

    fn head(&self, place: &str, from: &mut dyn Read) -> Result<Head, ArchiveError> {
        let mut head = Vec::new();
        from.take(HEAD).read_to_end(&mut head).map_err(|error| self.damaged(place, &error))?;
        Ok(Head(head))
    }

    fn take_member(&self, place: &str) -> Result<(), ArchiveError> {
        match self.members.get().checked_sub(1) {
            Some(left) => self.members.set(left),
            None => return Err(ArchiveError::TooMany { place: place.to_owned(), limit: self.limits.members }),
        }
        self.in_time(place)
    }

    fn spend(&self, place: &str, bytes: u64) -> Result<(), ArchiveError> {
        match self.bytes.get().checked_sub(bytes) {
            Some(left) => self.bytes.set(left),
            None => {
                let limit = self.limits.total_bytes;
                return Err(ArchiveError::TooLarge { place: place.to_owned(), what: "in all", limit });
            }
        }
        self.in_time(place)
    }

    fn in_time(&self, place: &str) -> Result<(), ArchiveError> {
        if self.until.is_some_and(|until| Instant::now() > until) {
            return Err(ArchiveError::TooSlow { place: place.to_owned(), limit: self.limits.time });
        }
        Ok(())
    }

    /// What is unpacked is paid for, and must not be out of proportion to what it was unpacked from.
    pub(super) fn unpacked(&self, place: &str, now: u64, in_all: u64, from: u64) -> io::Result<()> {
        let most = from.saturating_mul(self.limits.ratio).max(self.limits.ratio_free_bytes);
        let checked = self.spend(place, now).and_then(|()| {
            let limit = self.limits.ratio;
            if in_all > most { Err(ArchiveError::Bomb { place: place.to_owned(), limit }) } else { Ok(()) }
        });
        checked.map_err(|refusal| self.give_up(refusal))
    }

    pub(super) fn give_up(&self, refusal: ArchiveError) -> io::Error {
        let error = io::Error::other(refusal.to_string());
        self.refusal.borrow_mut().get_or_insert(refusal);
        error
    }

    fn damaged(&self, place: &str, error: &io::Error) -> ArchiveError {
        let refusal = self.refusal.borrow_mut().take();
        refusal.unwrap_or_else(|| ArchiveError::Damaged { place: place.to_owned(), cause: error.to_string() })
    }
}

/// The first bytes of something, to be put back before the rest.
struct Head(Vec<u8>);

impl Head {
    fn chain<R: Read>(self, rest: R) -> io::Chain<io::Cursor<Vec<u8>>, R> {
        io::Cursor::new(self.0).chain(rest)
    }
}

impl std::ops::Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Counts what passes, and lets through only so much.
struct Gate<'a> {
    from: &'a mut dyn Read,
    passed: &'a Cell<u64>,
    allowed: &'a Cell<u64>,
}

impl Read for Gate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.allowed.get() == 0 {
            return Err(io::Error::other("a header that never ends"));
        }
        let most = usize::try_from(self.allowed.get()).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.from.read(&mut buffer[..most])?;
        self.passed.set(self.passed.get() + got as u64);
        self.allowed.set(self.allowed.get() - got as u64);
        Ok(got)
    }
}

/// All streams of a gzip file, one after the other, as gzip itself reads them.
struct Gunzip<'a, R: Read> {
    stream: Option<GzDecoder<BufReader<Counting<R>>>>,
    unpacked: u64,
    budget: &'a Budget<'a>,
    place: &'a str,
}

impl<'a, R: Read> Gunzip<'a, R> {
    fn new(from: R, budget: &'a Budget<'a>, place: &'a str) -> Self {
        let from = BufReader::new(Counting { from, count: 0 });
        Gunzip { stream: Some(GzDecoder::new(from)), unpacked: 0, budget, place }
    }
}

impl<R: Read> Read for Gunzip<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(stream) = &mut self.stream
            && !buffer.is_empty()
        {
            let got = stream.read(buffer)?;
            if got > 0 {
                self.unpacked += got as u64;
                let from = stream.get_ref().get_ref().count;
                self.budget.unpacked(self.place, got as u64, self.unpacked, from)?;
                return Ok(got);
            }
            let Some(mut rest) = self.stream.take().map(GzDecoder::into_inner) else { break };
            if rest.fill_buf()?.first() == Some(&0x1f) {
                self.stream = Some(GzDecoder::new(rest));
                continue;
            }
            // Padding, as tape tools leave it.
            loop {
                let bytes = rest.fill_buf()?;
                if bytes.is_empty() {
                    break;
                }
                if !is_blank(bytes) {
                    let refusal = ArchiveError::Trailing { place: self.place.to_owned(), what: "gzip stream" };
                    return Err(self.budget.give_up(refusal));
                }
                let count = bytes.len();
                rest.consume(count);
            }
        }
        Ok(0)
    }
}

struct Counting<R> {
    from: R,
    count: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.count += got as u64;
        Ok(got)
    }
}

/// The names of one archive, none twice.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// The name without a leading `./` and without a folder's last `/`; and with the place it is in.
    fn check(&mut self, place: &str, bytes: &[u8]) -> Result<(String, String), ArchiveError> {
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
        if !self.0.insert(name.to_owned()) {
            return refuse("comes twice");
        }
        Ok((name.to_owned(), format!("{place}/{name}")))
    }
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
