//! A copy of the journal in one file, made while the ledger is open, and a ledger made of such a copy.
//!
//! The copy is a tar, compressed by zstd, with the names of the ledger's own folder, so that `tar --zstd -xf` gives
//! a ledger too: `ledger.json`, `heads.log`, every sealed segment as it is, and of the open segment what was
//! confirmed when the copy began. The register and the runs are not in it, since they are made anew of the journal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Error, Place};
use super::history::Layout;
use super::identity::Identity;
use super::lock::Lock;
use super::sealed::Seal;
use super::segment;
use super::verify::{Verification, verify};
use super::{Ledger, disk, heads};

/// The largest file of a ledger that is taken back, in bytes: far more than a segment becomes.
const LARGEST: u64 = 64 << 30;

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub ledger_id: String,
    /// The last batch in it.
    pub seq: u64,
    /// Length of the file.
    pub bytes: u64,
}

impl Ledger {
    /// Writes a copy of everything confirmed so far into a new file; work goes on meanwhile. It is there whole or not
    /// at all.
    pub fn backup(&self, file: &Path) -> Result<Backup, Error> {
        let (root, layout) = (self.dir(), self.inner.shared.layout());
        let aside = disk::aside(file);
        let there = || io::Error::new(io::ErrorKind::AlreadyExists, "a file of that name is there already");
        if fs::symlink_metadata(file).is_ok() {
            return Err(Error::io("write", file)(there()));
        }
        // Left over from one that died.
        disk::remove(&aside)?;
        let written = write(root, &layout, &aside);
        let seq = match written {
            Ok(seq) => seq,
            Err(error) => {
                disk::remove(&aside)?;
                return Err(error);
            }
        };
        let bytes = fs::metadata(&aside).map_err(Error::io("look at", &aside))?.len();
        fs::rename(&aside, file).map_err(Error::io("rename into", file))?;
        disk::sync_dir(disk::parent(file))?;
        Ok(Backup { ledger_id: self.inner.shared.ledger_id.clone(), seq, bytes })
    }
}

/// Returns the number of the last batch.
fn write(root: &Path, layout: &Layout, file: &Path) -> Result<u64, Error> {
    use std::os::unix::fs::OpenOptionsExt;
    // Reports and notes are nobody else's to read.
    let created = File::options().write(true).create_new(true).mode(0o600).open(file);
    let created = created.map_err(Error::io("create", file))?;
    let io = || Error::io("write", file);
    let compressed = zstd::Encoder::new(created, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(io())?;
    let mut tar = tar::Builder::new(compressed);
    tar.mode(tar::HeaderMode::Deterministic);

    let identity = root.join(Identity::NAME);
    tar.append_path_with_name(&identity, Identity::NAME).map_err(Error::io("copy", &identity))?;
    let heads = heads::text(root, layout.sealed.iter().map(|sealed| &sealed.seal))?;
    member(&mut tar, heads::NAME, heads.len() as u64, heads.as_slice()).map_err(io())?;
    for sealed in layout.sealed.iter() {
        for name in sealed.seal.files.keys().map(String::as_str).chain([Seal::NAME]) {
            let path = sealed.dir.join(name);
            // Retention may have dropped it.
            if path.exists() {
                let within = format!("{}/{name}", within(sealed.number()));
                tar.append_path_with_name(&path, within).map_err(Error::io("copy", &path))?;
            }
        }
    }
    let (events, objects, seq) = layout.open.confirmed()?;
    let within = within(layout.open.number);
    let log = layout.open.events_bytes(events);
    member(&mut tar, &format!("{within}/{}", segment::EVENTS), events, log).map_err(io())?;
    let pack = layout.open.pack_bytes(objects);
    member(&mut tar, &format!("{within}/{}", segment::PACK), objects, pack).map_err(io())?;
    let mut compressed = tar.into_inner().map_err(io())?;
    compressed.flush().map_err(io())?;
    compressed.finish().and_then(|file| file.sync_all()).map_err(io())?;
    Ok(seq.unwrap_or_else(|| layout.sealed.last().map_or(0, |sealed| sealed.seal.last_seq)))
}

fn within(segment: u64) -> String {
    format!("{}/{segment:06}", segment::SEGMENTS)
}

fn member(tar: &mut tar::Builder<impl Write>, name: &str, bytes: u64, from: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_cksum();
    tar.append_data(&mut header, name, from)
}

/// Makes a ledger of a copy where there is none, and checks it whole before it takes its place.
///
/// `dir` must not be there, or be empty.
pub fn restore(file: &Path, dir: &Path) -> Result<Verification, Error> {
    let aside = aside(dir)?;
    let found = unpack(file, &aside).and_then(|()| verify(&aside));
    match found {
        Ok(found) if found.is_sound() => {
            disk::remove(&aside.join(Lock::NAME))?;
            // An empty folder gives way to the one that comes.
            fs::rename(&aside, dir).map_err(Error::io("rename into", dir))?;
            disk::sync_dir(disk::parent(dir))?;
            Ok(found)
        }
        other => {
            fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
            other
        }
    }
}

/// Where a ledger is made that is to be `dir`, which must not be there, or be empty.
pub(super) fn aside(dir: &Path) -> Result<PathBuf, Error> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = "something is here already, and a copy is only laid where nothing is";
        return Err(Error::NotALedger { dir: dir.to_owned(), what: what.to_owned() });
    }
    disk::create_dirs(disk::parent(dir))?;
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".restoring");
    let aside = PathBuf::from(aside);
    if aside.exists() {
        // Left over from one that died.
        fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
    }
    Ok(aside)
}

fn unpack(file: &Path, into: &Path) -> Result<(), Error> {
    let damaged = |what: String| Error::damaged(file, Place::Whole, what);
    let unreadable = |error: io::Error| damaged(format!("it cannot be read to its end: {error}"));
    let open = File::open(file).map_err(Error::io("open", file))?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(open).map_err(unreadable)?);
    disk::create_dirs(into)?;
    let mut folders = BTreeSet::from([into.to_owned()]);
    for member in archive.entries().map_err(unreadable)? {
        let mut member = member.map_err(unreadable)?;
        let name = member.path().map_err(unreadable)?.into_owned();
        if !ours(&name) || !member.header().entry_type().is_file() || member.size() > LARGEST {
            return Err(damaged(format!("{:?} is no file of a ledger", name.display().to_string())));
        }
        let path = into.join(&name);
        let folder = disk::parent(&path);
        disk::create_dirs(folder)?;
        folders.insert(folder.to_owned());
        let mut new = File::create_new(&path).map_err(Error::io("create", &path))?;
        io::copy(&mut member, &mut new).map_err(unreadable)?;
        new.sync_all().map_err(Error::io("sync", &path))?;
    }
    folders.iter().try_for_each(|folder| disk::sync_dir(folder))
}

/// `ledger.json`, `heads.log`, `segments/NUMBER/NAME`: nothing else is laid down, whatever a copy says.
fn ours(name: &Path) -> bool {
    let parts: Option<Vec<&str>> = name
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    match parts.as_deref() {
        Some([one]) => [Identity::NAME, heads::NAME].contains(one),
        Some([segments, number, _]) => {
            *segments == segment::SEGMENTS && number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit())
        }
        Some(_) | None => false,
    }
}
