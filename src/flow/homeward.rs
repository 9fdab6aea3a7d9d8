//! Homeward: an answer is read, matched to its instance, and kept for delivery.
//!
//! Portal answers carry signatures that only the device can verify. Here structure, size and the
//! UDI or the name must match; the device verifies; what it says afterwards decides.

use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::domain::ack::{self, AnswerFile, Part};
use crate::domain::digest::Sha256;
use crate::domain::event::{AnswerQuarantined, AnswerReceived, Fact};
use crate::domain::fleet::{Answer, AnswerStatus, Fleet};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::ReportId;
use crate::exchange::answer;
use crate::exchange::archive::Limits;

/// What became of one answer file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The file, and the member inside it.
    pub name: String,
    pub object: Option<Sha256>,
    pub device: Option<DeviceName>,
    pub result: TakenAs,
    /// Reports that were sent with these and that the answer does not name: they are still owed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<ReportId>,
    /// What keeps it from being delivered now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TakenAs {
    /// Kept and due for delivery.
    Accepted,
    /// The same bytes came before.
    Known,
    /// Kept, but nobody knows whose it is.
    Quarantined(String),
    /// Not an answer at all; nothing is kept.
    Unreadable(String),
}

/// Takes one file that the portal gave: an archive, or a single answer. Blocks.
pub fn import(house: &House, name: &str, bytes: &[u8]) -> Result<Vec<Taken>, Error> {
    let unreadable = |name: &str, reason: String| Taken {
        name: name.to_owned(),
        object: None,
        device: None,
        result: TakenAs::Unreadable(reason),
        left_out: Vec::new(),
        waits_for: None,
    };
    let items = match answer::open(name, bytes, &Limits::default()) {
        Ok(items) => items,
        Err(error) => return Ok(vec![unreadable(name, error.to_string())]),
    };
    let mut all = Vec::new();
    for item in items {
        let file = match item.read {
            Ok(file) if file.problems.is_whole() => file,
            Ok(file) => {
                all.push(unreadable(&item.name, file.problems.sentences().join("; ")));
                continue;
            }
            Err(reason) => {
                all.push(unreadable(&item.name, reason));
                continue;
            }
        };
        let object = Sha256::of(&item.bytes);
        let (device, fact, left_out) = {
            let fleet = house.ledger.fleet();
            if let Some(known) = fleet.answers.get(&object).filter(|known| !needs_person(known)) {
                let device = known.udi.as_ref().and_then(|udi| fleet.resolve(udi)?.device.clone());
                let (name, object, result) = (item.name, Some(object), TakenAs::Known);
                all.push(Taken { name, object, device, result, left_out: Vec::new(), waits_for: None });
                continue;
            }
            match place(&fleet, &item.name, &file) {
                Ok(placed) => {
                    let device = fleet.resolve(&placed.udi).and_then(|instance| instance.device.clone());
                    let left_out = left_out(&fleet, &placed, &file);
                    (device, Fact::AnswerReceived(received(&item.name, object, &file, placed, None)), left_out)
                }
                Err(reason) => {
                    let name = item.name.clone();
                    (None, Fact::AnswerQuarantined(AnswerQuarantined { object, name, reason }), Vec::new())
                }
            }
        };
        let result = match &fact {
            Fact::AnswerQuarantined(fact) => TakenAs::Quarantined(fact.reason.clone()),
            _ => TakenAs::Accepted,
        };
        house.ledger.append(house.clock.now(), vec![fact], vec![item.bytes])?;
        all.push(Taken { name: item.name, object: Some(object), device, result, left_out, waits_for: None });
    }
    Ok(all)
}

/// A person says whose a quarantined answer is. Blocks.
pub fn assign(house: &House, object: Sha256, device: &DeviceName, note: &str) -> Result<(), Error> {
    let Some(bytes) = house.ledger.object(&object)? else {
        return Err(Error::Input(format!("no answer with the hash {object} is kept; see `ack list`")));
    };
    let file = ack::read(&bytes).map_err(|error| Error::Input(error.to_string()))?;
    let fact = {
        let fleet = house.ledger.fleet();
        let answer = fleet.answers.get(&object);
        let name = match answer {
            Some(answer) if needs_person(answer) => answer.name.clone(),
            Some(_) => return Err(Error::Input("this answer waits for nobody; see `ack list`".to_owned())),
            None => return Err(Error::Input(format!("no answer with the hash {object}; see `ack list`"))),
        };
        let Some(instance) = fleet.of_device(device) else {
            return Err(Error::Input(format!("no product instance is known for device '{device}'; poll it first")));
        };
        // The file's own word on whose it is cannot be overruled: the device would refuse it.
        let other = |inside: &&Udi| fleet.resolve(inside).is_none_or(|inside| inside.udi != instance.udi);
        if let Some(inside) = named_inside(&file).find(other) {
            return Err(Error::Input(format!("the answer names {inside}, but '{device}' is {}", instance.udi)));
        }
        let placed = Placed {
            udi: instance.udi.clone(),
            bundle_id: None,
            reports: acknowledged(&fleet, &instance.udi, None, &file),
        };
        Fact::AnswerReceived(received(&name, object, &file, placed, Some(note.to_owned())))
    };
    Ok(house.ledger.append(house.clock.now(), vec![fact], Vec::new())?)
}

