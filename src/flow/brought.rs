//! Reports that a person brought: saved by hand on a device, or downloaded where somebody else had put them.
//!
//! They are kept as a poll would keep them. Whose they are the signed payload says; which device of the inventory that is,
//! the person, or the host name in the file where it is that of a device on which nobody here can look.

use serde::{Deserialize, Serialize};

use super::keep::{self, BYTES_AT_ONCE, REPORTS_AT_ONCE, last_ack};
use super::{Error, House};
use crate::config::Device;
use crate::domain::digest::Sha256;
use crate::domain::event::{DeviceIdentified, Fact, ReportCollected, Source};
use crate::domain::fleet::Fleet;
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::ReportId;
use crate::domain::report::read::{READER_VERSION, RawReport};
use crate::domain::rum_file::{self, FileForm, RumFile};
use crate::domain::settings::Word;
use crate::exchange::answer::{self, AnswerItem};
use crate::exchange::archive::Limits;

/// What became of the reports of one instance in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The file, or the member of an archive.
    pub name: String,
    /// `None`: nothing of the file could be kept.
    pub udi: Option<Udi>,
    pub device: Option<DeviceName>,
    /// Reports kept now for the first time.
    pub kept: usize,
    /// Those that were here already, byte for byte.
    pub known: usize,
    /// Those that came again with other bytes; both are kept.
    pub conflicts: Vec<ReportId>,
    /// Why something in the file, or all of it, was not kept.
    pub problems: Vec<String>,
    /// The device of the inventory that is known as this instance from now on.
    pub bound: Option<DeviceName>,
}

impl Brought {
    fn not(name: &str, reason: String) -> Self {
        Brought { problems: vec![reason], ..Brought::of(name, None) }
    }

    fn of(name: &str, udi: Option<Udi>) -> Self {
        Brought {
            name: name.to_owned(),
            udi,
            device: None,
            kept: 0,
            known: 0,
            conflicts: Vec::new(),
            problems: Vec::new(),
            bound: None,
        }
    }
}

/// Takes one file: reports in any form that carries their signatures, or an archive of such files. `device`: whose they
/// are, by a person's word. Blocks.
pub fn import(house: &House, name: &str, bytes: &[u8], device: Option<&DeviceName>) -> Result<Vec<Brought>, Error> {
    let device = match device {
        None => None,
        Some(name) => {
            Some(house.device(name).ok_or_else(|| Error::Input(format!("no device '{name}' in the inventory")))?)
        }
    };
    let items = match answer::open(name, bytes, &Limits::default()) {
        Ok(items) => items,
        Err(error) => return Ok(vec![Brought::not(name, error.to_string())]),
    };
    let mut all = Vec::new();
    for item in items {
        match rum_file::read(&item.bytes) {
            Ok(file) => all.extend(take(house, &item, file, device)?),
            Err(error) => all.push(Brought::not(&item.name, error.to_string())),
        }
    }
    Ok(all)
}

/// Takes the reports of one file.
pub(super) fn take(
    house: &House,
    item: &AnswerItem,
    file: RumFile,
    device: Option<&Device>,
) -> Result<Vec<Brought>, Error> {
    if file.form == FileForm::Payload {
        let reason = "a payload without its signature, which Cisco could not check";
        return Ok(vec![Brought::not(&item.name, reason.to_owned())]);
    }
    let faults = if file.problems.is_whole() { Vec::new() } else { file.problems.sentences() };
    let host = file.system_info.as_ref().and_then(host_name);
    let mut of_instances: Vec<(Udi, Vec<RawReport>)> = Vec::new();
    {
        let fleet = house.ledger.fleet();
        for report in file.reports {
            let whose = fleet.resolve(&report.facts.udi).map_or(&report.facts.udi, |instance| &instance.udi);
            // A member's reports stand with those of the pair, also where the pair is not known yet.
            let same = |(udi, reports): &&mut (Udi, Vec<RawReport>)| {
                let told = |one: &RawReport| one.facts.members.iter().any(|member| member.udi == report.facts.udi);
                udi == whose || reports.iter().any(told)
            };
            match of_instances.iter_mut().find(same) {
                Some((_, reports)) => reports.push(report),
                None => of_instances.push((whose.clone(), vec![report])),
            }
        }
    }
    if of_instances.is_empty() {
        let reason = if faults.is_empty() { "it holds no reports".to_owned() } else { faults.join("; ") };
        return Ok(vec![Brought::not(&item.name, reason)]);
    }
    if let (Some(device), true) = (device, of_instances.len() > 1) {
        let reason =
            format!("it holds reports of {} instances, so not all are of '{}'", of_instances.len(), device.name);
        return Ok(vec![Brought::not(&item.name, reason)]);
    }
    // A host name tells nothing of whose reports the others are.
    let host = host.filter(|_| of_instances.len() == 1);
    let mut all = Vec::new();
    for (udi, reports) in of_instances {
        all.push(keep_of(house, &item.name, udi, reports, device, host.as_deref())?);
    }
    if let Some(first) = all.first_mut() {
        first.problems.splice(0..0, faults);
    }
    Ok(all)
}

