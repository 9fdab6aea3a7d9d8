//! Reports made up for tests: what a test is about is said, all else is as plain as can be.

use jiff::Timestamp;

use super::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use crate::domain::digest::Sha256;
use crate::domain::instance::Udi;

pub fn measurement(start: Option<Timestamp>, end: Option<Timestamp>, value: u64) -> Measurement {
    Measurement {
        metric: "ENTITLEMENT".to_owned(),
        start,
        end,
        samples: None,
        value: Some(value),
        termination_reason: None,
        close_reason: None,
        clock_change_seconds: None,
        added: Vec::new(),
        removed: Vec::new(),
    }
}

/// Of that licence; its digest is not that of any bytes.
pub fn report(udi: Udi, id: u64, tag: Option<&str>, measurements: Vec<Measurement>) -> ReportFacts {
    ReportFacts {
        report_id: ReportId(id),
        payload_version: None,
        udi,
        product_instance_identifier: None,
        software_tag: None,
        software_version: None,
        entitlement_tag: tag.map(|tag| EntitlementTag(tag.into())),
        report_type: ReportType::Entitlement,
        members: Vec::new(),
        signing_type: None,
        payload_sha256: Sha256::ZERO,
        measurements,
    }
}
