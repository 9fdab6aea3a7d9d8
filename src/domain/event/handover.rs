//! The facts of snapshots on their way to the receiver. **stored**, as all facts are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::snapshot::{Form, SnapshotId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOwed {
    /// By which the receiver knows that it had it before: the snapshot's number, with the form behind it unless that is
    /// JSON.
    pub key: String,
    pub snapshot_id: SnapshotId,
    /// In whose place it stands.
    pub corrects: Option<SnapshotId>,
    pub as_of: Timestamp,
    pub form: Form,
    /// The name of its file, in the folder of published snapshots.
    pub file: String,
    pub size: u64,
    pub sha256: Sha256,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPosted {
    /// As in [`SnapshotOwed`].
    pub key: String,
    pub outcome: PostOutcome,
}

/// How a try to hand a snapshot over ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostOutcome {
    /// The receiver has it, and said so by this status.
    Taken { status: u16 },
    /// It has not; tried again from `again` on.
    Failed {
        cause: String,
        again: Timestamp,
        /// The receiver failed over it, so that another one may be taken.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_it: bool,
    },
    /// It never will as it is.
    Refused {
        cause: String,
        /// Who we are was refused, and so everything would be.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        login: bool,
        /// What the configuration said of the receiver: another word, and it is tried again.
        settings: Sha256,
    },
}
