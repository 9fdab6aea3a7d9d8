//! Answers that a person carries: written out for devices without a way in, and closed by that person's word.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::device::dialect::Dialect;
use crate::domain::delivery;
use crate::domain::digest::Sha256;
use crate::domain::event::{AnswerConfirmed, AnswersExported, Fact};
use crate::domain::fleet::{Answer, AnswerKey, AnswerStatus, Confirmation, Fleet, Instance};
use crate::domain::instance::{DeviceName, Site, Udi};
use crate::domain::problem::with_causes;
use crate::domain::settings::{Os, Task, Word};
use crate::exchange::handout::{self, Command, Handout, Parcel};

/// The folder that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    pub path: PathBuf,
    pub files: Vec<ExportedFile>,
    /// Answers whose bytes could not be read, each with the reason.
    pub left_out: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its name in the folder.
    pub file: String,
    pub object: Sha256,
    /// As the portal named it.
    pub name: String,
    pub device: Option<DeviceName>,
    pub udi: Udi,
    /// What to type on the device; several where its system is not known.
    pub commands: Vec<String>,
}

/// Which answers a person's word is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// This file; on all devices that it is for, or on one.
    File { object: Sha256, device: Option<DeviceName> },
    /// All that a person had to carry to this site.
    Site(Site),
}

/// Writes what a person must carry to the devices of a site: one file a device and answer, and what to type. Blocks.
pub fn export(house: &House, site: &Site, out: Option<PathBuf>) -> Result<Exported, Error> {
    let now = house.clock.now();
    let (mut parcels, mut files, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let carried = carried(house, &house.ledger.fleet(), site);
    for (key, answer, whose) in carried {
        let bytes = match house.ledger.object(&key.object) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                left_out.push(format!("{}: its bytes are gone from the ledger", answer.name));
                continue;
            }
            Err(error) => {
                left_out.push(format!("{}: {}", answer.name, with_causes(&error)));
                continue;
            }
        };
        let udi = whose.udi;
        let name = whose.device.as_ref().map_or(&*udi.sn, |device| &*device.0);
        // Names that begin alike are cut down to the same one, and the same bytes may be for several devices.
        let plain = handout::file_name(name, &key.object);
        let numbered = |number: usize| plain.replace(".txt", &format!("-{number}.txt"));
        let free = |file: &String| files.iter().all(|other: &ExportedFile| other.file != *file);
        let mut names = std::iter::once(plain.clone()).chain((2..).map(numbered));
        let file = names.find(free).unwrap_or_default();
        let commands = commands(house, whose.device.as_ref(), whose.os, &file);
        files.push(ExportedFile {
            file: file.clone(),
            object: key.object,
            name: answer.name.clone(),
            device: whose.device.clone(),
            udi: udi.clone(),
            commands: commands.iter().map(|command| command.line.clone()).collect(),
        });
        let (device, parts) = (whose.device, answer.parts);
        parcels.push(Parcel { file, bytes, object: key.object, device, udi, parts, commands });
    }
    if files.is_empty() {
        let lost = if left_out.is_empty() { String::new() } else { format!(": {}", left_out.join("; ")) };
        return Err(Error::Input(format!("no answer waits for a person at site '{site}'{lost}; see `ack list`")));
    }
    let folder = out.unwrap_or_else(|| house.exchange_dir());
    let handout = Handout { site: site.clone(), made: now, parcels };
    let path = handout::write(&handout, &folder).map_err(|error| Error::Exchange(with_causes(&error)))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let objects = files.iter().map(|file| file.object).collect();
    // Written first: a folder that the ledger does not know of is only made again.
    let fact = Fact::AnswersExported(AnswersExported { objects, folder: name });
    house.ledger.append(now, vec![fact], Vec::new())?;
    Ok(Exported { path, files, left_out })
}

/// Records a person's word that answers are installed. Blocks.
pub fn confirm(house: &House, which: &Which, at: Option<Timestamp>, note: String) -> Result<Vec<AnswerKey>, Error> {
    let now = house.clock.now();
    let installed = at.unwrap_or(now);
    if installed > now {
        return Err(Error::Input(format!(
            "{installed} is still to come: what is not installed yet cannot be confirmed"
        )));
    }
    if note.trim().is_empty() {
        return Err(Error::Input(
            "a word that nobody can check needs a note: who installed it, and what was seen".to_owned(),
        ));
    }
    let keys: Vec<AnswerKey> = {
        let fleet = house.ledger.fleet();
        match which {
            Which::Site(site) => {
                let keys: Vec<AnswerKey> = carried(house, &fleet, site).into_iter().map(|(key, ..)| key).collect();
                if keys.is_empty() {
                    return Err(Error::Input(format!("no answer waits for a person at site '{site}'; see `ack list`")));
                }
                keys
            }
            Which::File { object, device } => {
                let of_device = |key: &AnswerKey| {
                    let instance = key.udi.as_ref().and_then(|udi| fleet.resolve(udi));
                    device.as_ref().is_none_or(|name| instance.is_some_and(|one| one.device.as_ref() == Some(name)))
                };
                let found: Vec<_> = fleet.same_file(*object).filter(|(key, _)| of_device(key)).collect();
                confirmable(&found, *object)?
            }
        }
    };
    let confirmed = |key: &AnswerKey| {
        let udi = key.udi.clone()?;
        Some(Fact::AnswerConfirmed(AnswerConfirmed { object: key.object, udi, installed, note: note.clone() }))
    };
    house.ledger.append(now, keys.iter().filter_map(confirmed).collect(), Vec::new())?;
    Ok(keys)
}

