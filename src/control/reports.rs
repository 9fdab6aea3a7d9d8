//! Kept reports as a person sees them: their place, their content, their life, their bytes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::event::{BundledReport, Event, Fact, ReportCollected};
use crate::domain::fleet::{Answer, Bundle, Fleet, Instance, OwedReport};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::{ReportFacts, ReportId};
use crate::domain::state::ReportState;
use crate::flow::{Error, House};

use super::{Reply, Tell};

/// One kept report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportLine {
    pub device: Option<DeviceName>,
    pub udi: Udi,
    pub report_id: ReportId,
    pub entitlement_tag: Option<String>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub collected: Timestamp,
    /// `acknowledged`, `presumed-acknowledged`, or the device's last word, else `null`.
    pub state: Option<String>,
    pub bundle: Option<String>,
    pub payload_sha256: Sha256,
    pub object: Sha256,
}

/// What a report says and what happened to it, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportLife {
    pub line: ReportLine,
    pub facts: ReportFacts,
    pub events: Vec<(Timestamp, String)>,
}

/// The signed bytes of one report, in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportBytes {
    pub udi: Udi,
    pub report_id: ReportId,
    pub base64: String,
}

fn line_of_owed(instance: &Instance, owed: &OwedReport) -> ReportLine {
    let word = owed.state.map(state_word);
    ReportLine {
        device: instance.device.clone(),
        udi: owed.udi.clone(),
        report_id: owed.report_id,
        entitlement_tag: owed.entitlement_tag.as_ref().map(ToString::to_string),
        start: owed.start,
        end: owed.end,
        collected: owed.collected,
        state: if owed.presumed_acknowledged { Some("presumed-acknowledged".to_owned()) } else { word },
        bundle: owed.bundle.clone(),
        payload_sha256: owed.payload_sha256,
        object: owed.object,
    }
}

fn state_word(state: ReportState) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The newest bundle that each report is in.
type Bundled = BTreeMap<(Udi, ReportId), String>;

fn bundled(fleet: &Fleet) -> Bundled {
    let mut bundles: Vec<_> = fleet.bundles.values().collect();
    bundles.sort_by_key(|bundle| bundle.made);
    let reports = |bundle: &Bundle| {
        let id = bundle.facts.bundle_id.clone();
        let key = move |report: &BundledReport| ((report.udi.clone(), report.report_id), id.clone());
        bundle.facts.reports.iter().map(key).collect::<Vec<_>>()
    };
    bundles.into_iter().flat_map(reports).collect()
}

/// The line of a report found in the journal, with what the fold knows of it now.
fn line_of_fact(fleet: &Fleet, bundled: &Bundled, at: Timestamp, fact: &ReportCollected) -> ReportLine {
    let (udi, id) = (&fact.report.udi, fact.report.report_id);
    let instance = fleet.resolve(udi);
    if let Some((instance, owed)) = instance.and_then(|instance| Some((instance, instance.owed(udi, id)?))) {
        return line_of_owed(instance, owed);
    }
    let acknowledged = instance.is_some_and(|instance| instance.acknowledged.contains(udi, id));
    let bundle = bundled.get(&(udi.clone(), id)).cloned();
    ReportLine {
        device: fact.device.clone(),
        udi: udi.clone(),
        report_id: id,
        entitlement_tag: fact.report.entitlement_tag.as_ref().map(ToString::to_string),
        start: fact.report.start(),
        end: fact.report.end(),
        collected: at,
        state: acknowledged.then(|| "acknowledged".to_owned()),
        bundle,
        payload_sha256: fact.report.payload_sha256,
        object: fact.object,
    }
}

pub(super) fn reports(house: &House, device: Option<&DeviceName>, all: bool) -> Result<Vec<ReportLine>, Error> {
    if let Some(name) = device
        && house.device(name).is_none()
        && !house.ledger.fleet().devices.contains_key(name)
    {
        return Err(Error::Input(format!("no device '{name}' in the inventory, and nothing is known of one")));
    }
    let mut lines = Vec::new();
    if all {
        let bundled = bundled(&house.ledger.fleet());
        house.ledger.events(None, &mut |event: &Event| {
            if let Fact::ReportCollected(fact) = &event.fact {
                lines.push(line_of_fact(&house.ledger.fleet(), &bundled, event.at, fact));
            }
            ControlFlow::Continue(())
        })?;
    } else {
        let fleet = house.ledger.fleet();
        for instance in fleet.instances.values() {
            lines.extend(instance.owed.iter().map(|owed| line_of_owed(instance, owed)));
        }
    }
    lines.retain(|line| device.is_none_or(|device| line.device.as_ref() == Some(device)));
    lines.sort_by(|a, b| (&a.device, &a.udi, a.report_id).cmp(&(&b.device, &b.udi, b.report_id)));
    Ok(lines)
}

