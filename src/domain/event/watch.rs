//! The facts of the watch: violations, the messages that tell of them, and silences. **stored**, as all facts are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::instance::{DeviceName, Site};
use crate::domain::message::Message;
use crate::domain::violation::{Kind, Severity, Subject, ViolationId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationResolved {
    pub id: ViolationId,
    /// Why it is so no longer, in one sentence.
    pub cause: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationAcknowledged {
    pub id: ViolationId,
    pub note: String,
    pub until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageMade {
    pub message: Message,
    /// The names of those who are to get it.
    pub sinks: Vec<String>,
    /// The obligations of which it tells, with the deadline told.
    pub told: Vec<(Subject, Option<Timestamp>)>,
}

/// How one sink's part in a message ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSettled {
    pub message: String,
    pub sink: String,
    /// `None`: taken. Else why it will never be sent: the sink is gone from the configuration.
    pub dropped: Option<String>,
}

/// What a silence covers; what is not given covers all. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covers {
    pub site: Option<Site>,
    pub device: Option<DeviceName>,
    pub kind: Option<Kind>,
    /// Up to this severity.
    pub severity: Option<Severity>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceSet {
    /// `s-` and ten hex digits.
    pub id: String,
    pub covers: Covers,
    pub from: Timestamp,
    pub until: Timestamp,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceEnded {
    pub id: String,
}
