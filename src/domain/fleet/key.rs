//! The names of the fold's records, and the form in which a register keeps them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::CompactBundle;
use super::{AnswerKey, Device, Fleet, Instance};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::violation::{Subject, ViolationId};

/// The name of one record of the fold; the key under which the register keeps it. **stored**
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    Instance(Udi),
    /// Another chassis of the instance's pair or stack.
    Alias(Udi),
    Device(DeviceName),
    Bundle(String),
    Answer(AnswerKey),
    Credential(String),
    Schedule(String),
    Violation(ViolationId),
    /// A message that some sink has not taken yet.
    Message(String),
    /// Of which deadline was told last.
    Told(Subject),
    Silence(String),
    OnPrem(String),
    Submission(String),
    Upstream(String),
    Handover(String),
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
            RecordKey::Answer(AnswerKey { udi: Some(udi), object }) => {
                format!("answer\0{}\0{}\0{object}", clean(&udi.pid), clean(&udi.sn))
            }
            RecordKey::Answer(AnswerKey { udi: None, object }) => format!("answer-unplaced\0{object}"),
            RecordKey::Credential(name) => format!("credential\0{}", clean(name)),
            RecordKey::Schedule(name) => format!("schedule\0{}", clean(name)),
            RecordKey::Violation(id) => format!("violation\0{id}"),
            RecordKey::Message(id) => format!("message\0{}", clean(id)),
            RecordKey::Told(Subject::Instance(udi)) => {
                format!("told-instance\0{}\0{}", clean(&udi.pid), clean(&udi.sn))
            }
            RecordKey::Told(Subject::Device(name)) => format!("told-device\0{}", clean(&name.0)),
            RecordKey::Told(Subject::OnPrem(name)) => format!("told-on-prem\0{}", clean(name)),
            RecordKey::Silence(id) => format!("silence\0{}", clean(id)),
            RecordKey::OnPrem(name) => format!("on-prem\0{}", clean(name)),
            RecordKey::Submission(id) => format!("submission\0{}", clean(id)),
            RecordKey::Upstream(name) => format!("upstream\0{}", clean(name)),
            RecordKey::Handover(key) => format!("handover\0{}", clean(key)),
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
            "device" => Some(RecordKey::Device(DeviceName::from(dirty(name)))),
            "bundle" => Some(RecordKey::Bundle(dirty(name))),
            "answer" => {
                let (pid, rest) = name.split_once('\0')?;
                let (sn, object) = rest.split_once('\0')?;
                let udi = Some(Udi::new(dirty(pid), dirty(sn)));
                Some(RecordKey::Answer(AnswerKey { udi, object: object.parse().ok()? }))
            }
            "answer-unplaced" => Some(RecordKey::Answer(AnswerKey { udi: None, object: name.parse().ok()? })),
            "credential" => Some(RecordKey::Credential(dirty(name))),
            "schedule" => Some(RecordKey::Schedule(dirty(name))),
            "violation" => name.parse().ok().map(RecordKey::Violation),
            "message" => Some(RecordKey::Message(dirty(name))),
            "told-instance" => udi().map(|udi| RecordKey::Told(Subject::Instance(udi))),
            "told-device" => Some(RecordKey::Told(Subject::Device(DeviceName::from(dirty(name))))),
            "told-on-prem" => Some(RecordKey::Told(Subject::OnPrem(dirty(name)))),
            "silence" => Some(RecordKey::Silence(dirty(name))),
            "on-prem" => Some(RecordKey::OnPrem(dirty(name))),
            "submission" => Some(RecordKey::Submission(dirty(name))),
            "upstream" => Some(RecordKey::Upstream(dirty(name))),
            "handover" => Some(RecordKey::Handover(dirty(name))),
            _ => None,
        }
    }
}

/// How a record is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordForm {
    /// JSON, for what is kept for years. **stored**
    Json,
    /// Fields in their order and without names ([postcard](https://postcard.jamesmunns.com)) for the records that a
    /// fleet has many of and for bundles, which are long, JSON for the others. Less than half as long and read several times as fast, but any change
    /// of a field makes another form: for what can be made anew. **stored**
    Compact,
}

impl RecordForm {
    /// Raised by every change of a compact record's fields, one added or moved included: it has no names that would
    /// tell. A test holds the bytes of a sample against it.
    pub const COMPACT_VERSION: u32 = 13;

    fn write<T: Serialize>(self, record: Option<&T>) -> Option<Vec<u8>> {
        record.map(|record| match self {
            RecordForm::Json => serde_json::to_vec(record).expect("records have string keys only"),
            RecordForm::Compact => postcard::to_stdvec(record).expect("every record has a known length"),
        })
    }

    fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, NotARecord> {
        match self {
            RecordForm::Json => serde_json::from_slice(bytes).map_err(|e| NotARecord(e.to_string())),
            RecordForm::Compact => postcard::take_from_bytes(bytes)
                .map_err(|e| NotARecord(e.to_string()))
                .and_then(|(record, rest)| rest.is_empty().then_some(record).ok_or_else(NotARecord::too_long)),
        }
    }
}

/// The bytes are not a record of the form asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotARecord(String);

impl NotARecord {
    fn too_long() -> Self {
        NotARecord("there are bytes behind its end".to_owned())
    }
}

impl Fleet {
    /// The stored form of one record. `None` if there is no such record.
    pub fn encode(&self, key: &RecordKey, form: RecordForm) -> Option<Vec<u8>> {
        match key {
            RecordKey::Instance(udi) => form.write(self.instances.get(udi)),
            RecordKey::Alias(udi) => form.write(self.aliases.get(udi)),
            RecordKey::Device(name) => form.write(self.devices.get(name)),
            RecordKey::Bundle(id) => {
                let bundle = self.bundles.get(id);
                match form {
                    RecordForm::Json => form.write(bundle),
                    RecordForm::Compact => form.write(bundle.map(CompactBundle::of).as_ref()),
                }
            }
            RecordKey::Answer(key) => RecordForm::Json.write(self.answers.get(key)),
            RecordKey::Credential(name) => RecordForm::Json.write(self.credentials.get(name)),
            RecordKey::Schedule(name) => RecordForm::Json.write(self.schedules.get(name)),
            RecordKey::Violation(id) => RecordForm::Json.write(self.violations.get(id)),
            RecordKey::Message(id) => RecordForm::Json.write(self.messages.get(id)),
            RecordKey::Told(subject) => form.write(self.told.get(subject)),
            RecordKey::Silence(id) => RecordForm::Json.write(self.silences.get(id)),
            RecordKey::OnPrem(name) => RecordForm::Json.write(self.on_prem.get(name)),
            RecordKey::Submission(id) => RecordForm::Json.write(self.submissions.get(id)),
            RecordKey::Upstream(name) => RecordForm::Json.write(self.upstreams.get(name)),
            RecordKey::Handover(key) => RecordForm::Json.write(self.handovers.get(key)),
        }
    }

    /// Takes one stored record in.
    pub fn decode(&mut self, key: RecordKey, bytes: &[u8], form: RecordForm) -> Result<(), NotARecord> {
        match key {
            RecordKey::Instance(udi) => {
                let mut instance: Instance = form.read(bytes)?;
                instance.udi = udi;
                self.pool.instance(&mut instance);
                self.instances.insert(instance.udi.clone(), instance.into());
            }
            RecordKey::Alias(udi) => drop(self.aliases.insert(udi, form.read(bytes)?)),
            RecordKey::Device(name) => {
                let mut device: Device = form.read(bytes)?;
                self.pool.device(&mut device);
                self.devices.insert(name, device.into());
            }
            RecordKey::Bundle(id) => {
                let bundle = match form {
                    RecordForm::Json => form.read(bytes)?,
                    RecordForm::Compact => form.read::<CompactBundle>(bytes)?.into(),
                };
                self.bundles.insert(id, bundle);
            }
            RecordKey::Answer(key) => drop(self.answers.insert(key, RecordForm::Json.read(bytes)?)),
            RecordKey::Credential(name) => drop(self.credentials.insert(name, RecordForm::Json.read(bytes)?)),
            RecordKey::Schedule(name) => drop(self.schedules.insert(name, RecordForm::Json.read(bytes)?)),
            RecordKey::Violation(id) => drop(self.violations.insert(id, RecordForm::Json.read(bytes)?)),
            RecordKey::Message(id) => drop(self.messages.insert(id, RecordForm::Json.read(bytes)?)),
            RecordKey::Told(subject) => drop(self.told.insert(subject, form.read(bytes)?)),
            RecordKey::Silence(id) => drop(self.silences.insert(id, RecordForm::Json.read(bytes)?)),
            RecordKey::OnPrem(name) => drop(self.on_prem.insert(name, RecordForm::Json.read(bytes)?)),
            RecordKey::Submission(id) => drop(self.submissions.insert(id, RecordForm::Json.read(bytes)?)),
            RecordKey::Upstream(name) => drop(self.upstreams.insert(name, RecordForm::Json.read(bytes)?)),
            RecordKey::Handover(key) => drop(self.handovers.insert(key, RecordForm::Json.read(bytes)?)),
        }
        Ok(())
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        let Fleet {
            instances,
            aliases,
            devices,
            bundles,
            answers,
            credentials,
            schedules,
            violations,
            messages,
            told,
            silences,
            on_prem,
            submissions,
            upstreams,
            handovers,
            contacts: _,
            pool: _,
        } = self;
        let many = instances.len() + aliases.len() + devices.len() + told.len() + violations.len();
        let few = bundles.len() + answers.len() + credentials.len() + schedules.len() + messages.len();
        (many + few + silences.len() + on_prem.len() + submissions.len() + upstreams.len() + handovers.len()) as u64
    }

