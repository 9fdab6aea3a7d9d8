//! Snapshots as files: JSON whole, CSV or NDJSON flat, each with a seal beside it.
//!
//! ```text
//! snapshot-20260301T000000Z-0123456789ab.json        what it says
//! snapshot-20260301T000000Z-0123456789ab.json.seal   **signed**: its size and SHA-256, and what it is
//! snapshot-20260301T000000Z-0123456789ab.json.sig    plain Ed25519 over the bytes of the seal
//! snapshot-20260301T000000Z-0123456789ab.json.pem    the signer's certificate
//! ```
//!
//! The seal is signed and not the file, so that no size of fleet has to fit into memory. By hand:
//!
//! ```text
//! openssl pkeyutl -verify -rawin -certin -inkey F.pem -in F.seal -sigfile F.sig && sha256sum F
//! ```
//!
//! A file is written aside and renamed when its seal is there, and is never written again: the same content has the
//! same name, and a snapshot of the same instant and window that says something else is a new one that names the old.

mod flat;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod parts;
mod resource_values;
mod rows;
mod store;
mod whole;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use flat::COLUMNS;
pub use lines::Lines;
pub use parts::{is_index, publish, snapshots};
pub use store::{Kept, content, keep, list, read, verify};

use super::seal::SealError;
use crate::domain::digest::Sha256;
use crate::domain::hashing::Hashing;
pub use crate::domain::snapshot::Form;
use crate::domain::snapshot::{Entry, Head, Overall, SnapshotId, Survey};

/// What the seal says that it is.
pub const SCHEMA: &str = "slp-collector/snapshot-seal/1";

/// What is signed. **signed**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// [`SCHEMA`].
    pub schema: String,
    pub snapshot_id: SnapshotId,
    /// The snapshot of the same instant and window that this one stands in place of.
    pub corrects: Option<SnapshotId>,
    pub as_of: Timestamp,
    pub window_start: Timestamp,
    pub form: Form,
    pub collector: String,
    /// The file's own name.
    pub file: String,
    pub size: u64,
    pub sha256: Sha256,
}

/// Why a snapshot cannot be written, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("cannot {doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("{path} is no seal of a snapshot: {cause}")]
    NotASeal { path: PathBuf, cause: String },
    #[error("{path} is no snapshot in its whole form (`--format json`): {cause}")]
    NotWhole { path: PathBuf, cause: String },
    #[error("expected the signer {expected}, got {got}")]
    Signer { expected: Sha256, got: Sha256 },
    #[error("{path}: expected {expected}, got {got}: it was changed after it was sealed")]
    Content { path: PathBuf, expected: String, got: String },
    #[error("{}", crate::domain::snapshot::NO_PARQUET)]
    NotBuilt,
}

impl SnapshotError {
    /// Is it there, and not what was signed?
    pub fn is_unverified(&self) -> bool {
        match self {
            SnapshotError::Io { .. } | SnapshotError::NotWhole { .. } | SnapshotError::NotBuilt => false,
            SnapshotError::Seal(error) => !matches!(error, SealError::Io { .. }),
            SnapshotError::NotASeal { .. } | SnapshotError::Signer { .. } | SnapshotError::Content { .. } => true,
        }
    }
}

/// A snapshot that is ready to be written.
pub struct Snapshot<'a> {
    pub head: Head,
    pub overall: Overall,
    pub survey: &'a Survey<'a>,
    /// Its rows, where the whole form is wanted.
    pub lines: Option<Lines>,
}

/// Makes the number of a snapshot while its rows go by, and keeps their lines where they are wanted: those of the number
/// are those of the whole form.
pub struct Numbering(BufWriter<Hashing<Box<dyn Write>>>, Option<File>);

impl Numbering {
    /// With a folder in which there is room for the lines.
    pub fn new(lines: Option<&Path>) -> io::Result<Self> {
        let lines = lines.map(lines::begun).transpose()?;
        let out: Box<dyn Write> = match &lines {
            Some(file) => Box::new(file.try_clone()?),
            None => Box::new(io::sink()),
        };
        Ok(Numbering(BufWriter::with_capacity(64 << 10, Hashing::new(out)), lines))
    }

    /// What counts of some rows.
    pub fn text(entries: &[Entry]) -> Vec<u8> {
        let mut text = Vec::new();
        for entry in entries {
            // Nothing in it can fail to be written, and memory takes everything.
            let _ = line(&mut text, entry);
        }
        text
    }

    /// Takes the [`text`](Self::text) of the rows that come next.
    pub fn add(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.write_all(text)
    }

    /// The number of the snapshot with that head (whatever number stands in it) and what is said of all rows; and the
    /// lines of the rows.
    pub fn end(self, head: &Head, overall: &Overall) -> io::Result<(SnapshotId, Option<Lines>)> {
        let Numbering(mut out, file) = self;
        out.flush()?;
        let length = out.get_ref().bytes();
        let plain = Head { snapshot_id: SnapshotId(String::new()), corrects: None, ..head.clone() };
        line(&mut out, &plain)?;
        line(&mut out, overall)?;
        let (_, digest, _) = out.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        Ok((SnapshotId::of(&digest), file.map(|file| Lines { file, length })))
    }
}

fn line(out: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.write_all(b"\n")
}
