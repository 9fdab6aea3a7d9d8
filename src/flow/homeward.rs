//! Homeward: an answer is read, matched to its instance, and kept for delivery.
//!
//! Portal answers carry signatures that only the device can verify. Here structure, size and the
//! UDI or the name must match; the device verifies; what it says afterwards decides.

mod sent;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use self::sent::Sent;
use super::keep::{BYTES_AT_ONCE, REPORTS_AT_ONCE};
use super::{Error, House};
use crate::domain::ack::{self, AnswerFile, Part};
use crate::domain::digest::Sha256;
use crate::domain::event::{AnswerQuarantined, AnswerReceived, Fact};
use crate::domain::fleet::{AnswerKey, Fleet, Instance};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::problem::with_causes;
use crate::domain::report::ReportId;
use crate::exchange::answer::{self, AnswerItem};
use crate::exchange::archive::Limits;
use crate::ledger;

/// What became of one answer file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The file, and the member inside it.
    pub name: String,
    pub object: Option<Sha256>,
    /// Whose it is, as it was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udi: Option<Udi>,
    pub device: Option<DeviceName>,
    pub result: TakenAs,
    /// Reports that were sent with these and that the answer does not name: they are still owed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<ReportId>,
    /// Reports that it names and of which the bytes never came here, so that they did not leave from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_here: Vec<ReportId>,
    /// What keeps it from being delivered now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl Taken {
    /// Nothing is kept of it.
    fn not(name: &str, reason: String) -> Self {
        Taken {
            name: name.to_owned(),
            object: None,
            udi: None,
            device: None,
            result: TakenAs::Unreadable(reason),
            left_out: Vec::new(),
            never_here: Vec::new(),
            waits_for: None,
        }
    }

    fn of(fleet: &Fleet, name: &str, object: Sha256, udi: Option<&Udi>, result: TakenAs) -> Self {
        let device = udi.and_then(|udi| fleet.resolve(udi)?.device.clone());
        Taken { object: Some(object), udi: udi.cloned(), device, result, ..Taken::not(name, String::new()) }
    }

    /// The kept answer, where somebody is to get it.
    pub fn key(&self) -> Option<AnswerKey> {
        Some(AnswerKey { udi: Some(self.udi.clone()?), object: self.object? })
    }
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

/// Takes files that the portal gave, archives or single answers, each with its name. Blocks.
pub fn import(house: &House, files: Vec<(String, Vec<u8>)>) -> Result<Vec<Taken>, Error> {
    let (mut all, mut open) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        match answer::open(&name, &bytes, &Limits::default()) {
            Ok(items) => open.extend(items),
            Err(error) => {
                all.extend(take(house, std::mem::take(&mut open))?);
                all.push(Taken::not(&name, error.to_string()));
            }
        }
    }
    all.extend(take(house, open)?);
    Ok(all)
}

