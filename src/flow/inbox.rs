//! The watched folder: whatever is put there is taken in once it has stopped growing.
//!
//! ```text
//! import/                 here files are put
//!   .taking/              one that is just being read; what a kill left there is read again
//!   done/2026-05-01/      kept in the ledger
//!   refused/              not kept, each beside NAME.why.txt
//! ```
//!
//! A file is moved aside first, so that what was read is what is moved on, whoever writes to its name meanwhile; it is
//! moved on only when the ledger has it. Files are told apart by their bytes, so that one that is read a second time
//! changes nothing. Nothing is deleted, links are not followed, and folders are not looked into.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::homeward::{self, TakenAs};
use super::{Error, House, brought, person};
use crate::domain::problem::with_causes;
use crate::domain::rum_file::{self, RumFile};
use crate::exchange::answer::{self, AnswerItem};
use crate::exchange::archive::Limits;
use crate::ledger;

/// A file that has not changed for so long is whole.
pub const SETTLED: Duration = Duration::from_secs(3);
/// Files taken in one look; the others have their turn in the next.
const MOST_FILES: usize = 50;
/// Names read in one look.
const MOST_NAMES: usize = 10_000;
/// The largest file: as much as an archive may become when it is unpacked.
const MOST_BYTES: u64 = 512 << 20;

const TAKING: &str = ".taking";
const DONE: &str = "done";
const REFUSED: &str = "refused";

/// What is remembered of the folder between two looks.
#[derive(Debug, Default)]
pub struct Inbox {
    folder: PathBuf,
    seen: BTreeMap<OsString, Sight>,
    /// Folders in it, of which was told.
    told: BTreeSet<OsString>,
}

/// A file as it was seen, and since when it has been so.
#[derive(Clone, Debug, PartialEq)]
struct Sight {
    bytes: u64,
    modified: Option<SystemTime>,
    inode: u64,
    since: Instant,
}

/// What one look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files of which something is in the ledger now.
    pub taken: usize,
    pub refused: usize,
    /// Files whose turn is yet to come.
    pub waiting: usize,
}

/// What became of one file.
#[derive(Debug, Default)]
struct Verdict {
    /// So many things in it are in the ledger.
    kept: usize,
    /// What a person should know, a line each.
    told: Vec<String>,
}

impl Inbox {
    /// Looks into the folder, where one is watched, and takes in what is whole. Blocks.
    ///
    /// A file of which the ledger could not be told is tried again at the next look.
    pub fn look(&mut self, house: &House, now: Instant) -> Result<Looked, Error> {
        let Some(folder) = &house.config.exchange.import else { return Ok(Looked::default()) };
        if self.folder != *folder {
            *self = Inbox { folder: folder.clone(), ..Inbox::default() };
        }
        let mut looked = Looked::default();
        let ready = self.ready(now).map_err(|error| lost(folder, &error))?;
        looked.waiting = self.seen.len().saturating_sub(ready.len());
        for name in ready {
            let aside = folder.join(TAKING).join(&name);
            // Whoever put it there may have taken it away again.
            if fs::rename(folder.join(&name), &aside).is_ok() {
                self.seen.remove(&name);
            }
        }
        for name in names(&folder.join(TAKING)).map_err(|error| lost(folder, &error))? {
            let verdict = take(house, &folder.join(TAKING).join(&name), &name.to_string_lossy())?;
            let file = name.to_string_lossy();
            let told = verdict.told.join("; ");
            if verdict.kept > 0 {
                looked.taken += 1;
                tracing::info!(%file, kept = verdict.kept, told, "taken in from the import folder");
            } else {
                looked.refused += 1;
                tracing::warn!(%file, told, "not taken; it is in refused/ of the import folder, with the reason");
            }
            let shelf = if verdict.kept > 0 {
                folder.join(DONE).join(house.clock.now().strftime("%Y-%m-%d").to_string())
            } else {
                folder.join(REFUSED)
            };
            move_on(&folder.join(TAKING).join(&name), &shelf, &name, &verdict.told)
                .map_err(|error| lost(&shelf, &error))?;
        }
        Ok(looked)
    }

    /// The files that have not changed for long enough, and things that are no files.
    fn ready(&mut self, now: Instant) -> io::Result<Vec<OsString>> {
        prepare(&self.folder)?;
        let mut seen = BTreeMap::new();
        let mut ready = Vec::new();
        for name in names(&self.folder)? {
            if is_left_alone(&name) {
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(self.folder.join(&name)) else { continue };
            if metadata.is_dir() {
                let ours = name == DONE || name == REFUSED;
                if !ours && self.told.insert(name.clone()) {
                    let folder = name.to_string_lossy();
                    tracing::warn!(%folder, "a folder in the import folder is not looked into; put files or archives there");
                }
                continue;
            }
            let sight = Sight::of(&metadata, now);
            let known = self.seen.remove(&name).filter(|known| known.same(&sight)).unwrap_or(sight);
            let whole = now.duration_since(known.since) >= SETTLED;
            if (whole || !metadata.is_file()) && ready.len() < MOST_FILES {
                ready.push(name.clone());
            }
            seen.insert(name, known);
        }
        self.seen = seen;
        Ok(ready)
    }
}

impl Sight {
    fn of(metadata: &Metadata, since: Instant) -> Self {
        Sight { bytes: metadata.len(), modified: metadata.modified().ok(), inode: metadata.ino(), since }
    }

