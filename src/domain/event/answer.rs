//! The facts of answers: from where they came in to where they are installed. **stored**, as all facts are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ack::StatedLicence;
use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::ReportId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerReceived {
    /// The answer file byte for byte.
    pub object: Sha256,
    pub name: String,
    pub udi: Udi,
    /// What it carries: `rum-ack`, `policy`, `authorization`, `account-info`, `trust`.
    pub parts: Vec<String>,
    pub bundle_id: Option<String>,
    /// Report ids it acknowledges, where they could be read.
    pub reports: Vec<ReportId>,
    /// A person placed it (`ack assign`).
    pub assigned: Option<String>,
    /// What it says of licences by their tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<StatedLicence>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerQuarantined {
    pub object: Sha256,
    pub name: String,
    pub reason: String,
}

/// How a delivery ended, by read-back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The device lists the reports as acknowledged.
    ConfirmedById,
    /// Ids cannot be read; the last-ACK time moved after our import. Weaker.
    ConfirmedByTime,
    /// The device took it, but reading back shows no change.
    Unconfirmed,
    /// The device, or the way to it, refused; retried by the plan when `again`.
    Failed { cause: String, again: bool },
    /// No way in: waits for a person with the file.
    AwaitingHandImport,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerDelivered {
    pub object: Sha256,
    pub device: DeviceName,
    /// As in the [`AnswerReceived`] of the answer; `None` in what was written before one file could be for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udi: Option<Udi>,
    pub outcome: Outcome,
    /// Nobody here sent it: reading the device showed that it is installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerConfirmed {
    pub object: Sha256,
    pub udi: Udi,
    /// When it was installed, by the person's word.
    pub installed: Timestamp,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersExported {
    pub objects: Vec<Sha256>,
    /// The name of the folder that was written.
    pub folder: String,
}