/// Takes files out of what the portal gave, in their order, as many in one append as go into one. More than one line comes
/// of a file where a person said that it is for several devices.
pub(super) fn take(house: &House, items: Vec<AnswerItem>) -> Result<Vec<Taken>, Error> {
    let mut items = items.into_iter().peekable();
    let mut all = Vec::new();
    while items.peek().is_some() {
        let (mut bite, mut taken) = (Bite::default(), Vec::new());
        {
            let fleet = house.ledger.fleet();
            let mut sent = Sent::new(&fleet);
            while let Some(item) = items.next_if(|item| bite.has_room(item)) {
                taken.extend(bite.take(&fleet, &mut sent, item));
            }
        }
        let one = bite.objects.len() == 1;
        match house.ledger.append(house.clock.now(), bite.facts, bite.objects) {
            Ok(()) => all.extend(taken),
            // Alone it is too large as well: the others are not to suffer.
            Err(error @ ledger::Error::TooLarge { .. }) if one => {
                all.extend(taken.iter().map(|taken| Taken::not(&taken.name, with_causes(&error))));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// What goes into the ledger together.
#[derive(Default)]
struct Bite {
    facts: Vec<Fact>,
    objects: Vec<Vec<u8>>,
    weight: usize,
    seen: HashSet<Sha256>,
}

impl Bite {
    /// What comes again is judged when the fold knows of the first, and what is large stands alone.
    fn has_room(&self, item: &AnswerItem) -> bool {
        let room = self.facts.len() < REPORTS_AT_ONCE && self.weight + weight(item) <= BYTES_AT_ONCE;
        self.seen.is_empty() || room && !self.seen.contains(&Sha256::of(&item.bytes))
    }

    fn take(&mut self, fleet: &Fleet, sent: &mut Sent<'_>, item: AnswerItem) -> Vec<Taken> {
        self.weight += weight(&item);
        let AnswerItem { name, bytes, read, .. } = item;
        let file = match read {
            Ok(file) if file.problems.is_whole() => file,
            Ok(file) => return vec![Taken::not(&name, file.problems.sentences().join("; "))],
            Err(reason) => return vec![Taken::not(&name, reason)],
        };
        let object = Sha256::of(&bytes);
        self.seen.insert(object);
        let (facts, taken) = match place(fleet, sent, &name, &file) {
            Ok(placed) => placed_one(fleet, sent, &name, object, &file, placed),
            Err(reason) => unplaced(fleet, &name, object, reason),
        };
        if !facts.is_empty() {
            self.facts.extend(facts);
            self.objects.push(bytes);
        }
        taken
    }
}

/// Bytes that it takes in an append at most, about: itself, and what the facts say of it, escaped.
fn weight(item: &AnswerItem) -> usize {
    let reports = item.read.as_ref().map_or(0, |file| file.acknowledgements.len());
    item.bytes.len() + 6 * item.name.len() + 24 * reports
}

fn placed_one(
    fleet: &Fleet,
    sent: &mut Sent<'_>,
    name: &str,
    object: Sha256,
    file: &AnswerFile,
    placed: Placed,
) -> (Vec<Fact>, Vec<Taken>) {
    let instance = fleet.resolve(&placed.udi);
    let known = instance.and_then(|instance| fleet.answer_for(instance, object));
    let mut taken = Taken::of(fleet, name, object, Some(&placed.udi), TakenAs::Known);
    if let Some((key, _)) = known.filter(|(_, known)| !known.needs_person()) {
        taken.udi = key.udi.clone();
        return (Vec::new(), vec![taken]);
    }
    // It goes on where it stood, under the name of its chassis that it came for first.
    let udi = known.and_then(|(key, _)| key.udi.clone()).unwrap_or_else(|| placed.udi.clone());
    taken.udi = Some(udi.clone());
    taken.result = TakenAs::Accepted;
    taken.left_out = left_out(fleet, sent, &placed, file);
    taken.never_here = never_here(instance, &placed, file);
    let fact = received(name, object, file, Placed { udi, ..placed }, None);
    (vec![Fact::AnswerReceived(fact)], vec![taken])
}

/// Nothing in the file tells whose it is; what a person said of the same bytes before still holds.
fn unplaced(fleet: &Fleet, name: &str, object: Sha256, reason: String) -> (Vec<Fact>, Vec<Taken>) {
    let (mut facts, mut all) = (Vec::new(), Vec::new());
    for (key, known) in fleet.same_file(object) {
        let Some(udi) = &key.udi else { continue };
        let mut taken = Taken::of(fleet, name, object, Some(udi), TakenAs::Known);
        if known.needs_person() {
            taken.result = TakenAs::Accepted;
            facts.push(Fact::AnswerReceived(AnswerReceived {
                object,
                name: known.name.clone(),
                udi: udi.clone(),
                parts: known.parts.clone(),
                bundle_id: known.bundle_id.clone(),
                reports: known.reports.clone(),
                assigned: known.assigned.clone(),
                licences: Vec::new(),
            }));
        }
        all.push(taken);
    }
    if all.is_empty() {
        all.push(Taken::of(fleet, name, object, None, TakenAs::Quarantined(reason.clone())));
        if !fleet.answers.contains_key(&AnswerKey { udi: None, object }) {
            facts.push(Fact::AnswerQuarantined(AnswerQuarantined { object, name: name.to_owned(), reason }));
        }
    }
    (facts, all)
}

/// A person says whose a kept answer is: of one device, or of several that are to get the same bytes. Blocks.
pub fn assign(house: &House, object: Sha256, devices: &[DeviceName], note: &str) -> Result<Vec<AnswerKey>, Error> {
    let Some(bytes) = house.ledger.object(&object)? else {
        return Err(Error::Input(format!("no answer with the hash {object} is kept; see `ack list`")));
    };
    let file = ack::read(&bytes).map_err(|error| Error::Input(error.to_string()))?;
    let mut facts: Vec<AnswerReceived> = Vec::new();
    {
        let fleet = house.ledger.fleet();
        let mut sent = Sent::new(&fleet);
        let Some((_, known)) = fleet.same_file(object).next() else {
            return Err(Error::Input(format!("no answer with the hash {object}; see `ack list`")));
        };
        for device in devices {
            let Some(instance) = fleet.of_device(device) else {
                let hint = "poll it first, or bring its reports with `report import --device`";
                return Err(Error::Input(format!("no product instance is known for device '{device}'; {hint}")));
            };
            // The file's own word on whose it is cannot be overruled: the device would refuse it. Of several it is for each.
            let own = |inside: &Udi| fleet.resolve(inside).is_some_and(|inside| inside.udi == instance.udi);
            if let Some(inside) = named_inside(&file).next().filter(|_| !named_inside(&file).any(own)) {
                return Err(Error::Input(format!("the answer names {inside}, but '{device}' is {}", instance.udi)));
            }
            let before = fleet.answer_for(instance, object);
            if before.is_some_and(|(_, before)| !before.needs_person()) {
                return Err(Error::Input(format!("this answer of '{device}' waits for nobody; see `ack list`")));
            }
            let udi = before.and_then(|(key, _)| key.udi.clone()).unwrap_or_else(|| instance.udi.clone());
            if facts.iter().any(|fact| fact.udi == udi) {
                continue;
            }
            let placed = Placed { reports: acknowledged(&mut sent, &udi, None, &file), udi, bundle_id: None };
            facts.push(received(&known.name, object, &file, placed, Some(note.to_owned())));
        }
    }
    let keys = facts.iter().map(|fact| AnswerKey { udi: Some(fact.udi.clone()), object }).collect();
    let facts = facts.into_iter().map(Fact::AnswerReceived).collect();
    house.ledger.append(house.clock.now(), facts, Vec::new())?;
    Ok(keys)
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
        licences: file.licences.clone(),
    }
}

/// Every instance that the file itself names.
fn named_inside(file: &AnswerFile) -> impl Iterator<Item = &Udi> {
    file.udis.iter().chain(file.acknowledgements.iter().filter_map(|ack| ack.udi.as_ref()))
}

/// Whose answer it is: by what is inside, by its name, and the two may not disagree.
fn place(fleet: &Fleet, sent: &mut Sent<'_>, name: &str, file: &AnswerFile) -> Result<Placed, String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let uploaded = base.strip_prefix("ACK_").map(without_count);
    let by_name = uploaded.as_deref().and_then(|uploaded| sent.upload(uploaded));
    let named = by_name.and_then(|(_, udi)| udi.cloned());
    let mut inside = named_inside(file);
    let first = inside.next().cloned();
    if let Some(first) = &first {
        let same = |udi: &Udi| {
            udi == first || fleet.resolve(udi).is_some_and(|a| fleet.resolve(first).is_some_and(|b| a.udi == b.udi))
        };
        if let Some(other) = inside.find(|udi| !same(udi)) {
            return Err(format!(
                "it names two instances, {first} and {other}; `ack assign` places it with one or both"
            ));
        }
        if let Some(named) = named.as_ref().filter(|named| !same(named)) {
            return Err(format!(
                "its name belongs to {named}, but inside it names {first}; `ack assign` places it with the latter"
            ));
        }
    }
    let udi = first.or(named).or_else(|| by_ids(fleet, file)).ok_or_else(|| {
        "neither its content nor its name tells which instance it is for; `ack assign` places it".to_owned()
    })?;
    if fleet.resolve(&udi).is_none() {
        return Err(format!(
            "it is for {udi}, which is no instance known here; once that is polled, import it again or `ack assign` it"
        ));
    }
    let by_name = by_name.map(|(bundle_id, _)| bundle_id);
    let reports = acknowledged(sent, &udi, by_name, file);
    let bundle_id = by_name.map(str::to_owned).or_else(|| bundle_of(fleet, &udi, &reports));
    Ok(Placed { udi, bundle_id, reports })
}

/// `x (1).txt` is `x.txt` of which a browser had one already: no name that leaves from here has a bracket.
fn without_count(name: &str) -> String {
    let counted = |rest: &str| {
        let (count, ending) = rest.split_once(')')?;
        let is_count = (1..=3).contains(&count.len()) && count.bytes().all(|byte| byte.is_ascii_digit());
        (is_count && (ending.is_empty() || ending.starts_with('.'))).then(|| ending.to_owned())
    };
    match name.rsplit_once('(').and_then(|(head, rest)| Some((head, counted(rest)?))) {
        Some((head, ending)) => format!("{}{ending}", head.trim_end()),
        None => name.to_owned(),
    }
}

/// The one instance that sent all reports which the file names. Ids are unique to an instance only, so that with two
/// of them nothing is proven.
fn by_ids(fleet: &Fleet, file: &AnswerFile) -> Option<Udi> {
    if file.acknowledgements.is_empty() {
        return None;
    }
    let sent = |udi: &&Udi| {
        let collected = fleet.resolve(udi).and_then(|instance| instance.collected.of(udi));
        collected.is_some_and(|ids| file.acknowledgements.iter().all(|ack| ids.contains(ack.report_id)))
    };
    let mut found = fleet.instances.values().flat_map(|instance| instance.chassis()).filter(sent);
    match (found.next(), found.next()) {
        (Some(udi), None) => Some(udi.clone()),
        (_, Some(_)) | (None, None) => None,
    }
}

/// Reports that the file names for this instance and that never came here.
fn never_here(instance: Option<&Instance>, placed: &Placed, file: &AnswerFile) -> Vec<ReportId> {
    let named = |id: &ReportId| file.acknowledgements.iter().any(|ack| ack.report_id == *id);
    let seen = |id: ReportId| instance.is_some_and(|instance| instance.has_seen(id));
    placed.reports.iter().copied().filter(|id| named(id) && !seen(*id)).collect()
}

/// Reports of the same bundle and instance that an answer with acknowledgements does not name, and that are still owed.
fn left_out(fleet: &Fleet, sent: &mut Sent<'_>, placed: &Placed, file: &AnswerFile) -> Vec<ReportId> {
    let bundle_id = placed.bundle_id.as_ref().filter(|_| file.has(Part::RumAck));
    let sent = bundle_id.map_or(&[][..], |id| sent.reports(id, &placed.udi));
    let owed = |id| fleet.resolve(&placed.udi).is_some_and(|instance| instance.owed(&placed.udi, id).is_some());
    sent.iter().copied().filter(|id| !placed.reports.contains(id) && owed(*id)).collect()
}

/// The newest bundle that holds one of these reports.
fn bundle_of(fleet: &Fleet, udi: &Udi, reports: &[ReportId]) -> Option<String> {
    let instance = fleet.resolve(udi)?;
    instance.owed.iter().filter(|owed| reports.contains(&owed.report_id)).find_map(|owed| owed.bundle.clone())
}

/// Which reports an answer acknowledges: those it names; where it names none readably, those of
/// this instance in the bundle that it answers.
fn acknowledged(sent: &mut Sent<'_>, udi: &Udi, bundle_id: Option<&str>, file: &AnswerFile) -> Vec<ReportId> {
    let mut reports: Vec<ReportId> = file
        .acknowledgements
        .iter()
        .filter(|ack| ack.udi.as_ref().is_none_or(|own| own == udi))
        .map(|ack| ack.report_id)
        .collect();
    if reports.is_empty() && file.has(Part::RumAck) && !file.acknowledges_none {
        reports.extend(bundle_id.map_or(&[][..], |id| sent.reports(id, udi)));
    }
    reports.sort();
    reports.dedup();
    reports
}
