//! Snapshots in a folder that engines query as one table, however many collectors write into it.
//!
//! ```text
//! as_of=2026-03-01/site=dark-3/part-0123456789ab.parquet      the rows of a site
//! as_of=2026-03-01/site=dark-3/part-0123456789ab.ndjson       the same in another form
//! as_of=2026-03-01/site=dark-3/resource-values-0123456789ab.csv
//! _snapshots/snapshot-20260301T050000Z-0123456789ab.parquet.parts        which parts there are, with size and SHA-256
//! _snapshots/snapshot-20260301T050000Z-0123456789ab.parquet.parts.seal   sealed as every snapshot is
//! _snapshots/snapshot-20260301T050000Z-0123456789ab.json                 the whole form, with its seal
//! ```
//!
//! Folders are named as Hive names partitions, so engines skip the days and sites that they are not asked
//! for; what begins with `_` or `.` is no data to any of them. Parts are written aside and renamed, the index comes last
//! and says that all are there. Nothing that is there is written again: a correction is another snapshot, whose index
//! names the one in whose place it stands.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::rows::{self, Rows};
use super::store::{self, Kept, at};
use super::{Form, Seal, SetAside, Snapshot, SnapshotError};
use crate::domain::digest::Sha256;
use crate::domain::hashing::Hashing;
use crate::domain::instance::Site;
use crate::domain::snapshot::{Head, SnapshotId};
use crate::exchange::seal::Signer;

/// What an index says that it is.
const SCHEMA: &str = "slp-collector/snapshot-parts/1";
/// Beside the partitions; no engine takes it for one.
const SNAPSHOTS: &str = "_snapshots";
/// How an index ends.
const INDEX: &str = "parts";
/// So Hive writes a value that is none.
const NO_SITE: &str = "__HIVE_DEFAULT_PARTITION__";
/// Rows that all sites together hold back for their groups.
const HELD: usize = 65_536;
/// No site has a file open: a fleet may have more sites than a process may have files.
const BUFFER: usize = 16 << 10;

/// The parts of a snapshot in one form. **signed**, by way of its seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    schema: String,
    snapshot_id: SnapshotId,
    /// The snapshot of the same instant and window that this one stands in place of: leave its parts out.
    corrects: Option<SnapshotId>,
    as_of: Timestamp,
    window_start: Timestamp,
    collector: String,
    form: Form,
    parts: Vec<Part>,
}

/// The rows of one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    /// From the folder that engines query.
    path: String,
    site: Site,
    rows: u64,
    size: u64,
    sha256: Sha256,
}

/// Where the indexes and whole forms of such a folder are.
pub fn snapshots(folder: &Path) -> PathBuf {
    folder.join(SNAPSHOTS)
}

/// Writes a snapshot into such a folder: the whole form as one file, each other one in parts. What is there already stays
/// as it is. The head learns whom it corrects.
pub fn publish(
    folder: &Path,
    form: Form,
    snapshot: &mut Snapshot,
    collector: &str,
    signer: &Signer,
) -> Result<Kept, SnapshotError> {
    let beside = snapshots(folder);
    if form == Form::Json {
        return store::keep(&beside, form, snapshot, collector, signer);
    }
    let Snapshot { head, rows: set_aside, .. } = snapshot;
    if !form.is_built() {
        return Err(SnapshotError::NotBuilt);
    }
    let name = store::named(head, &format!("{form}.{INDEX}"));
    let same = |kept: &Kept| kept.seal.snapshot_id == head.snapshot_id && kept.seal.file == name;
    let is_there = store::list(&beside)?.iter().any(same);
    let parts = if is_there { Vec::new() } else { write(folder, form, head, set_aside)? };
    store::seal(&beside, name, form, head, collector, signer, &mut |head, mut out| {
        let index = Index {
            schema: SCHEMA.to_owned(),
            snapshot_id: head.snapshot_id.clone(),
            corrects: head.corrects.clone(),
            as_of: head.as_of,
            window_start: head.window_start,
            collector: collector.to_owned(),
            form,
            parts: parts.clone(),
        };
        serde_json::to_writer_pretty(&mut out, &index)?;
        out.write_all(b"\n")?;
        Ok(out)
    })
}

/// A site's part on its way.
struct Open {
    rows: Rows<BufWriter<Hashing<Appending>>>,
    count: u64,
    aside: PathBuf,
    path: PathBuf,
    /// From the folder.
    name: String,
}

