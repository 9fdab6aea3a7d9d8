//! The names of the fold's records, and the form in which a register keeps them.

use serde::Serialize;

use super::Fleet;
use crate::domain::digest::Sha256;
use crate::domain::instance::{DeviceName, Udi};

/// The name of one record of the fold; the key under which the register keeps it. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    Instance(Udi),
    /// Another chassis of the instance's pair or stack.
    Alias(Udi),
    Device(DeviceName),
    Bundle(String),
    Answer(Sha256),
    Credential(String),
    Schedule(String),
}

impl RecordKey {
    /// `kind NUL name [NUL name]`, so that keys of a kind stand together and in the order of their names.
    ///
    /// A name is foreign text and may hold anything: a NUL in it is written as 0x01 `0`, a 0x01 as 0x01 `1`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let clean = |part: &str| part.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0");
        match self {
            RecordKey::Instance(udi) => format!("instance\0{}\0{}", clean(&udi.pid), clean(&udi.sn)),
            RecordKey::Alias(udi) => format!("alias\0{}\0{}", clean(&udi.pid), clean(&udi.sn)),
            RecordKey::Device(name) => format!("device\0{}", clean(&name.0)),
            RecordKey::Bundle(id) => format!("bundle\0{}", clean(id)),
            RecordKey::Answer(object) => format!("answer\0{object}"),
            RecordKey::Credential(name) => format!("credential\0{}", clean(name)),
            RecordKey::Schedule(name) => format!("schedule\0{}", clean(name)),
        }
        .into_bytes()
    }

    /// Reads a key back; `None` for bytes that [`to_bytes`](Self::to_bytes) never makes.
    pub fn from_bytes(bytes: &[u8]) -> Option<RecordKey> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (kind, name) = text.split_once('\0')?;
        let dirty = |part: &str| part.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}");
        let udi = || name.split_once('\0').map(|(pid, sn)| Udi::new(dirty(pid), dirty(sn)));
        match kind {
            "instance" => udi().map(RecordKey::Instance),
            "alias" => udi().map(RecordKey::Alias),
            "device" => Some(RecordKey::Device(DeviceName(dirty(name)))),
            "bundle" => Some(RecordKey::Bundle(dirty(name))),
            "answer" => name.parse().ok().map(RecordKey::Answer),
            "credential" => Some(RecordKey::Credential(dirty(name))),
            "schedule" => Some(RecordKey::Schedule(dirty(name))),
            _ => None,
        }
    }
}

impl Fleet {
    /// The stored form of one record: JSON. `None` if there is no such record.
    pub fn encode(&self, key: &RecordKey) -> Option<Vec<u8>> {
        fn json<T: Serialize>(record: Option<&T>) -> Option<Vec<u8>> {
            record.map(|record| serde_json::to_vec(record).expect("records have string keys only"))
        }
        match key {
            RecordKey::Instance(udi) => json(self.instances.get(udi)),
            RecordKey::Alias(udi) => json(self.aliases.get(udi)),
            RecordKey::Device(name) => json(self.devices.get(name)),
            RecordKey::Bundle(id) => json(self.bundles.get(id)),
            RecordKey::Answer(object) => json(self.answers.get(object)),
            RecordKey::Credential(name) => json(self.credentials.get(name)),
            RecordKey::Schedule(name) => json(self.schedules.get(name)),
        }
    }

    /// Takes one stored record in.
    pub fn decode(&mut self, key: RecordKey, bytes: &[u8]) -> Result<(), serde_json::Error> {
        match key {
            RecordKey::Instance(udi) => drop(self.instances.insert(udi, serde_json::from_slice(bytes)?)),
            RecordKey::Alias(udi) => drop(self.aliases.insert(udi, serde_json::from_slice(bytes)?)),
            RecordKey::Device(name) => drop(self.devices.insert(name, serde_json::from_slice(bytes)?)),
            RecordKey::Bundle(id) => drop(self.bundles.insert(id, serde_json::from_slice(bytes)?)),
            RecordKey::Answer(object) => drop(self.answers.insert(object, serde_json::from_slice(bytes)?)),
            RecordKey::Credential(name) => drop(self.credentials.insert(name, serde_json::from_slice(bytes)?)),
            RecordKey::Schedule(name) => drop(self.schedules.insert(name, serde_json::from_slice(bytes)?)),
        }
        Ok(())
    }

    /// The names of all records, in the order of their bytes.
    pub fn keys(&self) -> impl Iterator<Item = RecordKey> + '_ {
        let answers = self.answers.keys().map(|object| RecordKey::Answer(*object));
        let aliases = self.aliases.keys().map(|udi| RecordKey::Alias(udi.clone()));
        let bundles = self.bundles.keys().map(|id| RecordKey::Bundle(id.clone()));
        let credentials = self.credentials.keys().map(|name| RecordKey::Credential(name.clone()));
        let devices = self.devices.keys().map(|name| RecordKey::Device(name.clone()));
        let instances = self.instances.keys().map(|udi| RecordKey::Instance(udi.clone()));
        let schedules = self.schedules.keys().map(|name| RecordKey::Schedule(name.clone()));
        aliases.chain(answers).chain(bundles).chain(credentials).chain(devices).chain(instances).chain(schedules)
    }
}
