//! Which licensing model a text shows. The output decides, never the version.

use super::status::Status;
use crate::domain::state::Model;

/// What else tells the model.
pub(super) struct Signs {
    pub traditional: bool,
    /// Reports are listed, or counted in a summary: only agents with SLP keep them.
    pub reports: bool,
    /// A licence's status is a word of SLP (`IN USE`); before SLP it was `AUTHORIZED`, `OUT OF COMPLIANCE`, ….
    pub slp_status: bool,
}

pub(super) fn model(status: &Status, signs: &Signs) -> Model {
    if status.using_policy == Some(true) {
        return Model::Slp;
    }
    if let Some(registration) = status.registration.as_deref().map(str::to_ascii_uppercase) {
        // CUCM and Unity call a permanent reservation "universal", as the agent does.
        if registration.contains("SPECIFIC LICENSE RESERVATION") {
            return Model::SpecificLicenseReservation;
        }
        if ["UNIVERSAL LICENSE RESERVATION", "PERMANENT LICENSE RESERVATION"]
            .iter()
            .any(|plr| registration.contains(plr))
        {
            return Model::PermanentLicenseReservation;
        }
        return Model::ClassicSmartLicensing;
    }
    let reporting = &status.reporting;
    if status.policy.is_some() && (reporting.push_interval_days.is_some() || reporting.next_ack_deadline.is_some()) {
        return Model::Slp;
    }
    if signs.traditional {
        return Model::Traditional;
    }
    if status.enabled == Some(false) {
        return Model::Disabled;
    }
    match status.authorization.as_deref() {
        Some(authorization) if !authorization.eq_ignore_ascii_case("not applicable") => {
            return Model::ClassicSmartLicensing;
        }
        Some(_) => return Model::Slp,
        None => {}
    }
    if signs.reports || signs.slp_status || reporting.last_ack.is_some() || !status.trust_codes.is_empty() {
        return Model::Slp;
    }
    Model::Unknown
}