pub(super) fn lives(house: &House, id: ReportId) -> Result<Vec<ReportLife>, Error> {
    let mut lives: Vec<ReportLife> = Vec::new();
    let bundled = bundled(&house.ledger.fleet());
    house.ledger.events(None, &mut |event: &Event| {
        let fleet = house.ledger.fleet();
        let at = event.at;
        match &event.fact {
            Fact::ReportCollected(fact) if fact.report.report_id == id => {
                let mut events = vec![(at, format!("collected, kept as object {}", fact.object))];
                if fact.presumed_acknowledged {
                    events.push((at, "ended before the last ACK: presumed acknowledged".to_owned()));
                }
                let line = line_of_fact(&fleet, &bundled, at, fact);
                lives.push(ReportLife { line, facts: fact.report.clone(), events });
            }
            Fact::ReportStates(fact) => {
                for life in lives.iter_mut().filter(|life| life.line.udi == fact.udi) {
                    let told = fact.states.iter().filter(|(told, _)| *told == id);
                    life.events.extend(told.map(|(_, state)| (at, format!("device says {}", state_word(*state)))));
                }
            }
            Fact::ReportConflict(fact) if fact.report_id == id => {
                for life in lives.iter_mut().filter(|life| life.line.udi == fact.udi) {
                    life.events.push((at, format!("came again with other bytes: object {}", fact.differing)));
                }
            }
            Fact::BundleMade(fact) => {
                for life in &mut lives {
                    if fact.reports.iter().any(|r| r.report_id == id && r.udi == life.line.udi) {
                        life.events.push((at, format!("put into bundle {}", fact.bundle_id)));
                    }
                }
            }
            Fact::BundleHandedOver(fact) => {
                let bundle = fleet.bundles.get(&fact.bundle_id);
                for life in &mut lives {
                    let inside = |r: &BundledReport| r.report_id == id && r.udi == life.line.udi;
                    if bundle.is_some_and(|bundle| bundle.facts.reports.iter().any(inside)) {
                        life.events.push((at, format!("bundle handed over: {}", fact.note)));
                    }
                }
            }
            Fact::ReportsSubmitted(fact) => {
                for life in &mut lives {
                    if fact.reports.iter().any(|r| r.report_id == id && r.udi == life.line.udi) {
                        life.events.push((at, format!("offered to {} as {}", fact.upstream, fact.submission)));
                    }
                }
            }
            Fact::SubmissionMoved(fact) => {
                for life in &mut lives {
                    let inside = |r: &BundledReport| r.report_id == id && r.udi == life.line.udi;
                    if fleet.sent(&fact.submission).iter().any(inside) {
                        life.events.push((at, format!("{}: {}", fact.submission, fact.progress)));
                    }
                }
            }
            Fact::AnswerReceived(fact) if fact.reports.contains(&id) => {
                for life in lives.iter_mut().filter(|life| life.line.udi == fact.udi) {
                    life.events.push((at, format!("answer received: {} ({})", fact.name, fact.object)));
                }
            }
            Fact::AnswerDelivered(fact) => {
                let answer = fleet.answers.get(&fact.object);
                for life in &mut lives {
                    let its = |a: &Answer| a.reports.contains(&id) && a.udi.as_ref() == Some(&life.line.udi);
                    if answer.is_some_and(its) {
                        let outcome = serde_json::to_string(&fact.outcome).unwrap_or_default();
                        life.events.push((at, format!("answer delivered to {}: {outcome}", fact.device)));
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    if lives.is_empty() {
        return Err(Error::Input(format!("no report {id} is kept; see `report list --all`")));
    }
    Ok(lives)
}

pub(super) fn bytes_of(house: &House, ids: &[ReportId], device: Option<&DeviceName>, tell: &Tell) -> Result<(), Error> {
    let mut lines = reports(house, device, true)?;
    lines.retain(|line| ids.is_empty() || ids.contains(&line.report_id));
    if let Some(missing) = ids.iter().find(|id| !lines.iter().any(|line| line.report_id == **id)) {
        return Err(Error::Input(format!("no report {missing} is kept; see `report list --all`")));
    }
    for line in lines {
        let gone = || Error::Internal(format!("the bytes of report {} are gone from the ledger", line.report_id));
        let bytes = house.ledger.object(&line.object)?.ok_or_else(gone)?;
        let base64 = data_encoding::BASE64.encode(&bytes);
        // One by one: all of them need not fit into memory.
        drop(tell.send(Reply::Bytes(ReportBytes { udi: line.udi, report_id: line.report_id, base64 })));
    }
    Ok(())
}
