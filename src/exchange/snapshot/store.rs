//! Snapshots on disk: written aside, sealed, renamed, found again and checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use ring::digest::{Context, SHA256};

use super::whole::json;
use super::{Form, SCHEMA, Seal, Snapshot, SnapshotError, parts, rows};
use crate::domain::digest::Sha256;
use crate::domain::hashing::Hashing;
use crate::domain::problem::excerpt;
use crate::domain::snapshot::{Head, SnapshotId, Whole};
use crate::exchange::seal::{Certificate, Signer};

/// No seal, signature or certificate is near that size.
const LARGEST: u64 = 64 << 10;
/// A fleet of a million licences has not as much to say.
const LARGEST_SNAPSHOT: u64 = 4 << 30;
/// More of them in one folder are not looked at.
const MOST: usize = 100_000;
const BUFFER: usize = 256 << 10;

/// A snapshot that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    pub seal: Seal,
    /// It was there already, with the same content.
    pub was_there: bool,
}

/// Writes a snapshot into a folder, and what seals it. One that is there already stays as it is. The head learns whom it
/// corrects.
pub fn keep(
    folder: &Path,
    form: Form,
    snapshot: &mut Snapshot,
    collector: &str,
    signer: &Signer,
) -> Result<Kept, SnapshotError> {
    let Snapshot { head, overall, rows: set_aside } = snapshot;
    let name = named(head, form.extension());
    seal(folder, name, form, head, collector, signer, &mut |head, mut out| match form {
        Form::Json => json(head, overall, set_aside.lines()?, &mut out).map(|()| out),
        Form::Csv | Form::Ndjson | Form::Parquet | Form::ResourceValues => {
            rows::all(form, head, set_aside.chunks()?, out)
        }
    })
}

/// Writes one file of a snapshot by `write`, and what seals it, if the folder has not the same snapshot in that form.
pub(super) fn seal(
    folder: &Path,
    name: String,
    form: Form,
    head: &mut Head,
    collector: &str,
    signer: &Signer,
    write: &mut dyn FnMut(&Head, Out) -> io::Result<Out>,
) -> Result<Kept, SnapshotError> {
    if !form.is_built() {
        return Err(SnapshotError::NotBuilt);
    }
    at("create", folder, fs::create_dir_all(folder))?;
    let before = list(folder)?;
    // One form may be there whole and in parts.
    let same = |kept: &&Kept| kept.seal.snapshot_id == head.snapshot_id && kept.seal.file == name;
    if let Some(kept) = before.iter().find(same) {
        head.corrects = kept.seal.corrects.clone();
        return Ok(Kept { was_there: true, ..kept.clone() });
    }
    head.corrects = corrected(&before, head, collector);
    let path = folder.join(&name);
    let aside = folder.join(format!(".{name}.partial"));
    let written = begun(&aside).and_then(|out| write(head, out)).and_then(ended);
    if written.is_err() {
        // What is of no use to anybody makes no full disk fuller.
        drop(fs::remove_file(&aside));
    }
    let (size, sha256) = at("write", &aside, written)?;
    let seal = Seal {
        schema: SCHEMA.to_owned(),
        snapshot_id: head.snapshot_id.clone(),
        corrects: head.corrects.clone(),
        as_of: head.as_of,
        window_start: head.window_start,
        form,
        collector: collector.to_owned(),
        file: name,
        size,
        sha256,
    };
    // Nothing in it can fail to be written.
    let mut statement = serde_json::to_vec_pretty(&seal).unwrap_or_default();
    statement.push(b'\n');
    let beside =
        [(SEAL, statement.as_slice()), (SIGNATURE, &signer.sign(&statement)), (SIGNER, &signer.certificate().pem)];
    for (extension, bytes) in beside {
        let place = with(&path, extension);
        let aside = folder.join(format!(".{}{extension}.partial", seal.file));
        at("write", &aside, small(&aside, bytes))?;
        at("create", &place, fs::rename(&aside, &place))?;
    }
    at("create", &path, fs::rename(&aside, &path))?;
    at("write", folder, File::open(folder).and_then(|folder| folder.sync_all()))?;
    Ok(Kept { path, seal, was_there: false })
}

const SEAL: &str = ".seal";
const SIGNATURE: &str = ".sig";
const SIGNER: &str = ".pem";

fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

/// The name of a file of that snapshot.
pub(super) fn named(head: &Head, extension: &str) -> String {
    let stamp = head.as_of.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    format!("snapshot-{stamp}-{}.{extension}", short(head))
}

/// So much of its number as names of files have.
pub(super) fn short(head: &Head) -> String {
    head.snapshot_id.0.chars().take(12).collect()
}

/// This collector's snapshot of the same instant and window that nobody corrected yet.
fn corrected(before: &[Kept], head: &Head, collector: &str) -> Option<SnapshotId> {
    let same = |kept: &&Kept| {
        let seal = &kept.seal;
        (seal.as_of, seal.window_start, &*seal.collector) == (head.as_of, head.window_start, collector)
    };
    let of = || before.iter().filter(same).map(|kept| &kept.seal);
    // The same one in another form says already whom it corrects.
    if let Some(own) = of().find(|seal| seal.snapshot_id == head.snapshot_id) {
        return own.corrects.clone();
    }
    let open = |seal: &&Seal| !of().any(|other| other.corrects.as_ref() == Some(&seal.snapshot_id));
    of().filter(open).map(|seal| seal.snapshot_id.clone()).max()
}

