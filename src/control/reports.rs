//! Kept reports as a person sees them: their place and their bytes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::event::{BundledReport, Event, Fact, ReportCollected};
use crate::domain::fleet::{Bundle, Fleet, Instance, OwedReport};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::ReportId;
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

pub(super) fn state_word(state: ReportState) -> String {
    serde_json::to_value(state).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The newest bundle that each report is in.
pub(super) type Bundled = BTreeMap<(Udi, ReportId), String>;

pub(super) fn bundled(fleet: &Fleet) -> Bundled {
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
pub(super) fn line_of_fact(fleet: &Fleet, bundled: &Bundled, at: Timestamp, fact: &ReportCollected) -> ReportLine {
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
