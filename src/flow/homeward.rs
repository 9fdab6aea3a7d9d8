//! Homeward: an answer is read, matched to its instance, kept, delivered, and read back.
//!
//! Portal answers carry signatures that only the device can verify. Here structure, size and the
//! UDI or the name must match; the device verifies; what it says afterwards decides.

use serde::{Deserialize, Serialize};

use super::poll::{last_ack, merge, states, written};
use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Session};
use crate::domain::ack::{self, AnswerFile, Part};
use crate::domain::digest::Sha256;
use crate::domain::event::{
    AccessLearned, AnswerDelivered, AnswerQuarantined, AnswerReceived, Fact, ImportForm, Outcome, StateRead, Write,
};
use crate::domain::fleet::{Answer, AnswerStatus, Confirmation, Fleet};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::ReportId;
use crate::domain::settings::Mode;
use crate::domain::state::{DeviceState, ReportState};
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
            if let Some(known) = fleet.answers.get(&object) {
                let device = known.udi.as_ref().and_then(|udi| fleet.resolve(udi)?.device.clone());
                let (name, object, result) = (item.name, Some(object), TakenAs::Known);
                all.push(Taken { name, object, device, result, left_out: Vec::new() });
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
        all.push(Taken { name: item.name, object: Some(object), device, result, left_out });
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
            Some(Answer { status: AnswerStatus::Quarantined { .. }, name, .. }) => name.clone(),
            Some(_) => return Err(Error::Input("this answer is not in quarantine; see `ack list`".to_owned())),
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
    let bundle = placed.bundle_id.as_ref().and_then(|id| fleet.bundles.get(id)).filter(|_| file.has(Part::RumAck));
    let owed = |id| fleet.resolve(&placed.udi).is_some_and(|instance| instance.owed(&placed.udi, id).is_some());
    let sent = bundle.into_iter().flat_map(|bundle| &bundle.facts.reports).filter(|sent| sent.udi == placed.udi);
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
        let bundled = bundle_id.and_then(|id| fleet.bundles.get(id));
        let of_bundle = bundled.into_iter().flat_map(|bundle| &bundle.facts.reports);
        reports.extend(of_bundle.filter(|report| report.udi == *udi).map(|report| report.report_id));
    }
    reports.sort();
    reports.dedup();
    reports
}

/// How one delivery ended: one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    pub object: Sha256,
    pub name: String,
    pub device: DeviceName,
    pub outcome: Outcome,
}

/// Brings one kept answer to its device and reads back.
pub async fn deliver(house: &House, object: Sha256) -> Result<Delivered, Error> {
    let (answer, name) = {
        let fleet = house.ledger.fleet();
        let Some(answer) = fleet.answers.get(&object).cloned() else {
            return Err(Error::Input(format!("no answer with the hash {object}; see `ack list`")));
        };
        let name = answer.udi.as_ref().and_then(|udi| fleet.resolve(udi)?.device.clone());
        let Some(name) = name else {
            return Err(Error::Input(format!("'{}' belongs to no device of the inventory", answer.name)));
        };
        (answer, name)
    };
    let Some(device) = house.device(&name) else {
        return Err(Error::Input(format!("device '{name}' is not in the inventory any more")));
    };
    if device.mode != Mode::Deliver {
        return Err(Error::Input(format!("mode of '{name}' is {}, which does not allow imports", device.mode)));
    }
    let Some(bytes) = house.ledger.object(&object)? else {
        return Err(Error::Input(format!("the bytes of '{}' are gone from the ledger", answer.name)));
    };
    let _turn = house.turn(&name).await;
    let settled = house.ledger.fleet().answers.get(&object).map(|answer| answer.status.clone());
    if let Some(AnswerStatus::Confirmed(confirmation)) = settled {
        // Somebody else delivered it while we waited for our turn.
        let outcome = match confirmation {
            Confirmation::ById => Outcome::ConfirmedById,
            Confirmation::ByTime => Outcome::ConfirmedByTime,
        };
        return Ok(Delivered { object, name: answer.name, device: name, outcome });
    }
    let mut shown = None;
    let ended = match house.session(device).await {
        Err(error) => Err(error),
        Ok(mut session) => {
            let limit = house.config.poll.device_timeout;
            let talk = talk(house, device, &answer, &bytes, &mut session);
            let ended = tokio::time::timeout(limit, talk).await;
            shown = session.shown();
            match ended {
                Ok(ended) => ended?,
                Err(_) => Err(device::Error::Unreachable {
                    step: "deliver",
                    address: device.authority().unwrap_or_default(),
                    cause: format!("the whole delivery took longer than {limit:?}"),
                }),
            }
        }
    };
    let now = house.clock.now();
    let mut facts = house.contact_facts(device, shown, ended.as_ref().err());
    let outcome = match ended {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed { cause: error.to_string(), again: error.is_transient() },
    };
    let delivered = AnswerDelivered { object, device: name.clone(), outcome: outcome.clone() };
    facts.push(Fact::AnswerDelivered(delivered));
    house.ledger.append_async(now, facts, Vec::new()).await?;
    Ok(Delivered { object, name: answer.name, device: name, outcome })
}

