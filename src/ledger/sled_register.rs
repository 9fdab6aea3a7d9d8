//! The register on sled, with the care that sled 0.34 needs.
//!
//! Known faults and what is done about each:
//!
//! * It takes an unfinished `snap.*.generating` for its newest snapshot and then never opens: removed before
//!   every open.
//! * A snapshot cut to nothing is corruption for it, though snapshots only repeat its log: on corruption all
//!   `snap.*` are moved away and it opens once more.
//! * It may panic while opening: that happens on a thread of its own, and a panic is corruption too.
//! * It gives no space back: a new fold goes into a new folder.
//! * Its memory is several times its cache: the cache is set to 4 MiB, and it holds one record a name.
//! * Work that it left to its own threads goes on after it is closed, and holds its lock and its folder: closing and
//!   opening wait until that lock is free, so that no such work meets a folder that was opened again or moved.
//! * A commit is not durable before a flush: it need not be, the journal is. After a power cut sled comes back
//!   at an earlier commit, with the `applied` of that commit, and the batches after it are folded in again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use jiff::Timestamp;

use super::register::{Applied, Change, Register, RegisterError, Visit};
use crate::domain::instance::DeviceName;

const APPLIED: &[u8] = b"\0applied";
const CACHE_BYTES: u64 = 4 << 20;
/// Folders set aside; the oldest is removed beyond this.
const ASIDE_KEPT: usize = 3;

/// How long closing and opening wait for sled's own threads.
const LET_GO: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct SledRegister {
    db: sled::Db,
    records: sled::Tree,
    contacts: sled::Tree,
    /// Last, so that it is dropped when sled is closed.
    _folder: Folder,
}

/// The folder of an open register; its drop waits until sled has let go of it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        wait_until_let_go(&self.0);
    }
}

/// Waits, within bounds, until nobody holds sled's lock: then none of its threads works on the folder.
fn wait_until_let_go(dir: &Path) {
    let Ok(file) = File::open(dir.join("db")) else { return };
    if file.try_lock().is_ok() {
        return;
    }
    let (done, waiting) = sync_channel(1);
    std::thread::spawn(move || {
        let _ = file.lock();
        drop(file);
        let _ = done.send(());
    });
    // Whoever opens it next meets the lock and tells, should it still be held.
    let _ = waiting.recv_timeout(LET_GO);
}

impl SledRegister {
    pub(super) const NAME: &str = "register";

    /// Opens the register in `dir`, or makes an empty one. The ledger's lock must be held.
    ///
    /// Also tells whether snapshots had to be moved away.
    pub(super) fn open(dir: &Path) -> Result<(SledRegister, bool), RegisterError> {
        remove_unfinished_snapshots(dir).map_err(refused)?;
        match open_on_its_own_thread(dir) {
            Err(RegisterError::Damaged(first)) => {
                if !move_snapshots_away(dir).map_err(refused)? {
                    return Err(RegisterError::Damaged(first));
                }
                open_on_its_own_thread(dir).map(|register| (register, true))
            }
            opened => opened.map(|register| (register, false)),
        }
    }

    /// Moves a register folder out of the way; tells where to. Only the newest few are kept.
    pub(super) fn set_aside(dir: &Path) -> io::Result<PathBuf> {
        wait_until_let_go(dir);
        let parent = super::disk::parent(dir);
        let prefix = format!("{}.damaged-", Self::NAME);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(parent)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)).and_then(|n| n.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        let target = parent.join(format!("{prefix}{next}"));
        fs::rename(dir, &target)?;
        let too_many = (numbers.len() + 1).saturating_sub(ASIDE_KEPT);
        for number in numbers.iter().take(too_many) {
            fs::remove_dir_all(parent.join(format!("{prefix}{number}")))?;
        }
        Ok(target)
    }
}

fn open_on_its_own_thread(dir: &Path) -> Result<SledRegister, RegisterError> {
    wait_until_let_go(dir);
    let dir = dir.to_owned();
    let opening = std::thread::Builder::new()
        .name("register-open".to_owned())
        .spawn(move || -> sled::Result<SledRegister> {
            let db = sled::Config::new()
                .path(&dir)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None)
                .mode(sled::Mode::LowSpace)
                .open()?;
            let records = db.open_tree("records")?;
            let contacts = db.open_tree("contacts")?;
            Ok(SledRegister { db, records, contacts, _folder: Folder(dir) })
        })
        .map_err(refused)?;
    match opening.join() {
        Ok(opened) => opened.map_err(told),
        Err(panic) => Err(RegisterError::Damaged(panic_text(panic.as_ref()))),
    }
}