/// Brought again, it starts anew: nothing goes on with it by itself.
fn needs_person(answer: &Answer) -> bool {
    match answer.status {
        AnswerStatus::Quarantined { .. }
        | AnswerStatus::Failed { .. }
        | AnswerStatus::Unconfirmed
        | AnswerStatus::AwaitingHandImport => true,
        AnswerStatus::AwaitingDelivery | AnswerStatus::Confirmed(_) => false,
    }
}

struct Placed {
    udi: Udi,
    bundle_id: Option<String>,
    reports: Vec<ReportId>,
}

fn received(name: &str, object: Sha256, file: &AnswerFile, placed: Placed, assigned: Option<String>) -> AnswerReceived {
    AnswerReceived {
        object,
        name: name.to_owned(),
        udi: placed.udi,
        parts: file.parts.iter().map(|part| part.as_str().to_owned()).collect(),
        bundle_id: placed.bundle_id,
        reports: placed.reports,
        assigned,
    }
}

/// Every instance that the file itself names.
fn named_inside(file: &AnswerFile) -> impl Iterator<Item = &Udi> {
    file.udis.iter().chain(file.acknowledgements.iter().filter_map(|ack| ack.udi.as_ref()))
}

/// Whose answer it is: by what is inside, by its name, and the two may not disagree.
fn place(fleet: &Fleet, name: &str, file: &AnswerFile) -> Result<Placed, String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let uploaded = base.strip_prefix("ACK_");
    let by_name = uploaded.and_then(|uploaded| {
        if let Some(submission) = uploaded.split_once('_').and_then(|(id, _)| fleet.submissions.get(id)) {
            let own = |udi: &&Udi| submission.upload_name(udi) == uploaded;
            let udi = submission.facts.reports.iter().map(|report| &report.udi).find(own);
            return Some((submission.facts.submission.clone(), udi.cloned()));
        }
        let bundles = fleet.bundles.values().filter(|bundle| bundle.facts.uploads.iter().any(|u| u.name == uploaded));
        let bundle = bundles.max_by_key(|bundle| bundle.made)?;
        let upload = bundle.facts.uploads.iter().find(|upload| upload.name == uploaded)?;
        Some((bundle.facts.bundle_id.clone(), upload.udi.clone()))
    });
    let named = by_name.as_ref().and_then(|(_, udi)| udi.clone());
    let mut inside = named_inside(file);
    let first = inside.next().cloned();
    if let Some(first) = &first {
        let same = |udi: &Udi| {
            udi == first || fleet.resolve(udi).is_some_and(|a| fleet.resolve(first).is_some_and(|b| a.udi == b.udi))
        };
        if let Some(other) = inside.find(|udi| !same(udi)) {
            return Err(format!("it names two instances, {first} and {other}"));
        }
        if let Some(named) = named.as_ref().filter(|named| !same(named)) {
            return Err(format!("its name belongs to {named}, but inside it names {first}"));
        }
    }
    let udi = first.or(named).ok_or_else(|| {
        "neither its content nor its name tells which instance it is for; `ack assign` places it".to_owned()
    })?;
    if fleet.resolve(&udi).is_none() {
        return Err(format!("it is for {udi}, which is no instance known here"));
    }
    let by_name = by_name.map(|(bundle_id, _)| bundle_id);
    let reports = acknowledged(fleet, &udi, by_name.as_deref(), file);
    let bundle_id = by_name.or_else(|| bundle_of(fleet, &udi, &reports));
    Ok(Placed { udi, bundle_id, reports })
}

/// Reports of the same bundle and instance that an answer with acknowledgements does not name, and that are still owed.
fn left_out(fleet: &Fleet, placed: &Placed, file: &AnswerFile) -> Vec<ReportId> {
    let sent = placed.bundle_id.as_ref().filter(|_| file.has(Part::RumAck)).map_or(&[][..], |id| fleet.sent(id));
    let owed = |id| fleet.resolve(&placed.udi).is_some_and(|instance| instance.owed(&placed.udi, id).is_some());
    let sent = sent.iter().filter(|sent| sent.udi == placed.udi);
    sent.map(|sent| sent.report_id).filter(|id| !placed.reports.contains(id) && owed(*id)).collect()
}

/// The newest bundle that holds one of these reports.
fn bundle_of(fleet: &Fleet, udi: &Udi, reports: &[ReportId]) -> Option<String> {
    let instance = fleet.resolve(udi)?;
    instance.owed.iter().filter(|owed| reports.contains(&owed.report_id)).find_map(|owed| owed.bundle.clone())
}

/// Which reports an answer acknowledges: those it names; where it names none readably, those of
/// this instance in the bundle that it answers.
fn acknowledged(fleet: &Fleet, udi: &Udi, bundle_id: Option<&str>, file: &AnswerFile) -> Vec<ReportId> {
    let mut reports: Vec<ReportId> = file
        .acknowledgements
        .iter()
        .filter(|ack| ack.udi.as_ref().is_none_or(|own| own == udi))
        .map(|ack| ack.report_id)
        .collect();
    if reports.is_empty() && file.has(Part::RumAck) && !file.acknowledges_none {
        let sent = bundle_id.map_or(&[][..], |id| fleet.sent(id));
        reports.extend(sent.iter().filter(|report| report.udi == *udi).map(|report| report.report_id));
    }
    reports.sort();
    reports.dedup();
    reports
}
