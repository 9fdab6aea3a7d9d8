//! A RUM report: one licence, a stretch of time, and what was measured in it.

use serde::Serialize;

use crate::measurement::{Measurement, Running};
use crate::udi::Udi;

/// The life of a report. Sent-but-unanswered is not here: these devices push nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportState {
    Open,
    /// Ended and never requested.
    Closed,
    /// Requested at least once.
    Unacknowledged,
    Acknowledged,
    /// Gone. If it was not acknowledged before, its usage is lost.
    Purged,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Index into the device's licences.
    Licence(usize),
    Telemetry,
}

/// Why a report ended, in the words of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    CurrentUsageRequested,
    ProductReload,
    /// The lab's word, for [`crate::spec::Knobs::closes_itself_after`].
    ReportingInterval,
}

impl Ended {
    pub fn word(self) -> &'static str {
        match self {
            Ended::CurrentUsageRequested => "CurrentUsageRequested",
            Ended::ProductReload => "ProductReload",
            Ended::ReportingInterval => "ReportingInterval",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Report {
    pub id: u64,
    pub subject: Subject,
    pub state: ReportState,
    pub start: i64,
    pub end: Option<i64>,
    pub previous: u64,
    pub next: u64,
    pub measurements: Vec<Measurement>,
    /// The measurement under way; only an open report has one.
    pub running: Option<Running>,
    /// The member that signed.
    pub udi: Option<Udi>,
    /// The signed object, from the moment it closed until its body is dropped. Kept and not made again, because a
    /// closed report never changes while the device's identity may.
    pub body: Option<String>,
}

impl Report {
    pub fn open(id: u64, subject: Subject, previous: u64, now: i64, count: u32) -> Report {
        Report {
            id,
            subject,
            state: ReportState::Open,
            start: now,
            end: None,
            previous,
            next: 0,
            measurements: Vec::new(),
            running: Some(Running::from(now, count)),
            udi: None,
            body: None,
        }
    }

    /// Ended, with a body that can be fetched, and still owed an acknowledgement.
    pub fn is_owed(&self) -> bool {
        matches!(self.state, ReportState::Closed | ReportState::Unacknowledged)
    }
}
