//! What was found against what is on record.

use std::collections::BTreeMap;

use super::{Finding, Kind, Subject, day};
use crate::domain::event::{Fact, ViolationResolved};
use crate::domain::fleet::Fleet;
use crate::domain::violation::{Violation, ViolationId};

/// What is new and what is over, in the order of ids.
pub(super) fn news(fleet: &Fleet, found: Vec<Finding>) -> Vec<Fact> {
    let found: BTreeMap<ViolationId, Finding> = found.into_iter().map(|finding| (finding.id(), finding)).collect();
    let gone = fleet.violations.iter().filter(|(id, known)| known.resolved.is_none() && !found.contains_key(id));
    let resolved: Vec<Fact> = gone
        .map(|(id, known)| {
            let cause = cause(fleet, known);
            Fact::ViolationResolved(ViolationResolved { id: id.clone(), cause })
        })
        .collect();
    let known = |id: &ViolationId, finding: &Finding| {
        fleet.violations.get(id).is_some_and(|known| known.resolved.is_none() && known.found == *finding)
    };
    let news = found.into_iter().filter(|(id, finding)| !known(id, finding));
    news.map(|(_, finding)| Fact::ViolationFound(Box::new(finding))).chain(resolved).collect()
}

/// Why it is no more, as far as the record tells.
fn cause(fleet: &Fleet, known: &Violation) -> String {
    let finding = &known.found;
    let instance = match &finding.subject {
        Subject::Instance(udi) => fleet.resolve(udi),
        Subject::Device(name) => fleet.of_device(name),
        Subject::OnPrem(_) => None,
    };
    if let Some(retired) = instance.and_then(|instance| instance.retired.as_ref()) {
        return match &retired.replaced_by {
            Some(by) => format!("the instance was replaced by {by} on {}", day(retired.at)),
            None => format!("the instance was retired on {}", day(retired.at)),
        };
    }
    let last_ack = instance.and_then(|instance| instance.state.as_ref()?.usage_reporting.last_ack.as_ref()?.utc);
    let since = known.opened;
    let usual = match finding.kind {
        Kind::AckOverdue | Kind::FirstReportOverdue | Kind::ChangeUnreported | Kind::ServiceAtRisk => match last_ack {
            Some(ack) if ack >= since => return format!("the device lists an ACK of {}", day(ack)),
            Some(_) | None => "no deadline is past any more",
        },
        Kind::AckMissing => "an answer came, or what was handed over is acknowledged",
        Kind::ReportGap => "the device's figures show no gap any more",
        Kind::CollectionStale => "what the device had was collected, or it has no more",
        Kind::Unreachable => {
            let last = finding.device.as_ref().and_then(|name| fleet.contacts.get(name));
            match last {
                Some(last) if *last >= since => return format!("the device answered on {}", day(*last)),
                Some(_) | None => "the device is not asked any more",
            }
        }
        Kind::NotSlp => "the device runs Smart Licensing Using Policy",
        Kind::TwoReporters => "only one reports",
        Kind::AuthorizationMissing => "a code is there, or the licence is not in use any more",
        Kind::OutOfCompliance => "the device does not say so any more",
        Kind::ClockSkew => "the device's clock is within an hour of ours",
        Kind::TrustMissing => "a trust code is there, or the transport needs none",
        Kind::PolicyDiffers => "the policy is the one expected",
        Kind::AccountMismatch => "device, inventory and upstreams name the same account",
        Kind::DuplicateInstance => "one device of the inventory is this instance",
        Kind::CsluUnresolvable => "the transport is off, or has an address",
        Kind::Orphaned => "the instance is in the inventory",
        Kind::OnPremSyncOverdue => "it synchronised",
    };
    // A kind that was switched off ends its violations too, and the record does not tell which it was.
    format!("{usual}, or nobody looks for it any more")
}
