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
#[cfg(feature = "parquet")]
mod parquet;
mod parts;
mod resource_values;
mod rows;
mod spool;
mod store;
mod whole;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use flat::COLUMNS;
pub use parts::{is_index, publish, snapshots};
pub use store::{Kept, content, keep, list, read, verify};

use self::spool::{Chunk, Chunks, Lines, Spool};
use super::seal::SealError;
use crate::domain::digest::Sha256;
use crate::domain::hashing::Hashing;
pub use crate::domain::snapshot::Form;
use crate::domain::snapshot::{Entry, Head, Overall, SnapshotId};

const BUFFER: usize = 256 << 10;
/// What a line of the whole form often needs, in bytes.
const LINE: usize = 2_048;

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
pub struct Snapshot {
    pub head: Head,
    pub overall: Overall,
    pub rows: SetAside,
}

/// The rows, for the forms that are wanted.
#[derive(Debug)]
pub struct SetAside {
    /// For the whole form.
    lines: Option<Lines>,
    /// For the flat ones.
    chunks: Option<Chunks>,
}

impl SetAside {
    fn lines(&self) -> io::Result<&Lines> {
        self.lines.as_ref().ok_or_else(|| io::Error::other("the rows of the whole form were not set aside"))
    }

    fn chunks(&self) -> io::Result<&Chunks> {
        self.chunks.as_ref().ok_or_else(|| io::Error::other("the rows of the flat forms were not set aside"))
    }
}

/// Makes the number of a snapshot while its rows go by, and sets them aside as the forms want them: the lines of the
/// number are those of the whole form.
pub struct Numbering {
    text: BufWriter<Hashing<Box<dyn Write>>>,
    lines: Option<File>,
    chunks: Option<BufWriter<File>>,
}

/// What is made of some rows.
pub struct Made {
    text: Vec<u8>,
    chunk: Option<Chunk>,
}

impl Numbering {
    /// With a folder in which there is room for the rows.
    pub fn new(room: &Path, forms: &[Form]) -> io::Result<Self> {
        let wanted = |whole: bool| forms.iter().any(|form| (*form == Form::Json) == whole);
        let lines = wanted(true).then(|| Spool::begun(room)).transpose()?;
        let chunks = wanted(false).then(|| Spool::begun(room)).transpose()?;
        let out: Box<dyn Write> = match &lines {
            Some(file) => Box::new(file.try_clone()?),
            None => Box::new(io::sink()),
        };
        let text = BufWriter::with_capacity(BUFFER, Hashing::new(out));
        Ok(Numbering { text, lines, chunks: chunks.map(|file| BufWriter::with_capacity(BUFFER, file)) })
    }

    /// Makes of rows what [`add`](Self::add) takes; several may be at it at once.
    pub fn maker(&self) -> impl Fn(&[Entry]) -> Made + Sync + use<> {
        let flat = self.chunks.is_some();
        move |entries| {
            let mut text = Vec::with_capacity(entries.len() * LINE);
            for entry in entries {
                // Nothing in it can fail to be written, and memory takes everything.
                let _ = line(&mut text, entry);
            }
            Made { text, chunk: flat.then(|| Chunk::of(entries)) }
        }
    }

    /// Takes the rows that come next.
    pub fn add(&mut self, made: &Made) -> io::Result<()> {
        self.text.write_all(&made.text)?;
        match (&mut self.chunks, &made.chunk) {
            (Some(chunks), Some(chunk)) => chunk.write(chunks),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// The snapshot with that head (whatever number stands in it) and what is said of all rows.
    pub fn end(self, head: Head, overall: Overall) -> io::Result<Snapshot> {
        let Numbering { mut text, lines, chunks } = self;
        text.flush()?;
        let length = text.get_ref().bytes();
        let plain = Head { snapshot_id: SnapshotId(String::new()), corrects: None, ..head };
        line(&mut text, &plain)?;
        line(&mut text, &overall)?;
        let (_, digest, _) = text.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        let lines = lines.map(|file| Lines(Spool { file, length }));
        let chunks = chunks.map(|chunks| chunks.into_inner().map_err(io::IntoInnerError::into_error)).transpose()?;
        let chunks =
            chunks.map(|file| io::Result::Ok(Chunks(Spool { length: file.metadata()?.len(), file }))).transpose()?;
        let head = Head { snapshot_id: SnapshotId::of(&digest), ..plain };
        Ok(Snapshot { head, overall, rows: SetAside { lines, chunks } })
    }
}

/// Fails where the rows that were set aside are not all there any more: what is sealed says how many they are.
fn all_there(head: &Head, count: u64) -> io::Result<()> {
    if count == head.row_count {
        return Ok(());
    }
    Err(io::Error::other(format!("of {} rows that were set aside on disk {count} are there", head.row_count)))
}

fn line(out: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.write_all(b"\n")
}
