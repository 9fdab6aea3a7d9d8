//! The facts of devices: who they are, whether they answer, what was written to them, and the runs over all of them.
//! **stored**, as all facts are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::instance::{DeviceName, Member, Site, Udi};
use crate::domain::state::DeviceState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceIdentified {
    pub device: DeviceName,
    pub site: Site,
    pub udi: Udi,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    /// `ios-xe`, `ios-xr`, `nx-os`; empty where nothing tells.
    pub os: String,
    pub software: Option<String>,
    pub hostname: Option<String>,
    /// So far the device's clock was ahead of ours, in seconds; negative when it was behind. Kept where UTC of what it
    /// printed is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateRead {
    pub udi: Udi,
    /// Of `rum_ids` only those deleted on the device that never came here; the others are in
    /// [`ReportStates`](super::ReportStates).
    pub state: Box<DeviceState>,
}

/// What we may do to a device, and nothing beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    CloseReports,
    /// Reading report bodies moves them from closed to unacknowledged.
    FetchReports,
    /// Saving usage to a file: ends the running reports, as closing does.
    SaveUsage,
    /// Saving one finished report to a file: ends nothing.
    SaveReport,
    CopyFile,
    ImportFile,
    DeleteOwnFile,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceWritten {
    pub device: DeviceName,
    pub write: Write,
    /// What exactly: which reports, which answer, in which form.
    pub detail: String,
    /// `None`: it is about to be sent. A second event with the cause follows when that fails.
    pub refused: Option<String>,
    /// The cause is that no answer came: the device may have done it all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

/// Whose fault a failure is: that is who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// No answer, or the connection broke.
    Unreachable,
    /// It answered and said no: credentials, privilege.
    Refused,
    /// Its certificate or key is not the one we trust.
    Untrusted,
    /// It answered something that no device should.
    Misbehaved,
    /// It does not offer what we need.
    Unsupported,
    /// Our own side: disk, memory, configuration.
    Ours,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactLost {
    pub device: DeviceName,
    pub blame: Blame,
    pub cause: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactRestored {
    pub device: DeviceName,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRan {
    pub schedule: String,
    /// The instant it was due.
    pub due: Timestamp,
    pub polled: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRetired {
    /// `None` for an instance that no device of the inventory ever was.
    pub device: Option<DeviceName>,
    /// `None` for a device that never told who it is.
    pub udi: Option<Udi>,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReplaced {
    pub old: Udi,
    pub new: Udi,
    pub note: Option<String>,
}