fn write(folder: &Path, form: Form, head: &Head, set_aside: &SetAside) -> Result<Vec<Part>, SnapshotError> {
    let day = head.as_of.to_zoned(TimeZone::UTC).strftime("as_of=%Y-%m-%d").to_string();
    let stem = if form == Form::ResourceValues { "resource-values" } else { "part" };
    let kind = if form == Form::ResourceValues { "csv" } else { form.extension() };
    let file = format!("{stem}-{}.{kind}", store::short(head));
    let begin = |site: &Site| {
        let place = format!("{day}/site={}", partition(&site.0));
        let (name, aside) = (format!("{place}/{file}"), folder.join(&place).join(format!(".{file}.partial")));
        fs::create_dir_all(folder.join(&place))?;
        let out = BufWriter::with_capacity(BUFFER, Hashing::new(Appending::begin(&aside)?));
        io::Result::Ok(Open { rows: Rows::begin(form, out)?, count: 0, aside, path: folder.join(&name), name })
    };
    let mut open: BTreeMap<Site, Open> = BTreeMap::new();
    let mut held = 0;
    let mut add = |row: &crate::domain::snapshot::Row| {
        if !open.contains_key(&row.site) {
            open.insert(row.site.clone(), begin(&row.site)?);
        }
        let Some(part) = open.get_mut(&row.site) else { return Ok(()) };
        let before = part.rows.held();
        part.rows.row(head, row)?;
        part.count += 1;
        held = held + part.rows.held() - before.min(held + part.rows.held());
        if held >= HELD
            && let Some(fullest) = open.values_mut().max_by_key(|part| part.rows.held())
        {
            held -= fullest.rows.held().min(held);
            fullest.rows.let_go()?;
        }
        Ok(())
    };
    let written = set_aside.chunks().and_then(|chunks| rows::each(head, chunks, &mut add));
    let partial: Vec<PathBuf> = open.values().map(|part| part.aside.clone()).collect();
    let settled = at("write", folder, written).and_then(|()| open.into_iter().map(settled).collect());
    if settled.is_err() {
        // What is of no use to anybody makes no full disk fuller.
        partial.iter().for_each(|aside| drop(fs::remove_file(aside)));
    }
    settled
}

fn settled((site, part): (Site, Open)) -> Result<Part, SnapshotError> {
    let Open { rows, count, aside, path, name } = part;
    let ended = rows.end().and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error));
    let (appending, sha256, size) = at("write", &aside, ended)?.finish();
    at("write", &aside, appending.end())?;
    settle(&aside, &path, size, sha256)?;
    Ok(Part { path: name, site, rows: count, size, sha256 })
}

/// The part takes its place. One that is there, from a run that died before its index, must be the same.
fn settle(aside: &Path, path: &Path, size: u64, sha256: Sha256) -> Result<(), SnapshotError> {
    if path.exists() {
        at("remove", aside, fs::remove_file(aside))?;
        return store::content(path, size, sha256);
    }
    at("create", path, fs::rename(aside, path))?;
    let place = path.parent().unwrap_or(path);
    at("write", place, File::open(place).and_then(|place| place.sync_all()))
}

/// A file that is open only while something is written to it.
struct Appending(PathBuf);

impl Appending {
    fn begin(path: &Path) -> io::Result<Self> {
        // Left over from a run that died here, if it is there.
        File::create(path)?;
        Ok(Appending(path.to_owned()))
    }

    fn end(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OpenOptions::new().append(true).open(&self.0)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value as it stands in the name of a partition.
fn partition(value: &str) -> String {
    if value.is_empty() {
        return NO_SITE.to_owned();
    }
    let mut name = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    name
}

/// Is it an index, by its name?
pub fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == INDEX)
}

/// Checks every part that an index names; the index itself was checked.
pub(super) fn verify(path: &Path, seal: &Seal) -> Result<(), SnapshotError> {
    let not = |cause: String| SnapshotError::NotASeal { path: path.to_owned(), cause };
    let bytes = at("read", path, fs::read(path))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| not(error.to_string()))?;
    if index.schema != SCHEMA || index.snapshot_id != seal.snapshot_id {
        return Err(not(format!("expected {SCHEMA} of snapshot {}", seal.snapshot_id)));
    }
    let folder = path.parent().and_then(Path::parent).unwrap_or(Path::new(""));
    for part in &index.parts {
        let below = Path::new(&part.path);
        if !below.components().all(|component| matches!(component, Component::Normal(_))) {
            return Err(not(format!("a part outside of the folder: {}", crate::domain::problem::excerpt(&part.path))));
        }
        store::content(&folder.join(below), part.size, part.sha256)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn partitions_are_named_as_hive_names_them() {
        for (value, name) in [
            ("dark-3", "dark-3"),
            ("", "__HIVE_DEFAULT_PARTITION__"),
            ("a/../b", "a%2F..%2Fb"),
            ("Zürich = 1", "Z%C3%BCrich%20%3D%201"),
        ] {
            assert_eq!(partition(value), name);
        }
    }
}
