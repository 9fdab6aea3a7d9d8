//! Writing a bundle file by file, as a folder or one tar; under its name when it is whole, or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use super::{BundleError, ManifestMember, at};
use crate::domain::hashing::Hashing;
use crate::exchange::archive::TarWriter;

/// How a bundle lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Folder,
    Tar,
}

/// Takes away what a run that died while writing left in `folder`; whole bundles are not touched.
pub fn sweep(folder: &Path) -> Result<(), BundleError> {
    for entry in at("read", folder, fs::read_dir(folder))? {
        let entry = at("read", folder, entry)?;
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(".exchange-") && name.ends_with(".partial"));
        if ours {
            let path = entry.path();
            at("remove", &path, remove(&path))?;
        }
    }
    Ok(())
}

/// A bundle on its way. Dropped before it is finished, it is gone.
pub(super) struct Place {
    parent: PathBuf,
    name: String,
    /// What the bundle will be, and what it is called until then.
    path: PathBuf,
    aside: PathBuf,
    kind: Kind,
    members: Vec<ManifestMember>,
    finished: bool,
}

enum Kind {
    Folder { folders: BTreeSet<PathBuf> },
    Tar { writer: TarWriter<BufWriter<File>> },
}

impl Place {
    /// Begins a bundle of this name under `parent`.
    pub(super) fn begin(parent: &Path, name: &str, form: Form) -> Result<Place, BundleError> {
        let full = match form {
            Form::Folder => name.to_owned(),
            Form::Tar => format!("{name}.tar"),
        };
        let (path, aside) = (parent.join(&full), parent.join(format!(".{full}.partial")));
        if fs::symlink_metadata(&path).is_ok() {
            return Err(BundleError::AlreadyThere { path });
        }
        // Ours by its name: left over from a run that died while writing it.
        at("remove", &aside, remove(&aside))?;
        let kind = match form {
            Form::Folder => {
                at("create", &aside, fs::create_dir(&aside))?;
                Kind::Folder { folders: BTreeSet::from([aside.clone()]) }
            }
            Form::Tar => {
                let file = at("create", &aside, OpenOptions::new().write(true).create_new(true).open(&aside))?;
                Kind::Tar { writer: TarWriter::new(BufWriter::with_capacity(1 << 18, file)) }
            }
        };
        let (parent, name) = (parent.to_owned(), name.to_owned());
        Ok(Place { parent, name, path, aside, kind, members: Vec::new(), finished: false })
    }

    /// Writes one file of the bundle; `path` is within it, with `/`.
    pub(super) fn put(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<(), BundleError> {
        let mut content = Hashing::new(content);
        match &mut self.kind {
            Kind::Folder { folders } => {
                let file = self.aside.join(path);
                if let Some(folder) = file.parent()
                    && !folders.contains(folder)
                {
                    at("create", folder, fs::create_dir(folder))?;
                    folders.insert(folder.to_owned());
                }
                let created = OpenOptions::new().write(true).create_new(true).open(&file);
                at("write", &file, created.and_then(|mut file| io::copy(&mut content, &mut file)))?;
            }
            Kind::Tar { writer } => {
                let name = format!("{}/{path}", self.name);
                at("write", &self.aside, writer.add(&name, size, &mut content))?;
            }
        }
        let (_, sha256, size) = content.finish();
        self.members.push(ManifestMember { path: path.to_owned(), size, sha256 });
        Ok(())
    }

    /// What was written so far, in the order of paths.
    pub(super) fn members(&self) -> Vec<ManifestMember> {
        let mut members = self.members.clone();
        members.sort_by(|a, b| a.path.cmp(&b.path));
        members
    }

    /// A file beside the bundle that has no name and goes away by itself.
    pub(super) fn scratch(&self) -> Result<File, BundleError> {
        let path = self.parent.join(format!(".{}.scratch.partial", self.name));
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        at("create", &path, opened.and_then(|file| fs::remove_file(&path).map(|()| file)))
    }

    /// Puts everything on disk, and then under its name, which is returned.
    pub(super) fn finish(mut self) -> Result<PathBuf, BundleError> {
        match &mut self.kind {
            Kind::Folder { folders } => {
                sync_files(&self.aside, &self.members)?;
                for folder in folders.iter().rev() {
                    at("write", folder, sync_folder(folder))?;
                }
            }
            Kind::Tar { writer } => {
                at("write", &self.aside, writer.end().and_then(|writer| writer.get_ref().sync_all()))?;
            }
        }
        at("create", &self.path, fs::rename(&self.aside, &self.path))?;
        self.finished = true;
        at("write", &self.parent, sync_folder(&self.parent))?;
        Ok(self.path.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.finished {
            // What stays is taken away by the next sweep.
            let _ = remove(&self.aside);
        }
    }
}

/// Whatever it is; fine when it is not there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts the files on disk, several at a time: a file system takes what waits together in one go.
fn sync_files(folder: &Path, members: &[ManifestMember]) -> Result<(), BundleError> {
    const AT_ONCE: usize = 16;
    let share = members.len().div_ceil(AT_ONCE).max(1);
    let sync = |members: &[ManifestMember]| {
        members.iter().try_for_each(|member| {
            let file = folder.join(&member.path);
            at("write", &file, File::open(&file).and_then(|file| file.sync_all()))
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = members.chunks(share).map(|files| scope.spawn(move || sync(files))).collect();
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