/// The dialogue of a delivery: who is it, hand over in each form, read back after each.
async fn talk<S: Session>(
    house: &House,
    device: &Device,
    answer: &Answer,
    bytes: &[u8],
    session: &mut S,
) -> Result<Result<Outcome, device::Error>, Error> {
    let (identity, before) = match session.state().await {
        Ok(told) => told,
        Err(error) => return Ok(Err(error)),
    };
    let udi = answer.udi.clone().expect("a placed answer has a UDI");
    {
        let fleet = house.ledger.fleet();
        let expected = fleet.resolve(&udi).map(|instance| instance.udi.clone());
        if let Some(identity) = &identity
            && fleet.resolve(&identity.udi).map(|instance| instance.udi.clone()) != expected
        {
            return Ok(Err(device::Error::Misbehaved {
                step: "identify",
                expected: "the instance that the answer is for",
                got: identity.udi.to_string(),
            }));
        }
    }
    let mut taken = false;
    let mut refusal = None;
    for form in forms(house, device) {
        let imported = session.import(bytes, &form).await;
        let detail = format!("{} as {}", answer.name, form_name(&form));
        written(house, device, Write::ImportFile, detail, &imported).await?;
        let mut lost = None;
        match imported {
            Ok(()) => taken = true,
            // The next form may be the one this release takes; a closed door is no form.
            Err(error @ (device::Error::Failed { .. } | device::Error::Misbehaved { .. })) => {
                refusal = Some(error);
                continue;
            }
            // A lost answer proves as little as a success: the device may have taken the file.
            Err(error @ device::Error::Unreachable { .. }) => lost = Some(error),
            Err(error) => return Ok(Err(error)),
        }
        match (read_back(house, &udi, answer, &before, session).await?, lost) {
            (Ok(Some(outcome)), _) => {
                let software = identity.and_then(|identity| identity.software);
                learn(house, device, software, form).await?;
                return Ok(Ok(outcome));
            }
            (_, Some(error)) | (Err(error), None) => return Ok(Err(error)),
            (Ok(None), None) => {}
        }
    }
    match refusal {
        Some(error) if !taken => Ok(Err(error)),
        _ => Ok(Ok(Outcome::Unconfirmed)),
    }
}

/// The form that worked on this device and software first, then the configured order.
fn forms(house: &House, device: &Device) -> Vec<ImportForm> {
    let fleet = house.ledger.fleet();
    let known = fleet.devices.get(&device.name);
    let software = fleet.of_device(&device.name).and_then(|instance| instance.software.clone());
    let learned = known
        .filter(|known| known.import_form_software == software)
        .and_then(|known| known.import_form.clone())
        .or_else(|| sibling_form(&fleet, software.as_ref()));
    let mut forms: Vec<ImportForm> = learned.into_iter().collect();
    for form in &house.config.delivery.import_forms {
        if !forms.contains(form) {
            forms.push(form.clone());
        }
    }
    forms
}

/// What worked on another device of the same software.
fn sibling_form(fleet: &Fleet, software: Option<&String>) -> Option<ImportForm> {
    let software = software?;
    let same = fleet.devices.values().filter(|known| known.import_form_software.as_ref() == Some(software));
    same.filter_map(|known| known.import_form.clone()).next()
}

fn form_name(form: &ImportForm) -> String {
    match form {
        ImportForm::Raw => "raw".to_owned(),
        ImportForm::Base64 => "base64".to_owned(),
        ImportForm::Json(key) => format!("json:{key}"),
    }
}

/// Reads state and list again. `None`: the device shows no change.
async fn read_back<S: Session>(
    house: &House,
    udi: &Udi,
    answer: &Answer,
    before: &DeviceState,
    session: &mut S,
) -> Result<Result<Option<Outcome>, device::Error>, Error> {
    let (_, after) = match session.state().await {
        Ok(told) => told,
        Err(error) => return Ok(Err(error)),
    };
    let listed = match session.list().await {
        Ok(listed) => listed,
        Err(error) => return Ok(Err(error)),
    };
    let merged = merge(listed, &after.rum_ids);
    let by_id = !answer.reports.is_empty()
        && answer.reports.iter().all(|id| merged.get(id) == Some(&Some(ReportState::Acknowledged)));
    // A time proves nothing against the device's own word on a report.
    let denied = answer.reports.iter().any(|id| match merged.get(id) {
        Some(Some(state)) => *state != ReportState::Acknowledged,
        Some(None) | None => false,
    });
    let moved = !denied && last_ack(&after).is_some_and(|after| last_ack(before).is_none_or(|before| after > before));
    let mut facts = Vec::new();
    {
        let fleet = house.ledger.fleet();
        let instance = fleet.resolve(udi);
        let state = DeviceState { rum_ids: Vec::new(), ..after };
        if instance.and_then(|instance| instance.state.as_ref()) != Some(&state) {
            facts.push(Fact::StateRead(StateRead { udi: udi.clone(), state: Box::new(state) }));
        }
        facts.extend(states(instance, udi, &merged));
    }
    if !facts.is_empty() {
        house.ledger.append_async(house.clock.now(), facts, Vec::new()).await?;
    }
    Ok(Ok(match (by_id, moved) {
        (true, _) => Some(Outcome::ConfirmedById),
        (false, true) => Some(Outcome::ConfirmedByTime),
        (false, false) => None,
    }))
}

async fn learn(house: &House, device: &Device, software: Option<String>, form: ImportForm) -> Result<(), Error> {
    {
        let fleet = house.ledger.fleet();
        let known = fleet.devices.get(&device.name);
        if known.is_some_and(|k| k.import_form.as_ref() == Some(&form) && k.import_form_software == software) {
            return Ok(());
        }
    }
    let fact = Fact::AccessLearned(AccessLearned { device: device.name.clone(), software, import_form: form });
    Ok(house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?)
}
