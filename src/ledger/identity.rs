//! `ledger.json`: which ledger this is, and in which format.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk;
use super::error::{Error, Place};

/// The content of `ledger.json`. **stored**
///
/// A program refuses a `format` newer than its own before it touches anything, the lock included.
/// The format is raised by every change that an older program cannot read, a new kind of fact too;
/// a newer program raises an older number when it opens the ledger, and still reads all before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub format: u64,
    /// 32 hex digits, by chance; ties the register to its journal.
    pub ledger_id: String,
    pub created: Timestamp,
}

impl Identity {
    pub(super) const NAME: &str = "ledger.json";
    /// The newest journal format that this program reads, and the one it writes.
    pub(super) const FORMAT: u64 = 1;
    const LIMIT: u64 = 64 * 1024;

    /// Reads it; `None` where there is none. A newer format is an error, and nothing is touched.
    pub(super) fn read(dir: &Path) -> Result<Option<Identity>, Error> {
        #[derive(Deserialize)]
        struct OnlyFormat {
            format: u64,
        }
        let file = Self::path(dir);
        let Some(bytes) = disk::read_small(&file, Self::LIMIT)? else { return Ok(None) };
        let damaged = |e: serde_json::Error| Error::damaged(&file, Place::Whole, e.to_string());
        let OnlyFormat { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > Self::FORMAT {
            return Err(Error::TooNew { file, found: format, known: Self::FORMAT });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Reads it under the lock, raises its format, or makes a new ledger of an empty folder.
    pub(super) fn read_or_create(dir: &Path, now: Timestamp) -> Result<Identity, Error> {
        if let Some(mut known) = Self::read(dir)? {
            if known.format < Self::FORMAT {
                known.format = Self::FORMAT;
                known.write(dir)?;
            }
            return Ok(known);
        }
        for part in ["segments", "heads.log", "register"] {
            if dir.join(part).exists() {
                let what = format!("there is {part} but no {}", Self::NAME);
                return Err(Error::NotALedger { dir: dir.to_owned(), what });
            }
        }
        let mut id = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id)
            .map_err(|_| Error::io("draw random bytes for", dir)(std::io::Error::other("no random bytes")))?;
        let identity = Identity { format: Self::FORMAT, ledger_id: data_encoding::HEXLOWER.encode(&id), created: now };
        identity.write(dir)?;
        Ok(identity)
    }

    fn write(&self, dir: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_vec(self).expect("a struct of plain fields");
        text.push(b'\n');
        disk::replace(&Self::path(dir), &text)
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join(Self::NAME)
    }
}