    /// Takes in the records of another part of the same fleet.
    pub fn join(&mut self, mut part: Fleet) {
        self.instances.append(&mut part.instances);
        self.aliases.append(&mut part.aliases);
        self.devices.append(&mut part.devices);
        self.bundles.append(&mut part.bundles);
        self.answers.append(&mut part.answers);
        self.credentials.append(&mut part.credentials);
        self.schedules.append(&mut part.schedules);
        self.violations.append(&mut part.violations);
        self.messages.append(&mut part.messages);
        self.told.append(&mut part.told);
        self.silences.append(&mut part.silences);
        self.on_prem.append(&mut part.on_prem);
        self.submissions.append(&mut part.submissions);
        self.upstreams.append(&mut part.upstreams);
        self.handovers.append(&mut part.handovers);
        self.contacts.append(&mut part.contacts);
        debug_assert!(part == Fleet::default(), "every kind of record is taken over");
    }

    /// Lets devices and instances share the names by which they know each other, once all are there.
    pub fn acquaint(&mut self) {
        for (name, device) in &mut self.devices {
            let Some(own) = device.instance.clone() else { continue };
            let Some(instance) = self.instances.get_mut(&own) else { continue };
            device.instance = Some(instance.udi.clone());
            if instance.device.as_ref() == Some(name) {
                instance.device = Some(name.clone());
            }
        }
    }

    /// The names of all records, in the order of their bytes.
    pub fn keys(&self) -> impl Iterator<Item = RecordKey> + '_ {
        // Those that are placed, then the others: two kinds of key.
        let answers = |placed: bool| {
            let keys = self.answers.keys().filter(move |key| key.udi.is_some() == placed);
            keys.map(|key| RecordKey::Answer(key.clone()))
        };
        let aliases = self.aliases.keys().map(|udi| RecordKey::Alias(udi.clone()));
        let bundles = self.bundles.keys().map(|id| RecordKey::Bundle(id.clone()));
        let credentials = self.credentials.keys().map(|name| RecordKey::Credential(name.clone()));
        let devices = self.devices.keys().map(|name| RecordKey::Device(name.clone()));
        let instances = self.instances.keys().map(|udi| RecordKey::Instance(udi.clone()));
        let schedules = self.schedules.keys().map(|name| RecordKey::Schedule(name.clone()));
        let messages = self.messages.keys().map(|id| RecordKey::Message(id.clone()));
        let on_prem = self.on_prem.keys().map(|name| RecordKey::OnPrem(name.clone()));
        let silences = self.silences.keys().map(|id| RecordKey::Silence(id.clone()));
        let submissions = self.submissions.keys().map(|id| RecordKey::Submission(id.clone()));
        let handovers = self.handovers.keys().map(|key| RecordKey::Handover(key.clone()));
        let upstreams = self.upstreams.keys().map(|name| RecordKey::Upstream(name.clone()));
        let violations = self.violations.keys().map(|id| RecordKey::Violation(id.clone()));
        // Devices, instances, On-Prem servers: three kinds of key.
        let told = |kind: fn(&Subject) -> bool| {
            self.told.keys().filter(move |subject| kind(subject)).map(|subject| RecordKey::Told(subject.clone()))
        };
        let told_devices = told(|subject| matches!(subject, Subject::Device(_)));
        let told_instances = told(|subject| matches!(subject, Subject::Instance(_)));
        let told_on_prem = told(|subject| matches!(subject, Subject::OnPrem(_)));
        let first = aliases
            .chain(answers(true))
            .chain(answers(false))
            .chain(bundles)
            .chain(credentials)
            .chain(devices)
            .chain(handovers)
            .chain(instances);
        let then = first.chain(messages).chain(on_prem).chain(schedules).chain(silences).chain(submissions);
        then.chain(told_devices).chain(told_instances).chain(told_on_prem).chain(upstreams).chain(violations)
    }
}
