//! The facts of reports: what was collected, and where the device says that it stands. **stored**, as all facts are.

use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::{ReportFacts, ReportId};
use crate::domain::state::ReportState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportStates {
    pub udi: Udi,
    pub states: Vec<(ReportId, ReportState)>,
}

/// Where a report came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The device's own REST interface.
    Rest,
    /// A file saved on the device and copied.
    SavedFile,
    /// A file that a person brought.
    Import,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportCollected {
    pub device: Option<DeviceName>,
    pub report: ReportFacts,
    /// The report object (payload, header, signature) byte for byte.
    pub object: Sha256,
    pub source: Source,
    /// Version of the reader that made `report` out of `object`.
    pub parser: u32,
    /// It ended before the device's last ACK and its state cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presumed_acknowledged: bool,
    /// What the device calls the licence in its list of reports, beside the number of this one: a report itself names
    /// only the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportReread {
    pub report: ReportFacts,
    pub object: Sha256,
    /// Version of the reader that made `report` this time.
    pub parser: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportConflict {
    pub udi: Udi,
    pub report_id: ReportId,
    pub kept: Sha256,
    pub differing: Sha256,
}
