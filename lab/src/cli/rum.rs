//! `show license rum id …`: the table of reports and one report's record. IOS XE from captures; whether IOS XR and
//! NX-OS know it is not public.

use std::fmt::Write as _;

use crate::cli::time::stamp;
use crate::report::ReportState;
use crate::spec::Spec;
use crate::state::{Known, State};

pub fn all(state: &State) -> String {
    let mut text = format!("Smart Licensing Usage Report:\n{}\n", "=".repeat(36));
    text.push_str("Report Id,          State,    Flag, Feature Name\n");
    for known in &state.reports {
        let _ = writeln!(text, "{:<20}{:<10}{:<6}{}", known.id, word(known.state), "N", known.licence);
    }
    text
}

/// One report; `None` when the device knows no such id.
pub fn detail(spec: &Spec, state: &State, id: &str) -> Option<String> {
    let id: u64 = id.parse().ok()?;
    let known = state.reports.iter().find(|known| known.id == id)?;
    let metric = if known.tag.is_some() { "ENTITLEMENT" } else { "TELEMETRY" };
    let value = known.tag.as_deref().unwrap_or("<none>");
    let storage = match known.state {
        ReportState::Open | ReportState::Closed | ReportState::Unacknowledged => "EXIST",
        ReportState::Acknowledged | ReportState::Purged => "DELETED",
    };
    Some(format!(
        "Smart Licensing Usage Report Detail:\n{}\nReport Id: {id}\n  Metric Name: {metric}\n  Feature Name: {}\n  Metric \
         Value: {value}\n  UDI: {}\n  Previous Report Id: {},    Next Report Id: {}\n  State: {},      State Change \
         Reason: {}\n  Start Time: {},      End Time: {}\n  Storage State: {storage}\n  Transaction ID: 0\n  Transaction \
         Message: <none>\n",
        "=".repeat(36),
        known.licence,
        known.udi,
        known.previous,
        known.next,
        word(known.state),
        reason(known),
        stamp(spec, Some(known.start)),
        stamp(spec, known.end),
    ))
}

/// `UNACK` is inferred from the model; the others are in captures.
fn word(state: ReportState) -> &'static str {
    match state {
        ReportState::Open => "OPEN",
        ReportState::Closed => "CLOSED",
        ReportState::Unacknowledged => "UNACK",
        ReportState::Acknowledged => "ACK",
        ReportState::Purged => "DELETED",
    }
}

/// Only `ACKED` is in a capture.
fn reason(known: &Known) -> &'static str {
    match known.state {
        ReportState::Open => "<none>",
        ReportState::Closed => "CLOSED",
        ReportState::Unacknowledged => "REPORTED",
        ReportState::Acknowledged => "ACKED",
        ReportState::Purged => "PURGED",
    }
}