/// Those of a file's answers that a word may still be given on.
fn confirmable(found: &[(&AnswerKey, &Answer)], object: Sha256) -> Result<Vec<AnswerKey>, Error> {
    let Some((_, first)) = found.first() else {
        return Err(Error::Input(format!("no answer with the hash {object}; see `ack list`")));
    };
    if found.iter().all(|(key, _)| key.udi.is_none()) {
        let name = &first.name;
        return Err(Error::Input(format!("nobody knows whose '{name}' is; `ack assign` says that first")));
    }
    let better = |answer: &Answer| match answer.status {
        AnswerStatus::Confirmed(Confirmation::ById | Confirmation::ByTime) => true,
        AnswerStatus::Confirmed(Confirmation::ByPerson)
        | AnswerStatus::Quarantined { .. }
        | AnswerStatus::AwaitingDelivery
        | AnswerStatus::AwaitingHandImport
        | AnswerStatus::Unconfirmed
        | AnswerStatus::Failed { .. } => false,
    };
    let open = found.iter().filter(|(key, answer)| key.udi.is_some() && !better(answer));
    let keys: Vec<AnswerKey> = open.map(|(key, _)| (*key).clone()).collect();
    if keys.is_empty() {
        let name = &first.name;
        return Err(Error::Input(format!(
            "'{name}' is installed by the device's own word; there is nothing to confirm"
        )));
    }
    Ok(keys)
}

/// Whose an answer is.
struct Whose {
    udi: Udi,
    device: Option<DeviceName>,
    os: Option<Os>,
}

/// What a person must carry to a site, in the order of devices.
fn carried(house: &House, fleet: &Fleet, site: &Site) -> Vec<(AnswerKey, Answer, Whose)> {
    let mut all = Vec::new();
    for (key, answer) in fleet.answers.iter().filter(|(_, answer)| !answer.is_settled()) {
        let Some(instance) = key.udi.as_ref().and_then(|udi| fleet.resolve(udi)) else { continue };
        let watched = instance.device.as_ref().and_then(|name| house.watched(name));
        let at_site = watched.map_or(&instance.site, |watched| &watched.site) == site;
        if at_site && delivery::by_hand(watched, answer, &house.settings) {
            all.push((key.clone(), answer.clone(), whose(house, instance)));
        }
    }
    all.sort_by(|(a, _, whose_a), (b, _, whose_b)| (&whose_a.device, a).cmp(&(&whose_b.device, b)));
    all
}

fn whose(house: &House, instance: &Instance) -> Whose {
    let device = instance.device.clone();
    let listed = device.as_ref().and_then(|name| house.device(name)?.os);
    let os = listed.or_else(|| Os::of_word(instance.os.as_deref()?).ok());
    Whose { udi: instance.udi.clone(), device, os }
}

/// The line that each system takes; all three where nobody knows which it is.
fn commands(house: &House, device: Option<&DeviceName>, os: Option<Os>, file: &str) -> Vec<Command> {
    let systems = os.map_or_else(|| Os::ALL.to_vec(), |os| vec![os]);
    let line = |os: Os| {
        let set = device.and_then(|name| house.device(name)?.commands.as_deref());
        let own = house.config.commands.of(set).remove(&os).unwrap_or_default();
        let learned = device.and_then(|name| {
            let fleet = house.ledger.fleet();
            fleet.devices.get(name)?.learned.commands.get(&Task::Import).cloned()
        });
        let dialect = Dialect::of(os, own);
        let ladder = dialect.ladder(Task::Import, learned.as_deref());
        let folder = dialect.folders().first().copied().unwrap_or_default();
        let line = ladder.first()?.replace("{file}", &format!("{folder}{file}"));
        let mark = match os {
            Os::IosXe => "confirmed by public tools for IOS XE",
            Os::IosXr => "inferred from IOS XE, not confirmed for IOS XR; ask the device with `license smart import ?`",
            Os::NxOs => "inferred from IOS XE, not confirmed for NX-OS; ask the device with `license smart import ?`",
        };
        Some(Command { system: os.word(), folder: folder.to_owned(), line, mark })
    };
    systems.into_iter().filter_map(line).collect()
}