fn keep_of(
    house: &House,
    name: &str,
    udi: Udi,
    mut reports: Vec<RawReport>,
    device: Option<&Device>,
    host: Option<&str>,
) -> Result<Brought, Error> {
    let mut brought = Brought::of(name, Some(udi.clone()));
    // In the order of time, in which changes of use show.
    reports.sort_by_key(|report| report.facts.start());
    let mut facts: Vec<(Fact, Vec<u8>)> = Vec::new();
    let mut about = Vec::new();
    {
        let fleet = house.ledger.fleet();
        match binds(house, &fleet, &udi, device, host) {
            Ok(Some(device)) => {
                brought.bound = Some(device.name.clone());
                about.push(identified(house, &fleet, &udi, device, host, &reports));
            }
            Ok(None) => {}
            Err(reason) => return Ok(Brought { problems: vec![reason], ..brought }),
        }
        let known = fleet.resolve(&udi);
        brought.device = brought.bound.clone().or_else(|| known?.device.clone());
        let first_contact = known.is_none_or(|known| known.collected.is_empty());
        let last_ack = known.and_then(|known| last_ack(known.state.as_ref()?));
        let mut taken = std::collections::BTreeSet::new();
        for report in reports {
            let (chassis, id) = (report.facts.udi.clone(), report.facts.report_id);
            let here = known.is_some_and(|known| known.collected.contains(&chassis, id));
            if here || !taken.insert((chassis, id)) {
                match keep::conflict(house, known, &report) {
                    Some(conflict) => {
                        brought.conflicts.push(id);
                        facts.push((conflict, report.raw));
                    }
                    None => brought.known += 1,
                }
                continue;
            }
            brought.kept += 1;
            let before_ack = report.facts.end().zip(last_ack).is_some_and(|(end, ack)| end <= ack);
            let collected = ReportCollected {
                device: brought.device.clone(),
                object: Sha256::of(&report.raw),
                source: Source::Import,
                parser: READER_VERSION,
                presumed_acknowledged: first_contact && before_ack,
                report: report.facts,
                feature: None,
            };
            facts.push((Fact::ReportCollected(collected), report.raw));
        }
    }
    append(house, about, facts)?;
    Ok(brought)
}

/// Keeps them in bites that one append takes.
fn append(house: &House, about: Vec<Fact>, facts: Vec<(Fact, Vec<u8>)>) -> Result<(), Error> {
    let now = house.clock.now();
    let (mut bite, mut objects, mut bytes) = (about, Vec::new(), 0);
    for (fact, raw) in facts {
        if bite.len() >= REPORTS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            house.ledger.append(now, std::mem::take(&mut bite), std::mem::take(&mut objects))?;
            bytes = 0;
        }
        bytes += raw.len();
        bite.push(fact);
        objects.push(raw);
    }
    Ok(house.ledger.append(now, bite, objects)?)
}

/// The device that is this instance, where that is not known yet and can be said now.
fn binds<'h>(
    house: &'h House,
    fleet: &Fleet,
    udi: &Udi,
    device: Option<&'h Device>,
    host: Option<&str>,
) -> Result<Option<&'h Device>, String> {
    let instance = fleet.resolve(udi);
    let known_as = instance.and_then(|instance| instance.device.as_ref());
    let Some(device) = device else {
        if known_as.is_some() || instance.is_some_and(|instance| instance.retired.is_some()) {
            return Ok(None);
        }
        // Only where nobody can ask the device itself, and nothing speaks against it.
        let Some(host) = host else { return Ok(None) };
        let same = |device: &&Device| !device.within_reach() && device.name.0.eq_ignore_ascii_case(host);
        return Ok(house.config.inventory.iter().find(same).filter(|device| fleet.of_device(&device.name).is_none()));
    };
    if known_as == Some(&device.name) {
        return Ok(None);
    }
    if let Some(known_as) = known_as.filter(|known_as| house.device(known_as).is_some()) {
        return Err(format!("its reports are of {udi}, which is '{known_as}'"));
    }
    match fleet.of_device(&device.name) {
        Some(other) if other.retired.is_none() => Err(format!(
            "its reports are of {udi}, but '{}' is {}; `device retire` or `device replace` ends that one first",
            device.name, other.udi
        )),
        _ => Ok(Some(device)),
    }
}

fn identified(
    house: &House,
    fleet: &Fleet,
    udi: &Udi,
    device: &Device,
    host: Option<&str>,
    reports: &[RawReport],
) -> Fact {
    let known = fleet.resolve(udi);
    let members = || known.filter(|known| house.is_still(known, device)).map(|known| known.members.clone());
    let newest = reports.iter().max_by_key(|report| report.facts.report_id);
    let told = newest.map(|newest| &newest.facts.members).filter(|members| members.len() > 1);
    let software = newest.and_then(|newest| newest.facts.software_version.clone());
    Fact::DeviceIdentified(DeviceIdentified {
        device: device.name.clone(),
        site: device.site.clone(),
        udi: udi.clone(),
        uuid: known.and_then(|known| known.uuid.clone()),
        members: told.cloned().or_else(members).unwrap_or_default(),
        // What a file says of its product names no system.
        os: device.os.map(|os| os.word().to_owned()).unwrap_or_default(),
        software: software.or_else(|| known?.software.as_deref().map(str::to_owned)),
        hostname: host.map(str::to_owned).or_else(|| known?.hostname.clone()),
        clock_skew_seconds: known.and_then(|known| known.clock_skew_seconds),
    })
}

/// `hostname` in the system information of a saved file, as a public collector reads it.
fn host_name(info: &serde_json::Value) -> Option<String> {
    let host = info.get("hostname")?.as_str()?.trim();
    (!host.is_empty() && host.len() <= 255 && !host.chars().any(char::is_control)).then(|| host.to_owned())
}
