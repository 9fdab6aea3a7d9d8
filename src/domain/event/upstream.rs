//! The facts of upstreams: what was offered to them, and what they know. **stored**, as all facts are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BundledReport;
use crate::domain::cross_check::{Counts, Difference};
use crate::domain::digest::Sha256;
use crate::domain::instance::Account;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsSubmitted {
    /// Its own id, never used twice.
    pub submission: String,
    /// The upstream's name in the configuration.
    pub upstream: String,
    pub account: Account,
    pub nonce: String,
    pub reports: Vec<BundledReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionMoved {
    pub submission: String,
    pub progress: Progress,
}

/// How far a submission is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// The upstream has it; from `ask` on the answer may be asked for under this number.
    Accepted { poll_id: u64, ask: Timestamp },
    /// The answer came.
    Answered,
    /// The upstream had these reports before, so there is no answer to this submission.
    Duplicate { said: String },
    /// It was refused, or never answered; `again`: offered anew by the plan.
    Failed {
        cause: String,
        again: bool,
        /// No answer came to it: the upstream may have these reports all the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unanswered: bool,
    },
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Progress::Accepted { poll_id, .. } => write!(f, "accepted under {poll_id}"),
            Progress::Answered => f.write_str("answered"),
            Progress::Duplicate { said } => write!(
                f,
                "Cisco had these reports before ({said}), and no acknowledgement comes for this submission: fetch it at \
                 the portal, then `ack import`"
            ),
            Progress::Failed { cause, again: true, .. } => write!(f, "failed, and is offered again: {cause}"),
            Progress::Failed { cause, again: false, .. } => write!(f, "failed for good: {cause}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamRead {
    /// The upstream's name in the configuration.
    pub upstream: String,
    /// What it said, as JSON of ours.
    pub object: Sha256,
    /// So many product instances it knows.
    pub devices: u64,
    /// So many differences of each kind.
    pub counts: Counts,
    /// The differences, at most [`KEPT`](crate::domain::cross_check::KEPT) of them; the object has all.
    pub differences: Vec<Difference>,
    /// The software of the server, where it told.
    pub version: Option<String>,
    /// Until when the server's certificate is valid.
    pub certificate_until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnPremSynced {
    /// The operator's name for the server.
    pub name: String,
    pub synced: Timestamp,
    /// `None`: its API told.
    pub note: Option<String>,
}
