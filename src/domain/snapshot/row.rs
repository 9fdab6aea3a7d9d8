//! One row: a licence of an instance at an instant.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Family, Tier};
use crate::domain::deadline::ObligationState;
use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Role, Site, Udi};
use crate::domain::report::{EntitlementTag, ReportId};
use crate::domain::settings::Reporter;
use crate::domain::state::Model;

/// How the quantity of a row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredState {
    /// A report that is here covers the instant.
    Measured,
    /// In use, or taken for it, and no report that is here covers the instant yet.
    NotYetMeasured,
    /// Nothing is used of it, as the device said.
    NothingToReport,
    /// Measured once, but nothing in the window is.
    Stale,
    /// Under reservation: what is reserved is known, not what is used.
    Reserved,
    /// Its licensing model has no usage reports.
    Unmeasurable,
}

/// The flat form of a row, without the five columns that are the same in all of a snapshot. **signed**
///
/// The keys and their order are part of the contract with other programs; from `quantity_peak_at` on they came later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub site: Site,
    pub environment: Option<Arc<str>>,
    /// The operator's words.
    pub tags: Vec<String>,
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
    pub device: Option<DeviceName>,
    /// `null` for a device that was never reached.
    pub pid: Option<String>,
    pub sn: Option<String>,
    pub uuid: Option<String>,
    /// What the chassis by which the instance is known is in its pair or stack.
    pub ha_role: Option<Role>,
    pub os: Option<Arc<str>>,
    pub software_version: Option<Arc<str>>,
    pub model: Model,
    pub reporter: Option<Reporter>,
    pub entitlement_tag: Option<EntitlementTag>,
    pub license_name: Option<String>,
    pub license_type: Option<String>,
    pub tier: Option<Tier>,
    /// Measured at `as_of`.
    pub quantity: Option<u64>,
    /// Of the part of the window that was measured.
    pub quantity_peak: Option<u64>,
    pub quantity_average: Option<f64>,
    pub quantity_reserved: Option<u64>,
    pub measured_state: MeasuredState,
    /// When the licence was first measured or seen in use; of a row without a licence, the instance.
    pub first_seen: Option<Timestamp>,
    /// Up to when it was measured, at most `as_of`.
    pub last_measured: Option<Timestamp>,
    pub last_report_id: Option<ReportId>,
    pub last_ack: Option<Timestamp>,
    pub due: Option<Timestamp>,
    pub days_left: Option<f64>,
    pub state: ObligationState,
    /// SHA-256 of the signed bytes of the last report.
    pub source_sha256: Option<Sha256>,
    pub quantity_peak_at: Option<Timestamp>,
    /// The last that was measured before `as_of`, at `last_measured`, where `as_of` itself is not measured.
    pub quantity_last: Option<u64>,
    /// What polls saw at `as_of`, where it is not measured.
    pub quantity_observed: Option<u64>,
    /// The share of the window that was measured, from 0 to 1.
    pub coverage: f64,
    /// The share of the window that only polls saw.
    pub coverage_observed: f64,
    /// By so many seconds the device's clock was wrong, or may have been, while it measured what stands here: what is
    /// said of an instant is true of one no farther from it. `null`: nothing tells of it.
    pub clock_uncertainty_seconds: Option<u64>,
    pub family: Option<Family>,
}

/// What a row rests on; in the whole form only. **signed**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// What is known of the window, in the order of time; what lies between is not known.
    pub runs: Vec<DetailRun>,
    /// The reports behind the measured ones.
    pub reports: Vec<SourceReport>,
    /// Clocks that were moved, reloads, members that came and went within the window.
    pub changes: Vec<NotedChange>,
    /// Who was counted at `last_measured`, as far as reports told who joined and who left: access points of a controller.
    #[serde(default)]
    pub members: Vec<Udi>,
}

/// A time with one quantity. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetailRun {
    pub start: Timestamp,
    pub end: Timestamp,
    pub quantity: u64,
    /// `null`: observed at polls, not measured.
    pub report_id: Option<ReportId>,
}

/// A signed report. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The chassis that signed it.
    pub udi: Udi,
    pub report_id: ReportId,
    /// SHA-256 of the signed bytes.
    pub sha256: Sha256,
}

/// Something that a report tells beside the count. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotedChange {
    pub at: Timestamp,
    /// `clock-moved`, `reloaded`, `joined`, `left`.
    pub what: String,
    /// The device's clock was moved by so much, within the measurement that began then.
    pub seconds: Option<i64>,
    /// Who joined or left.
    pub member: Option<Udi>,
}

/// A row and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub row: Row,
    pub detail: Detail,
}
