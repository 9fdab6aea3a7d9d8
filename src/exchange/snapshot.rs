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
mod store;
mod whole;

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

pub use flat::COLUMNS;
pub use parts::{is_index, publish, snapshots};
pub use store::{Kept, content, keep, list, read, verify};
pub use whole::json;

use super::seal::SealError;
use crate::domain::digest::Sha256;
pub use crate::domain::snapshot::Form;
use crate::domain::snapshot::{Entry, Head, Overall, SnapshotId};

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

/// Makes the number of a snapshot while its rows go by.
pub struct Numbering(Context);

impl Default for Numbering {
    fn default() -> Self {
        Numbering(Context::new(&SHA256))
    }
}

impl Numbering {
    pub fn add(&mut self, entry: &Entry) {
        self.update(entry);
    }

    /// The number of the snapshot with that head (whatever number stands in it) and what is said of all rows.
    pub fn end(mut self, head: &Head, overall: &Overall) -> SnapshotId {
        let plain = Head { snapshot_id: SnapshotId(String::new()), corrects: None, ..head.clone() };
        self.update(&plain);
        self.update(overall);
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        SnapshotId::of(&Sha256(digest))
    }

    fn update(&mut self, what: &impl Serialize) {
        // Nothing in them can fail to be written.
        self.0.update(&serde_json::to_vec(what).unwrap_or_default());
        self.0.update(b"\n");
    }
}
