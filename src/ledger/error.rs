//! What can go wrong with the memory, and whose it is to mend.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

/// A place in a file: text is counted in lines, everything else in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Counted from 1.
    Line(u64),
    Offset(u64),
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, ", line {line}"),
            Place::Offset(offset) => write!(f, ", byte {offset}"),
            Place::Whole => Ok(()),
        }
    }
}

/// Why the ledger did not do as asked. Each can be told to several callers, hence `Clone`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody's fault: another process works on it.
    #[error(
        "the ledger {} is in use by process {}; ask that process, or stop it first",
        dir.display(), pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
    )]
    Held { dir: PathBuf, pid: Option<u32> },
    /// The operator's: older software on newer data. Nothing was touched.
    #[error(
        "{} has format {found}, this program knows formats up to {known}; nothing was touched; \
         use the newer program, or restore a copy from before the upgrade",
        file.display()
    )]
    TooNew { file: PathBuf, found: u64, known: u64 },
    /// The operator's: the folder is something else, or half of a ledger.
    #[error("{} is not a whole ledger: {what}; nothing was touched; restore it from a copy", dir.display())]
    NotALedger { dir: PathBuf, what: String },
    /// Our store: something that was durable is not what it was.
    #[error("{}{place}: damaged: {what}; nothing was changed; restore this file from a copy", file.display())]
    Damaged { file: PathBuf, place: Place, what: String },
    /// Our store: the file system refused.
    #[error("cannot {doing} {}", file.display())]
    Io {
        doing: &'static str,
        file: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// Our store: the facts were not written and are not kept; the ledger goes on.
    #[error("not stored: cannot write {}; free space on that file system and try again", file.display())]
    NotStored {
        file: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// Our store: the disk did not confirm a write, so nothing more is written until the ledger is opened again.
    #[error("the ledger stopped writing: {cause}; check the disk, then restart; opening again keeps every whole batch")]
    Poisoned { cause: Arc<str> },
    /// The caller's: more than one append may carry.
    #[error("{what} of {bytes} bytes is over the limit of {limit}")]
    TooLarge { what: &'static str, bytes: u64, limit: u64 },
    /// The caller's: the ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// The caller's: the segments of that time are no longer kept.
    #[error("the history before {oldest} is no longer kept; {asked} lies before it")]
    BeforeHistory { asked: Timestamp, oldest: Timestamp },
    /// Our store: the register could not be made or written; the journal is not concerned.
    #[error("register {}: {what}", dir.display())]
    Register { dir: PathBuf, what: String },
}

impl Error {
    /// May the same call succeed later without a person?
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Held { .. } | Error::NotStored { .. } => true,
            Error::TooNew { .. }
            | Error::NotALedger { .. }
            | Error::Damaged { .. }
            | Error::Io { .. }
            | Error::Poisoned { .. }
            | Error::TooLarge { .. }
            | Error::Closed
            | Error::BeforeHistory { .. }
            | Error::Register { .. } => false,
        }
    }

    /// Will nothing be stored any more until the ledger is opened again?
    pub fn ends_writing(&self) -> bool {
        match self {
            Error::Poisoned { .. } | Error::Closed => true,
            Error::Held { .. }
            | Error::TooNew { .. }
            | Error::NotALedger { .. }
            | Error::Damaged { .. }
            | Error::Io { .. }
            | Error::NotStored { .. }
            | Error::TooLarge { .. }
            | Error::BeforeHistory { .. }
            | Error::Register { .. } => false,
        }
    }

    pub(super) fn damaged(file: &Path, place: Place, what: impl Into<String>) -> Error {
        Error::Damaged { file: file.to_owned(), place, what: what.into() }
    }

    /// For `map_err`: what was being done, to which file.
    pub(super) fn io(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Error {
        let file = file.to_owned();
        move |source| Error::Io { doing, file, source: Arc::new(source) }
    }
}
