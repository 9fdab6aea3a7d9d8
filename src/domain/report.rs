//! RUM reports: the signed record of one licence's use over time.

#[cfg(test)]
pub(crate) mod made;
pub mod read;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Sha256;
use super::instance::{Member, Udi};

/// The number of a RUM report, unique to its product instance. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportId(pub u64);

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A licence, by the name of its ISO/IEC 19770-2 tag (`regid.…`); clones share it. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntitlementTag(pub Arc<str>);

impl From<String> for EntitlementTag {
    fn from(tag: String) -> Self {
        EntitlementTag(tag.into())
    }
}

impl fmt::Display for EntitlementTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of measurements a report holds. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ReportType {
    /// Licence counts: what CSSM needs.
    Entitlement,
    /// Inventory and feature counters: Cisco's analytics.
    Telemetry,
    /// A `report_type` that we do not know, in its own words.
    Other(String),
}

impl From<String> for ReportType {
    fn from(word: String) -> Self {
        match word.as_str() {
            "entitlement" => ReportType::Entitlement,
            "telemetry" => ReportType::Telemetry,
            _ => ReportType::Other(word),
        }
    }
}

impl From<ReportType> for String {
    fn from(of: ReportType) -> Self {
        match of {
            ReportType::Entitlement => "entitlement".to_owned(),
            ReportType::Telemetry => "telemetry".to_owned(),
            ReportType::Other(word) => word,
        }
    }
}

/// One stretch of time with one value. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    pub metric: String,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub samples: Option<u64>,
    /// The count; `None` for a value that is not a whole number (telemetry).
    pub value: Option<u64>,
    pub termination_reason: Option<String>,
    pub close_reason: Option<String>,
    /// Seconds that the device's clock was moved by.
    pub clock_change_seconds: Option<i64>,
    pub added: Vec<Udi>,
    pub removed: Vec<Udi>,
}

/// The facts read out of one signed report. **stored**
///
/// The signed bytes themselves are an object of the ledger; these facts are what the fold and
/// the deadline engine work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFacts {
    pub report_id: ReportId,
    /// `"2.0"`; `None` for the older schema, which carries no version.
    pub payload_version: Option<String>,
    pub udi: Udi,
    /// The id that CSSM gives a trusted product instance.
    pub product_instance_identifier: Option<String>,
    /// The product's own SWID tag.
    pub software_tag: Option<String>,
    pub software_version: Option<String>,
    /// `None` on telemetry reports.
    pub entitlement_tag: Option<EntitlementTag>,
    pub report_type: ReportType,
    pub members: Vec<Member>,
    pub signing_type: Option<String>,
    /// Digest of the payload string's bytes, exactly as signed.
    pub payload_sha256: Sha256,
    pub measurements: Vec<Measurement>,
}

impl ReportFacts {
    /// When the first measurement began.
    pub fn start(&self) -> Option<Timestamp> {
        self.measurements.iter().filter_map(|m| m.start).min()
    }

    /// When the last measurement ended.
    pub fn end(&self) -> Option<Timestamp> {
        self.measurements.iter().filter_map(|m| m.end).max()
    }
}
