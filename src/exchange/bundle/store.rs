//! Bundles on disk: a folder or one tar, there whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{Bundle, BundleError, MANIFEST, SIGNATURE, SIGNER};
use crate::exchange::archive::{self, Limits, Member, NamedBytes};

/// Takes away what a run that died while writing left in `folder`; whole bundles are not touched.
pub fn sweep(folder: &Path) -> Result<(), BundleError> {
    for entry in at("read", folder, fs::read_dir(folder))? {
        let entry = at("read", folder, entry)?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(".exchange-") && name.ends_with(".partial"));
        if ours {
            let path = entry.path();
            let folder = at("read", &path, entry.file_type())?.is_dir();
            at("remove", &path, if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) })?;
        }
    }
    Ok(())
}

/// Writes the bundle as a folder under `parent` and returns its path.
pub fn write_folder(bundle: &Bundle, parent: &Path) -> Result<PathBuf, BundleError> {
    let place = parent.join(&bundle.name);
    let aside = parent.join(format!(".{}.partial", bundle.name));
    refuse_existing(&place)?;
    if aside.exists() {
        // Ours by its name: left over from a run that died while writing it.
        at("remove", &aside, fs::remove_dir_all(&aside))?;
    }
    at("create", &aside, fs::create_dir(&aside))?;
    let mut folders = vec![aside.clone()];
    for (path, bytes) in &bundle.files {
        let file = aside.join(path);
        if let Some(folder) = file.parent()
            && !folders.iter().any(|known| known == folder)
        {
            at("create", folder, fs::create_dir(folder))?;
            folders.push(folder.to_owned());
        }
        let written = OpenOptions::new().write(true).create_new(true).open(&file);
        at("write", &file, written.and_then(|mut file| file.write_all(bytes)))?;
    }
    sync_files(&aside, bundle)?;
    for folder in folders.iter().rev() {
        at("write", folder, sync_folder(folder))?;
    }
    at("create", &place, fs::rename(&aside, &place))?;
    at("write", parent, sync_folder(parent))?;
    Ok(place)
}

/// Writes the bundle as one tar under `parent` and returns its path.
pub fn write_tar(bundle: &Bundle, parent: &Path) -> Result<PathBuf, BundleError> {
    let place = parent.join(format!("{}.tar", bundle.name));
    let aside = parent.join(format!(".{}.tar.partial", bundle.name));
    refuse_existing(&place)?;
    if aside.exists() {
        at("remove", &aside, fs::remove_file(&aside))?;
    }
    let mut files: Vec<NamedBytes> =
        bundle.files.iter().map(|(path, bytes)| (format!("{}/{path}", bundle.name), bytes.clone())).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let bytes = at("compose", &place, archive::tar(&files))?;
    at("write", &aside, write_synced(&aside, &bytes))?;
    at("create", &place, fs::rename(&aside, &place))?;
    at("write", parent, sync_folder(parent))?;
    Ok(place)
}

/// A bundle as it was found, not yet believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Paths within the bundle, with `/`, and their bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Reads a bundle, whether a folder or one tar; checks nothing but that it is made of plain files.
pub fn open(path: &Path, limits: &Limits) -> Result<Opened, BundleError> {
    let metadata = at("read", path, fs::metadata(path))?;
    if metadata.is_dir() {
        let mut reading = Folder { files: BTreeMap::new(), bytes_left: limits.total_bytes, limits };
        reading.read(path, "", 2)?;
        return Ok(Opened { files: reading.files });
    }
    let mut bytes = Vec::new();
    let file = at("read", path, File::open(path))?;
    at("read", path, file.take(limits.total_bytes.saturating_add(1)).read_to_end(&mut bytes))?;
    Opened::from_archive(&path.display().to_string(), &bytes, limits)
}

impl Opened {
    /// Out of the bytes of one tar. A folder that everything is in is taken off.
    pub fn from_archive(name: &str, bytes: &[u8], limits: &Limits) -> Result<Opened, BundleError> {
        Ok(Opened::from_members(archive::open(name, bytes, limits)?))
    }

    /// Out of what an archive holds.
    pub fn from_members(members: Vec<Member>) -> Opened {
        let top = members.first().and_then(|first| first.name.split_once('/')).map(|(top, _)| format!("{top}/"));
        let top = top.filter(|top| members.iter().all(|member| member.name.starts_with(top.as_str())));
        let cut = top.map_or(0, |top| top.len());
        let files = members.into_iter().map(|member| (member.name[cut..].to_owned(), member.bytes)).collect();
        Opened { files }
    }

    /// Has it what every bundle has?
    pub fn looks_like_a_bundle(&self) -> bool {
        [MANIFEST, SIGNATURE, SIGNER].iter().all(|name| self.files.contains_key(*name))
    }
}

struct Folder<'a> {
    files: BTreeMap<String, Vec<u8>>,
    bytes_left: u64,
    limits: &'a Limits,
}

impl Folder<'_> {
    fn read(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), BundleError> {
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
                self.read(&path, &format!("{prefix}{name}/"), depth - 1)?;
                continue;
            }
            if !kind.is_file() {
                return Err(BundleError::NotAFile { path, got: "a link, pipe or device" });
            }
            let place = || path.display().to_string();
            if self.files.len() == self.limits.members {
                return Err(archive::ArchiveError::TooMany { place: place(), limit: self.limits.members }.into());
            }
            let mut bytes = Vec::new();
            let file = at("read", &path, File::open(&path))?;
            at("read", &path, file.take(self.bytes_left.saturating_add(1)).read_to_end(&mut bytes))?;
            self.bytes_left = self.bytes_left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                archive::ArchiveError::TooLarge { place: place(), what: "in all", limit: self.limits.total_bytes }
            })?;
            self.files.insert(format!("{prefix}{name}"), bytes);
        }
        Ok(())
    }
}

fn refuse_existing(place: &Path) -> Result<(), BundleError> {
    match fs::symlink_metadata(place) {
        Ok(_) => Err(BundleError::AlreadyThere { path: place.to_owned() }),
        Err(_) => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts the files on disk, several at a time: a file system takes what waits together in one go.
fn sync_files(folder: &Path, bundle: &Bundle) -> Result<(), BundleError> {
    const AT_ONCE: usize = 16;
    let share = bundle.files.len().div_ceil(AT_ONCE).max(1);
    let sync = |files: &[NamedBytes]| {
        files.iter().try_for_each(|(path, _)| {
            let file = folder.join(path);
            at("write", &file, File::open(&file).and_then(|file| file.sync_all()))
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = bundle.files.chunks(share).map(|files| scope.spawn(move || sync(files))).collect();
        threads.into_iter().try_for_each(|thread| {
            let died = || BundleError::Io {
                doing: "write",
                path: folder.to_owned(),
                source: io::Error::other("a thread died"),
            };
            thread.join().unwrap_or_else(|_| Err(died()))
        })
    })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn at<T>(doing: &'static str, path: &Path, result: io::Result<T>) -> Result<T, BundleError> {
    result.map_err(|source| BundleError::Io { doing, path: path.to_owned(), source })
}
