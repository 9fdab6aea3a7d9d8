//! A bundle as it was found, in a folder or one tar: where each of its files is, not yet what is in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BundleError, MANIFEST, SIGNATURE, SIGNER, at};
use crate::exchange::archive::{self, ArchiveError, BLOCK, Limits, Step};

/// A bundle, not yet believed.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Paths within the bundle, with `/`, and where the bytes are.
    files: BTreeMap<String, Whereabouts>,
}

/// Where the bytes of one file are.
#[derive(Clone, Debug)]
enum Whereabouts {
    File(PathBuf),
    Part { of: Arc<File>, start: u64, size: u64 },
    Memory(Vec<u8>),
}

/// Looks at a bundle, whether a folder or one tar; checks that it is made of plain files, and of a tar that
/// it is as we write it to the last byte.
pub fn open(path: &Path, limits: &Limits) -> Result<Opened, BundleError> {
    let metadata = at("read", path, fs::metadata(path))?;
    let mut opened = Opened::default();
    if metadata.is_dir() {
        opened.look_through(path, "", 2, limits)?;
    } else {
        opened.list(path, limits)?;
        opened.take_folder_off();
    }
    Ok(opened)
}

impl Opened {
    /// Out of the bytes of one archive of any kind. A folder that everything is in is taken off.
    pub fn from_archive(name: &str, bytes: &[u8], limits: &Limits) -> Result<Opened, BundleError> {
        let mut opened = Opened::default();
        let limits = Limits { member_bytes: limits.total_bytes, ..*limits };
        archive::walk_outermost(name, &mut &*bytes, &limits, &mut |step| {
            if let Step::File { name, bytes, .. } = step {
                opened.files.insert(name.to_owned(), Whereabouts::Memory(bytes));
            }
        })?;
        opened.take_folder_off();
        Ok(opened)
    }

    /// Has it what every bundle has?
    pub fn looks_like_a_bundle(&self) -> bool {
        [MANIFEST, SIGNATURE, SIGNER].iter().all(|name| self.files.contains_key(*name))
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The bytes of one file; `None` when it is not there.
    pub fn reader(&self, path: &str) -> Option<Result<Box<dyn Read + '_>, BundleError>> {
        let reader: Box<dyn Read> = match self.files.get(path)? {
            Whereabouts::File(path) => match at("read", path, File::open(path)) {
                Ok(file) => Box::new(file),
                Err(error) => return Some(Err(error)),
            },
            Whereabouts::Part { of, start, size } => Box::new(Part { of, at: *start, left: *size }),
            Whereabouts::Memory(bytes) => Box::new(bytes.as_slice()),
        };
        Some(Ok(reader))
    }

    fn look_through(&mut self, folder: &Path, prefix: &str, depth: usize, limits: &Limits) -> Result<(), BundleError> {
        for entry in at("read", folder, fs::read_dir(folder))? {
            let entry = at("read", folder, entry)?;
            let path = entry.path();
            let kind = at("read", &path, entry.file_type())?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(BundleError::NotAFile { path, got: "a name that is not UTF-8" });
            };
            if kind.is_dir() {
                if depth == 1 {
                    return Err(BundleError::NotAFile { path, got: "a folder in a folder" });
                }
                self.look_through(&path, &format!("{prefix}{name}/"), depth - 1, limits)?;
                continue;
            }
            if !kind.is_file() {
                return Err(BundleError::NotAFile { path, got: "a link, pipe or device" });
            }
            if self.files.len() == limits.members {
                let place = path.display().to_string();
                return Err(ArchiveError::TooMany { place, limit: limits.members }.into());
            }
            self.files.insert(format!("{prefix}{name}"), Whereabouts::File(path));
        }
        Ok(())
    }

    /// Lists a tar without reading what is in it. Every byte between the files has to be the one that we write there:
    /// nobody else vouches for those.
    fn list(&mut self, path: &Path, limits: &Limits) -> Result<(), BundleError> {
        let file = Arc::new(at("read", path, File::open(path))?);
        let length = at("read", path, file.metadata())?.len();
        let refuse = |name: &str, cause: &str| {
            let place = if name.is_empty() { path.display().to_string() } else { format!("{}/{name}", path.display()) };
            Err(BundleError::Archive(ArchiveError::Damaged { place, cause: cause.to_owned() }))
        };
        let (mut start, mut last) = (0, String::new());
        while start == 0 || length.saturating_sub(start) > archive::END.len() as u64 {
            let mut head = Vec::new();
            let part = Part { of: &file, at: start, left: (length - start).min(LONGEST_HEADER) };
            at("read", path, { part }.read_to_end(&mut head))?;
            let Some((name, size, written)) = as_written(&head) else {
                const ANOTHER: &str = "if another program packed it, unpack it and verify the folder";
                return match last.as_str() {
                    "" => refuse("", &format!("neither a folder nor a tar that the collector wrote; {ANOTHER}")),
                    _ => {
                        refuse(&last, &format!("the header behind it is not one that the collector writes; {ANOTHER}"))
                    }
                };
            };
            let begin = start + written;
            let padded = size.checked_next_multiple_of(BLOCK).and_then(|padded| begin.checked_add(padded));
            let Some(next) = padded.filter(|next| *next <= length) else {
                return refuse(&name, "the tar is cut off");
            };
            let end = begin + size;
            let mut padding = Vec::new();
            at("read", path, Part { of: &file, at: end, left: next - end }.read_to_end(&mut padding))?;
            if padding.iter().any(|byte| *byte != 0) {
                return refuse(&name, "something stands in the padding behind it");
            }
            if self.files.len() == limits.members {
                let place = path.display().to_string();
                return Err(ArchiveError::TooMany { place, limit: limits.members }.into());
            }
            let part = Whereabouts::Part { of: file.clone(), start: begin, size };
            if self.files.insert(name.clone(), part).is_some() {
                return refuse(&name, "it comes twice");
            }
            (start, last) = (next, name);
        }
        let mut mark = Vec::new();
        at("read", path, Part { of: &file, at: start, left: length - start }.read_to_end(&mut mark))?;
        if mark != archive::END { refuse("", "the mark at the end of the tar is damaged or missing") } else { Ok(()) }
    }

    fn take_folder_off(&mut self) {
        let top = self.files.keys().next().and_then(|first| first.split_once('/')).map(|(top, _)| format!("{top}/"));
        if let Some(top) = top.filter(|top| self.files.keys().all(|path| path.starts_with(top.as_str()))) {
            let files = std::mem::take(&mut self.files);
            self.files = files.into_iter().map(|(path, file)| (path[top.len()..].to_owned(), file)).collect();
        }
    }
}

/// A header and the two blocks of a long name.
const LONGEST_HEADER: u64 = 4 * BLOCK;

/// Name and size of the file whose header this begins with, and the length of that; if it is one of ours.
fn as_written(head: &[u8]) -> Option<(String, u64, u64)> {
    let mut archive = tar::Archive::new(head);
    let entry = archive.entries().ok()?.next()?.ok()?;
    let name = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
    let header = archive::header(&name, entry.size()).ok()?;
    head.starts_with(&header).then_some((name, entry.size(), header.len() as u64))
}

/// A part of a file, read without a position that others share.
struct Part<'a> {
    of: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.of.read_at(&mut buffer[..most], self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}