    fn same(&self, other: &Sight) -> bool {
        (self.bytes, self.modified, self.inode) == (other.bytes, other.modified, other.inode)
    }
}

/// Makes the folders that are missing. Who owns them may widen or narrow them: only what is made here is set.
fn prepare(folder: &Path) -> io::Result<()> {
    let missing = !folder.exists();
    if missing {
        fs::create_dir_all(folder)?;
    }
    // Only the daemon reads out of the first.
    for (name, mode) in [(TAKING, 0o700), (DONE, 0o750), (REFUSED, 0o750)] {
        own_folder(&folder.join(name), mode)?;
    }
    if missing {
        // The group may ask the daemon over its socket; it may as well put files here. The sticky bit keeps each to
        // its own: else one of them could put a link in the place of a folder of ours.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o1770))?;
    }
    Ok(())
}

/// A folder of our own in one where others may write: through a link, or out of a folder that somebody else owns, the
/// daemon would take files that nobody gave it.
fn own_folder(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = fs::symlink_metadata(path)?;
            // What is moved on was given; what is read must have been.
            let read = path.ends_with(TAKING);
            let ours = there.is_dir() && (!read || there.uid() == fs::metadata("/proc/self")?.uid());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ours.then_some(()).ok_or_else(|| {
                io::Error::other(format!("'{name}' in it is not a folder of the service's own; take it away"))
            })
        }
        Err(error) => Err(error),
    }
}

/// The names in a folder, in order.
fn names(folder: &Path) -> io::Result<BTreeSet<OsString>> {
    let names = fs::read_dir(folder)?.take(MOST_NAMES).map(|entry| entry.map(|entry| entry.file_name()));
    names.collect()
}

/// Does the name say that somebody is still writing it, or that it is nobody's business?
fn is_left_alone(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    let unfinished = [".part", ".partial", ".filepart", ".tmp", ".crdownload", ".download"];
    name.starts_with('.') || unfinished.iter().any(|end| name.ends_with(end))
}

/// Reads a file that nobody else can change by its name any more, and keeps what is in it.
fn take(house: &House, path: &Path, name: &str) -> Result<Verdict, Error> {
    let refused = |reason: String| Ok(Verdict { kept: 0, told: vec![reason] });
    let (bytes, owner) = match read(path) {
        Ok(read) => read,
        Err(error) => return refused(error.to_string()),
    };
    // Who put it there is not on record anywhere; whose file it is is.
    let house = house.asked_by(&format!("{} (the file's owner)", person::of_uid(owner)));
    let items = match answer::open(name, &bytes, &Limits::default()) {
        Ok(items) => items,
        Err(error) => return refused(error.to_string()),
    };
    drop(bytes);
    let mut verdict = Verdict::default();
    let mut answers = Vec::new();
    for item in items {
        let file = if item.read.is_err() { rum_file::read(&item.bytes).ok() } else { None };
        let Some(file) = file else {
            answers.push(item);
            continue;
        };
        match reports(&house, &item, file, &mut verdict) {
            Ok(()) => {}
            Err(Error::Ledger(error @ ledger::Error::TooLarge { .. })) => verdict.told.push(with_causes(&error)),
            Err(error) => return Err(error),
        }
    }
    for taken in homeward::take(&house, answers)? {
        match &taken.result {
            TakenAs::Accepted | TakenAs::Known => verdict.kept += 1,
            TakenAs::Quarantined(reason) => {
                verdict.kept += 1;
                verdict.told.push(format!("{}: in quarantine: {reason}", taken.name));
            }
            TakenAs::Unreadable(reason) => verdict.told.push(format!("{}: not taken: {reason}", taken.name)),
        }
    }
    if verdict.kept == 0 && verdict.told.is_empty() {
        verdict.told.push("there is nothing in it".to_owned());
    }
    Ok(verdict)
}

/// Keeps the reports of one file.
fn reports(house: &House, item: &AnswerItem, file: RumFile, verdict: &mut Verdict) -> Result<(), Error> {
    for brought in brought::take(house, item, file, None)? {
        verdict.kept += usize::from(brought.kept + brought.known + brought.conflicts.len() > 0);
        verdict.told.extend(brought.problems.iter().map(|problem| format!("{}: {problem}", brought.name)));
        let again = |id| format!("{}: report {id} came again with other bytes; both are kept", brought.name);
        verdict.told.extend(brought.conflicts.iter().map(again));
    }
    Ok(())
}

/// The bytes of a plain file and the number of its owner.
fn read(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Err(io::Error::other("a link, which is not followed; put the file itself there"));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            io::Error::other("the service may not read it; let its group or everybody read it and put it there again")
        }
        _ => error,
    })?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MOST_BYTES >> 20)));
    }
    Ok((bytes, metadata.uid()))
}

/// Moves a file to its shelf, under a name that nothing has there; beside it what a person should know.
fn move_on(path: &Path, shelf: &Path, name: &OsStr, told: &[String]) -> io::Result<()> {
    fs::create_dir_all(shelf)?;
    let name = &shortened(name);
    let numbered = |number: usize| {
        let mut numbered = name.to_owned();
        if number > 1 {
            numbered.push(format!("-{number}"));
        }
        shelf.join(numbered)
    };
    let place = (1..).map(numbered).find(|place| fs::symlink_metadata(place).is_err()).unwrap_or_default();
    if !told.is_empty() {
        let mut why = place.clone().into_os_string();
        why.push(".why.txt");
        fs::write(why, told.join("\n") + "\n")?;
    }
    // The reason stands there first: a file without one would be a riddle after a power cut.
    fs::rename(path, &place)
}

/// The name with room behind it: file systems take 255 bytes.
fn shortened(name: &OsStr) -> OsString {
    const LONGEST: usize = 200;
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let mut short = name.to_string_lossy().into_owned();
    short.truncate((0..=LONGEST).rev().find(|at| short.is_char_boundary(*at)).unwrap_or_default());
    short.into()
}

fn lost(folder: &Path, error: &io::Error) -> Error {
    Error::Internal(format!("{}: {error}", folder.display()))
}
