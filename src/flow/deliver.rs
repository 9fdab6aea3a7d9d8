//! The last stretch home: a kept answer is imported on its device, and the device read back.
//!
//! What an import answers proves nothing: success may be a lie, and a lost answer may hide one.
//! Only what the device shows afterwards counts.

use serde::{Deserialize, Serialize};

use super::keep::{self, Seen, last_ack};
use super::pace::refusal;
use super::poll::{learn, look};
use super::writing::Writings;
use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Proven, Session};
use crate::domain::ack;
use crate::domain::delivery;
use crate::domain::digest::Sha256;
use crate::domain::event::{AnswerDelivered, Fact, ImportForm, Learned, Outcome};
use crate::domain::fleet::{Answer, AnswerKey, AnswerStatus, Confirmation, Fleet};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::problem::with_causes;
use crate::domain::settings::Mode;
use crate::domain::state::ReportState;

/// How one delivery ended: one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    pub object: Sha256,
    pub name: String,
    pub device: DeviceName,
    pub outcome: Outcome,
}

/// Brings one kept answer to its device and reads back.
pub async fn deliver(house: &House, key: &AnswerKey) -> Result<Delivered, Error> {
    let object = key.object;
    let (answer, name) = {
        let fleet = house.ledger.fleet();
        let Some(answer) = fleet.answers.get(key).cloned() else {
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
    let _turn = house.turn(&name).await;
    let _first = house.first_login(device).await;
    // Not even an attempt: nothing is sent.
    let put_off = |cause: String| {
        let outcome = Outcome::Failed { cause, again: true };
        Ok(Delivered { object, name: answer.name.clone(), device: name.clone(), outcome })
    };
    if let Some(reason) = house.hold(device) {
        return put_off(reason);
    }
    let settled = house.ledger.fleet().answers.get(key).map(|answer| answer.status.clone());
    if let Some(AnswerStatus::Confirmed(confirmation)) = settled {
        // Somebody else delivered it while we waited for our turn.
        let outcome = match confirmation {
            Confirmation::ById => Outcome::ConfirmedById,
            Confirmation::ByTime => Outcome::ConfirmedByTime,
            Confirmation::ByPerson => {
                return Err(Error::Input(format!("'{}' is installed by a person's word; see `ack list`", answer.name)));
            }
        };
        return Ok(Delivered { object, name: answer.name, device: name, outcome });
    }
    let outside = || delivery::outside_window(house.watched(&name)?, house.clock.now());
    if let Some(window) = outside() {
        return put_off(format!("waits for {window}"));
    }
    let _passage = match house.passage(device, false).await {
        Ok(passage) => passage,
        Err(open) => return put_off(refusal(device, open)),
    };
    let lost = |cause: String| device::Error::Ours { step: "read the kept answer", cause };
    let bytes = match house.ledger.object(&object) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(lost("its bytes are gone from the ledger".to_owned())),
        Err(error) => Err(lost(with_causes(&error))),
    };
    let (mut proven, intact) = (Proven::default(), bytes.is_ok());
    let opened = match bytes {
        Ok(bytes) => house.session(device).await.map(|session| (session, bytes)),
        Err(error) => Err(error),
    };
    let ended = match opened {
        Err(error) => Err(error),
        Ok((mut session, bytes)) => {
            let limit = house.config.poll.device_timeout;
            let mut writings = Writings::of(house, device);
            let talk = talk(house, device, &answer, &bytes, &mut session, &mut writings);
            let ended = tokio::time::timeout(limit, talk).await;
            proven = session.proven();
            session.close().await;
            match ended {
                Ok(ended) => ended?,
                Err(_) => Err(device::Error::Unreachable {
                    step: "deliver",
                    address: device.host(),
                    cause: format!("the whole delivery took longer than {limit:?}"),
                }),
            }
        }
    };
    house.passed(device, &proven, ended.as_ref().err());
    let now = house.clock.now();
    let mut facts = house.contact_facts(device, proven, ended.as_ref().err());
    let outcome = match ended {
        Ok(outcome) => outcome,
        Err(error) => failed(&error, intact),
    };
    let (device, udi) = (name.clone(), key.udi.clone());
    let delivered = AnswerDelivered { object, device, udi, outcome: outcome.clone(), found: false };
    facts.push(Fact::AnswerDelivered(delivered));
    house.ledger.append_async(now, facts, Vec::new()).await?;
    Ok(Delivered { object, name: answer.name, device: name, outcome })
}

/// Only what the device itself refused for good, or what is lost, needs a person with the file.
pub(super) fn failed(error: &device::Error, intact: bool) -> Outcome {
    let for_good = !intact || matches!(error, device::Error::Failed { .. }) && !error.is_transient();
    Outcome::Failed { cause: error.to_string(), again: !for_good }
}

/// The dialogue of a delivery: who is it, hand over in each form, read back after each.
pub(super) async fn talk<S: Session>(
    house: &House,
    device: &Device,
    answer: &Answer,
    bytes: &[u8],
    session: &mut S,
    writings: &mut Writings<'_>,
) -> Result<Result<Outcome, device::Error>, Error> {
    let before = match look(house, session).await {
        Ok(seen) => seen,
        Err(error) => return Ok(Err(error)),
    };
    house.logged_in(device);
    let identity = &before.identity;
    let udi = answer.udi.clone().expect("a placed answer has a UDI");
    {
        let fleet = house.ledger.fleet();
        let expected = fleet.resolve(&udi).map(|instance| instance.udi.clone());
        if let Some(identity) = identity
            && fleet.resolve(&identity.udi).map(|instance| instance.udi.clone()) != expected
        {
            return Ok(Err(device::Error::Misbehaved {
                step: "identify",
                expected: "the instance that the answer is for",
                got: identity.udi.to_string(),
            }));
        }
    }
    if all_acknowledged(answer, &before) {
        // Somebody, or an earlier attempt of ours, was quicker.
        note(house, &udi, &before).await?;
        return Ok(Ok(Outcome::ConfirmedById));
    }
    let mut taken = false;
    let mut refusal = None;
    let forms = if session.reach().by_file { vec![ImportForm::File] } else { forms(house, device) };
    for form in forms {
        writings.about(&answer.name);
        let imported = session.import(bytes, &form, writings).await;
        let imported = writings.settle(imported)?;
        let mut lost = None;
        match imported {
            Ok(()) => taken = true,
            // The next form may be the one this release takes; a closed door is no form.
            Err(
                error @ (device::Error::Failed { .. }
                | device::Error::Misbehaved { .. }
                | device::Error::Declined { .. }
                | device::Error::CommandRefused { .. }),
            ) => {
                refusal = Some(error);
                continue;
            }
            // A lost answer proves as little as a success: the device may have taken the file.
            Err(error @ device::Error::Unreachable { .. }) => lost = Some(error),
            // Nothing carries a file there: a person does.
            Err(device::Error::NoWayForFiles { .. }) => return Ok(Ok(Outcome::AwaitingHandImport)),
            Err(error) => return Ok(Err(error)),
        }
        match (read_back(house, &udi, answer, bytes, &before, session).await?, lost) {
            (Ok(Some(outcome)), _) => {
                let software = before.identity.and_then(|identity| identity.software);
                let learned = learned(house, device, session.learned(), form);
                learn(house, device, software, learned).await?;
                return Ok(Ok(outcome));
            }
            (_, Some(error)) | (Err(error), None) => return Ok(Err(error)),
            // Where nothing could show a change, another form would prove no more.
            (Ok(None), None) if answer.reports.is_empty() => break,
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
        .filter(|known| known.learned_on.as_deref() == software.as_deref())
        .and_then(|known| known.learned.import_form.clone())
        .or_else(|| sibling_form(&fleet, software.as_deref()));
    let mut forms: Vec<ImportForm> = learned.into_iter().collect();
    for form in &house.config.delivery.import_forms {
        if !forms.contains(form) {
            forms.push(form.clone());
        }
    }
    forms
}

/// What worked on another device of the same software.
fn sibling_form(fleet: &Fleet, software: Option<&str>) -> Option<ImportForm> {
    let software = software?;
    let same = fleet.devices.values().filter(|known| known.learned_on.as_deref() == Some(software));
    same.filter_map(|known| known.learned.import_form.clone()).next()
}

/// Reads state and list again. `None`: the device shows no change.
async fn read_back<S: Session>(
    house: &House,
    udi: &Udi,
    answer: &Answer,
    bytes: &[u8],
    before: &Seen,
    session: &mut S,
) -> Result<Result<Option<Outcome>, device::Error>, Error> {
    let after = match look(house, session).await {
        Ok(seen) => seen,
        Err(error) => return Ok(Err(error)),
    };
    note(house, udi, &after).await?;
    if all_acknowledged(answer, &after) {
        return Ok(Ok(Some(Outcome::ConfirmedById)));
    }
    // A time proves nothing against the device's own word on a report.
    let denied = answer.reports.iter().any(|id| match after.listed.get(id) {
        Some(Some(state)) => *state != ReportState::Acknowledged,
        Some(None) | None => false,
    });
    let moved = match (last_ack(&before.state), last_ack(&after.state)) {
        (before, Some(after)) => before.is_none_or(|before| after > before),
        (_, None) => false,
    };
    let in_force = answer.reports.is_empty() && carries_policy_of(bytes, &after);
    Ok(Ok(((moved && !denied) || in_force).then_some(Outcome::ConfirmedByTime)))
}

/// Does the device list every report that the answer acknowledges as acknowledged?
pub(super) fn all_acknowledged(answer: &Answer, seen: &Seen) -> bool {
    !answer.reports.is_empty()
        && answer.reports.iter().all(|id| seen.listed.get(id) == Some(&Some(ReportState::Acknowledged)))
}

/// Is the policy in the file the one in use?
fn carries_policy_of(bytes: &[u8], seen: &Seen) -> bool {
    let carried = ack::read(bytes).ok().and_then(|file| file.policy).and_then(|policy| policy.name);
    let in_use = seen.state.policy.as_ref().and_then(|policy| policy.name.as_ref());
    carried.is_some() && carried.as_ref() == in_use
}

/// Keeps what was read back, as far as it is news.
async fn note(house: &House, udi: &Udi, seen: &Seen) -> Result<(), Error> {
    let facts: Vec<Fact> = {
        let fleet = house.ledger.fleet();
        let instance = fleet.resolve(udi);
        let told = seen.state.udi.is_some().then(|| keep::state(instance, udi, seen)).flatten();
        told.into_iter().chain(keep::states(instance, udi, &seen.listed)).collect()
    };
    if facts.is_empty() {
        return Ok(());
    }
    Ok(house.ledger.append_async(house.clock.now(), facts, Vec::new()).await?)
}

/// What the session learnt, and the form in which the device takes answers.
fn learned(house: &House, device: &Device, learned: Learned, form: ImportForm) -> Learned {
    let fleet = house.ledger.fleet();
    let known = fleet.devices.get(&device.name).map(|known| known.learned.clone()).unwrap_or_default();
    // A set access learns nothing of accesses: what was known of them stays.
    let access = learned.access.or(known.access);
    match form {
        ImportForm::File => Learned { access, import_form: known.import_form, ..learned },
        form => Learned { access, import_form: Some(form), ..learned },
    }
}