/// A file that is being written.
pub(super) type Out = BufWriter<Hashing<File>>;

fn digest(context: Context) -> Sha256 {
    let mut own = [0; 32];
    own.copy_from_slice(context.finish().as_ref());
    Sha256(own)
}

fn begun(path: &Path) -> io::Result<Out> {
    // Left over from a run that died here, if it is there.
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    Ok(BufWriter::with_capacity(BUFFER, Hashing::new(file)))
}

fn ended(out: Out) -> io::Result<(u64, Sha256)> {
    let (file, sha256, size) = out.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
    file.sync_all()?;
    Ok((size, sha256))
}

fn small(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The snapshots of a folder by what their seals say, unverified: the oldest instant first.
pub fn list(folder: &Path) -> Result<Vec<Kept>, SnapshotError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => at("read", folder, entries)?,
    };
    for entry in entries.take(MOST) {
        let seal_path = at("read", folder, entry)?.path();
        let named = seal_path.file_name().and_then(|name| name.to_str());
        let Some(name) = named.and_then(|name| name.strip_suffix(SEAL)).filter(|name| name.starts_with("snapshot-"))
        else {
            continue;
        };
        let path = seal_path.with_file_name(name);
        if path.exists() {
            let seal = read_seal(&seal_path, &bounded(&seal_path)?)?;
            found.push(Kept { path, seal, was_there: true });
        }
    }
    found.sort_by(|a, b| (a.seal.as_of, &a.seal.file).cmp(&(b.seal.as_of, &b.seal.file)));
    Ok(found)
}

/// Reads a snapshot of the whole form; whether it is what was sealed is another question.
pub fn read(path: &Path) -> Result<Whole, SnapshotError> {
    let file = at("read", path, File::open(path))?;
    let bounded = io::BufReader::with_capacity(BUFFER, file.take(LARGEST_SNAPSHOT));
    serde_json::from_reader(bounded)
        .map_err(|error| SnapshotError::NotWhole { path: path.to_owned(), cause: error.to_string() })
}

/// Checks a snapshot: the signature of its seal first, then its size and digest. Without `expected` the signer is
/// whoever the certificate beside it names.
pub fn verify(path: &Path, expected: Option<Sha256>) -> Result<(Seal, Certificate), SnapshotError> {
    let (seal_path, pem) = (with(path, SEAL), bounded(&with(path, SIGNER))?);
    let (statement, signature) = (bounded(&seal_path)?, bounded(&with(path, SIGNATURE))?);
    let signer = Certificate::read(&pem)?;
    if let Some(expected) = expected
        && signer.fingerprint != expected
    {
        return Err(SnapshotError::Signer { expected, got: signer.fingerprint });
    }
    signer.verify(&statement, &signature)?;
    let seal = read_seal(&seal_path, &statement)?;
    content(path, seal.size, seal.sha256)?;
    if parts::is_index(path) {
        parts::verify(path, &seal)?;
    }
    Ok((seal, signer))
}

/// Is it still so many bytes with that digest?
pub fn content(path: &Path, size: u64, sha256: Sha256) -> Result<(), SnapshotError> {
    let (expected_size, expected_sha256) = (size, sha256);
    let mut file = at("read", path, File::open(path))?;
    let (mut context, mut size) = (Context::new(&SHA256), 0u64);
    let mut buffer = vec![0; BUFFER];
    let said = |size: u64, sha256: &dyn std::fmt::Display| format!("{size} bytes with SHA-256 {sha256}");
    let expected = || said(expected_size, &expected_sha256);
    let path = || path.to_owned();
    loop {
        match at("read", &path(), file.read(&mut buffer))? {
            0 => break,
            read => {
                size += read as u64;
                context.update(buffer.get(..read).unwrap_or_default());
                if size > expected_size {
                    let got = format!("more than {expected_size} bytes");
                    return Err(SnapshotError::Content { path: path(), expected: expected(), got });
                }
            }
        }
    }
    let sha256 = digest(context);
    if (size, sha256) != (expected_size, expected_sha256) {
        return Err(SnapshotError::Content { path: path(), expected: expected(), got: said(size, &sha256) });
    }
    Ok(())
}

fn read_seal(path: &Path, bytes: &[u8]) -> Result<Seal, SnapshotError> {
    let not = |cause: String| SnapshotError::NotASeal { path: path.to_owned(), cause };
    let seal: Seal = serde_json::from_slice(bytes).map_err(|error| not(error.to_string()))?;
    if seal.schema != SCHEMA {
        return Err(not(format!("expected schema {SCHEMA}, got {:?}", excerpt(&seal.schema))));
    }
    Ok(seal)
}

pub(super) fn bounded(path: &Path) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    at("read", path, read)?;
    Ok(bytes)
}

pub(super) fn at<T>(doing: &'static str, path: &Path, result: io::Result<T>) -> Result<T, SnapshotError> {
    result.map_err(|source| SnapshotError::Io { doing, path: path.to_owned(), source })
}