fn snapshots(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    for path in snapshots(dir)? {
        if path.to_string_lossy().ends_with(".generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn move_snapshots_away(dir: &Path) -> io::Result<bool> {
    let found = snapshots(dir)?;
    for path in &found {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fs::rename(path, dir.join(format!("moved.{name}")))?;
    }
    Ok(!found.is_empty())
}

fn refused(e: io::Error) -> RegisterError {
    RegisterError::Refused(e.to_string())
}

/// Sorts sled's errors: would a new folder help?
fn told(e: sled::Error) -> RegisterError {
    match &e {
        sled::Error::Io(cause) => match cause.kind() {
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock => RegisterError::Refused(e.to_string()),
            _ if e.to_string().contains("could not acquire lock") => RegisterError::Refused(e.to_string()),
            _ => RegisterError::Damaged(e.to_string()),
        },
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => RegisterError::Damaged(e.to_string()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("sled panicked: {}", text.unwrap_or("(no message)"))
}

/// Runs a call into sled; a panic of sled is damage, not the end of the program.
fn guarded<T>(call: impl FnOnce() -> Result<T, RegisterError>) -> Result<T, RegisterError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(RegisterError::Damaged(panic_text(panic.as_ref()))))
}

impl Register for SledRegister {
    fn applied(&self) -> Result<Option<Applied>, RegisterError> {
        guarded(|| {
            let Some(bytes) = self.records.get(APPLIED).map_err(told)? else { return Ok(None) };
            serde_json::from_slice(&bytes).map(Some).map_err(|e| RegisterError::Damaged(format!("applied: {e}")))
        })
    }

    fn commit(&mut self, changes: Vec<Change>, applied: Option<&Applied>) -> Result<(), RegisterError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        if let Some(applied) = applied {
            let bytes = serde_json::to_vec(applied).map_err(|e| RegisterError::Damaged(e.to_string()))?;
            batch.insert(APPLIED, bytes);
        }
        guarded(|| self.records.apply_batch(batch).map_err(told))
    }

    fn scan(&self, visit: &mut Visit) -> Result<(), RegisterError> {
        guarded(|| {
            for entry in &self.records {
                let (key, value) = entry.map_err(told)?;
                if key != APPLIED {
                    visit(&key, &value)?;
                }
            }
            Ok(())
        })
    }

    /// **stored**: tree `contacts`, device name → milliseconds since 1970 as 64 bits big-endian.
    fn note_contacts(&mut self, contacts: &[(DeviceName, Timestamp)]) -> Result<(), RegisterError> {
        guarded(|| {
            let mut newest = BTreeMap::new();
            for (device, at) in contacts {
                let at = at.as_millisecond();
                let known = newest.entry(device.0.as_bytes()).or_insert(at);
                *known = (*known).max(at);
            }
            let mut batch = sled::Batch::default();
            for (device, at) in newest {
                let known = self.contacts.get(device).map_err(told)?.and_then(|bytes| millis(&bytes));
                if known.is_none_or(|known| known < at) {
                    batch.insert(device, &at.to_be_bytes());
                }
            }
            self.contacts.apply_batch(batch).map_err(told)
        })
    }

    fn contacts(&self) -> Result<BTreeMap<DeviceName, Timestamp>, RegisterError> {
        guarded(|| {
            let mut found = BTreeMap::new();
            for entry in &self.contacts {
                let (device, at) = entry.map_err(told)?;
                // An entry that cannot be read is lost without harm: the next poll writes it again.
                let at = millis(&at).and_then(|at| Timestamp::from_millisecond(at).ok());
                if let (Ok(device), Some(at)) = (std::str::from_utf8(&device), at) {
                    found.insert(DeviceName::from(device), at);
                }
            }
            Ok(found)
        })
    }

    fn flush(&mut self) -> Result<(), RegisterError> {
        guarded(|| self.db.flush().map(drop).map_err(told))
    }
}

fn millis(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}
