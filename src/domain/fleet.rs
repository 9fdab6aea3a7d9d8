//! The fold of all events: what we know of every instance, device, bundle and answer.
//!
//! A [`Fleet`] is a map of small records. [`Fleet::apply`] changes it by one event and names the
//! records it touched, so that whoever keeps it on disk writes just those. A report or an answer
//! that comes a second time changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Sha256;
use super::event::{
    AnswerDelivered, AnswerReceived, Blame, BundleMade, DeviceIdentified, Event, Fact, ImportForm, Outcome,
    ReportCollected, ReportReread, ReportStates, StateRead, Write,
};
use super::instance::{DeviceName, Member, Site, Udi};
use super::report::{EntitlementTag, ReportId, ReportType};
use super::state::{DeviceState, ReportState};

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

/// A set of report ids, kept as ranges because ids count up. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdSet(Vec<(u64, u64)>);

impl IdSet {
    pub fn contains(&self, id: ReportId) -> bool {
        let at = self.0.partition_point(|&(first, _)| first <= id.0);
        at > 0 && self.0[at - 1].1 >= id.0
    }

    /// Adds an id; tells whether it was new.
    pub fn insert(&mut self, id: ReportId) -> bool {
        if self.contains(id) {
            return false;
        }
        let ReportId(id) = id;
        let at = self.0.partition_point(|&(first, _)| first < id);
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(id);
        let joins_after = at < self.0.len() && id.checked_add(1) == Some(self.0[at].0);
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = id,
            (false, true) => self.0[at].0 = id,
            (false, false) => self.0.insert(at, (id, id)),
        }
        true
    }

    pub fn len(&self) -> u64 {
        self.0.iter().fold(0u64, |sum, &(first, last)| sum.saturating_add(last.saturating_sub(first).saturating_add(1)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }
}

/// Which reports, of which chassis: ids are unique to a UDI, and a pair has several. **stored**
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportSet(Vec<(Udi, IdSet)>);

impl ReportSet {
    pub fn contains(&self, udi: &Udi, id: ReportId) -> bool {
        self.of(udi).is_some_and(|ids| ids.contains(id))
    }

    /// Adds a report; tells whether it was new.
    pub fn insert(&mut self, udi: &Udi, id: ReportId) -> bool {
        if let Some((_, ids)) = self.0.iter_mut().find(|(own, _)| own == udi) {
            return ids.insert(id);
        }
        let mut ids = IdSet::default();
        ids.insert(id);
        self.0.push((udi.clone(), ids));
        true
    }

    /// The ids of one chassis.
    pub fn of(&self, udi: &Udi) -> Option<&IdSet> {
        self.0.iter().find(|(own, _)| own == udi).map(|(_, ids)| ids)
    }

    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, ids)| ids.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A kept report that is not known to be acknowledged. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwedReport {
    /// The chassis that signed it.
    pub udi: Udi,
    pub report_id: ReportId,
    pub object: Sha256,
    pub payload_sha256: Sha256,
    pub entitlement_tag: Option<EntitlementTag>,
    pub report_type: ReportType,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub collected: Timestamp,
    /// The device's last word on it.
    pub state: Option<ReportState>,
    pub presumed_acknowledged: bool,
    /// The newest bundle it is in.
    pub bundle: Option<String>,
}

/// How an acknowledgement was established. **stored**
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// Weaker: the last-ACK time moved after our import.
    ByTime,
    ById,
}

/// One product instance and its obligation. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub udi: Udi,
    pub uuid: Option<String>,
    /// The pair or stack; the obligation is one, whoever is active.
    pub members: Vec<Member>,
    pub device: Option<DeviceName>,
    pub site: Site,
    pub os: Option<String>,
    pub software: Option<String>,
    pub hostname: Option<String>,
    pub first_seen: Timestamp,
    /// The first time we saw a licence in use.
    pub first_in_use: Option<Timestamp>,
    /// When the earliest known report began.
    pub earliest_report: Option<Timestamp>,
    pub state: Option<DeviceState>,
    pub state_read: Option<Timestamp>,
    pub last_collected: Option<Timestamp>,
    /// Every report of which we hold the bytes.
    pub collected: ReportSet,
    /// Every report that the device listed as acknowledged, or that was confirmed by time.
    pub acknowledged: ReportSet,
    /// How the newest acknowledgement was established.
    pub confirmation: Option<Confirmation>,
    pub owed: Vec<OwedReport>,
    /// When a report was last handed over (a policy without ACK is met by it).
    pub last_handed_over: Option<Timestamp>,
    pub conflicts: u32,
}

impl Instance {
    fn new(udi: Udi, at: Timestamp) -> Self {
        Instance {
            udi,
            uuid: None,
            members: Vec::new(),
            device: None,
            site: Site::default(),
            os: None,
            software: None,
            hostname: None,
            first_seen: at,
            first_in_use: None,
            earliest_report: None,
            state: None,
            state_read: None,
            last_collected: None,
            collected: ReportSet::default(),
            acknowledged: ReportSet::default(),
            confirmation: None,
            owed: Vec::new(),
            last_handed_over: None,
            conflicts: 0,
        }
    }

    /// Reports that still want an acknowledgement from Cisco.
    pub fn waiting(&self) -> impl Iterator<Item = &OwedReport> {
        self.owed.iter().filter(|owed| !owed.presumed_acknowledged)
    }

    /// The kept report of that chassis and number, while it is owed.
    pub fn owed(&self, udi: &Udi, id: ReportId) -> Option<&OwedReport> {
        self.owed.iter().find(|owed| owed.report_id == id && owed.udi == *udi)
    }

    fn owed_mut(&mut self, udi: &Udi, id: ReportId) -> Option<&mut OwedReport> {
        self.owed.iter_mut().find(|owed| owed.report_id == id && owed.udi == *udi)
    }

    fn acknowledge(&mut self, udi: &Udi, id: ReportId, how: Confirmation) {
        if self.acknowledged.insert(udi, id) {
            self.owed.retain(|owed| owed.report_id != id || owed.udi != *udi);
            self.confirmation = Some(how);
        }
    }
}

/// Why a device does not answer as it should. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub since: Timestamp,
    pub blame: Blame,
    pub cause: String,
}

/// One write to a device. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteRecord {
    pub at: Timestamp,
    pub write: Write,
    pub detail: String,
    pub refused: Option<String>,
}

/// What was learned of a device of the inventory. **stored**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    pub instance: Option<Udi>,
    /// The certificate or host key that is trusted.
    pub pin: Option<Sha256>,
    /// The one it showed instead, until a person decides.
    pub refused_pin: Option<Sha256>,
    pub trouble: Option<Trouble>,
    /// The newest writes, at most [`Device::WRITES_KEPT`]; the journal has them all.
    pub writes: Vec<WriteRecord>,
    pub last_close: Option<Timestamp>,
    /// The form of import that worked, and on which software.
    pub import_form: Option<ImportForm>,
    pub import_form_software: Option<String>,
    /// The credential that it refused, until released.
    pub refused_credential: Option<String>,
}

impl Device {
    pub const WRITES_KEPT: usize = 50;
}

/// One bundle and the five facts of its life that are its own. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    pub made: Timestamp,
    #[serde(flatten)]
    pub facts: BundleMade,
    pub handed_over: Option<Timestamp>,
    pub handover_note: Option<String>,
    /// When the first answer to it came in.
    pub answered: Option<Timestamp>,
}

/// Where an answer stands. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerStatus {
    Quarantined {
        reason: String,
    },
    AwaitingDelivery,
    AwaitingHandImport,
    /// The device took it; reading back shows no change yet.
    Unconfirmed,
    Confirmed(Confirmation),
    /// Will not be tried again without a person.
    Failed {
        cause: String,
    },
}

/// One answer file from the portal. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub name: String,
    pub received: Timestamp,
    pub udi: Option<Udi>,
    pub parts: Vec<String>,
    pub bundle_id: Option<String>,
    pub reports: Vec<ReportId>,
    pub assigned: Option<String>,
    pub status: AnswerStatus,
    pub attempts: u32,
    pub last_attempt: Option<Timestamp>,
    pub last_cause: Option<String>,
}

/// Which devices refused a credential since it was last released. **stored**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    pub refused_by: BTreeSet<DeviceName>,
    pub last_refusal: Option<Timestamp>,
    pub released: Option<Timestamp>,
}

/// When a schedule last ran. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRun {
    pub due: Timestamp,
    pub ended: Timestamp,
    pub polled: u64,
    pub failed: u64,
}

/// Everything known, as of the last event applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    pub instances: BTreeMap<Udi, Instance>,
    pub aliases: BTreeMap<Udi, Udi>,
    pub devices: BTreeMap<DeviceName, Device>,
    pub bundles: BTreeMap<String, Bundle>,
    pub answers: BTreeMap<Sha256, Answer>,
    pub credentials: BTreeMap<String, Credential>,
    pub schedules: BTreeMap<String, ScheduleRun>,
    /// When each device last answered as it should. Not folded from events: a poll that finds
    /// nothing new writes none. Kept beside the fold and lost without harm.
    pub contacts: BTreeMap<DeviceName, Timestamp>,
}

impl Fleet {
    /// The instance that a UDI belongs to, be it the active's or another member's.
    pub fn resolve(&self, udi: &Udi) -> Option<&Instance> {
        self.instances.get(self.primary(udi))
    }

    /// The instance behind a device of the inventory.
    pub fn of_device(&self, device: &DeviceName) -> Option<&Instance> {
        self.resolve(self.devices.get(device)?.instance.as_ref()?)
    }

    fn primary<'a>(&'a self, udi: &'a Udi) -> &'a Udi {
        if self.instances.contains_key(udi) { udi } else { self.aliases.get(udi).unwrap_or(udi) }
    }

    /// Changes the fold by one event; returns the records that may have changed.
    pub fn apply(&mut self, event: &Event) -> Vec<RecordKey> {
        let at = event.at;
        match &event.fact {
            Fact::DeviceIdentified(fact) => self.identified(at, fact),
            Fact::StateRead(fact) => self.state_read(at, fact),
            Fact::ReportStates(fact) => self.report_states(at, fact),
            Fact::ReportCollected(fact) => self.collected(at, fact),
            Fact::ReportReread(fact) => self.reread(fact),
            Fact::ReportConflict(fact) => {
                let instance = self.instance_mut(&fact.udi, at);
                instance.conflicts = instance.conflicts.saturating_add(1);
                vec![RecordKey::Instance(instance.udi.clone())]
            }
            Fact::DeviceWritten(fact) => self.device(&fact.device, |device| {
                if fact.write == Write::CloseReports && fact.refused.is_none() {
                    device.last_close = Some(at);
                }
                if device.writes.len() == Device::WRITES_KEPT {
                    device.writes.remove(0);
                }
                device.writes.push(WriteRecord {
                    at,
                    write: fact.write,
                    detail: fact.detail.clone(),
                    refused: fact.refused.clone(),
                });
            }),
            Fact::ContactLost(fact) => self.device(&fact.device, |device| {
                let since = device.trouble.as_ref().map_or(at, |trouble| trouble.since);
                device.trouble = Some(Trouble { since, blame: fact.blame, cause: fact.cause.clone() });
            }),
            Fact::ContactRestored(fact) => self.device(&fact.device, |device| device.trouble = None),
            Fact::TrustPinned(fact) => self.device(&fact.device, |device| {
                device.pin = Some(fact.fingerprint);
                device.refused_pin = None;
            }),
            Fact::TrustRefused(fact) => self.device(&fact.device, |device| device.refused_pin = Some(fact.presented)),
            Fact::CredentialRefused(fact) => {
                let credential = self.credentials.entry(fact.credential.clone()).or_default();
                credential.refused_by.insert(fact.device.clone());
                credential.last_refusal = Some(at);
                let mut touched =
                    self.device(&fact.device, |device| device.refused_credential = Some(fact.credential.clone()));
                touched.push(RecordKey::Credential(fact.credential.clone()));
                touched
            }
            Fact::CredentialReleased(fact) => {
                let credential = self.credentials.entry(fact.credential.clone()).or_default();
                let released = std::mem::take(&mut credential.refused_by);
                credential.released = Some(at);
                let mut touched = vec![RecordKey::Credential(fact.credential.clone())];
                for name in released {
                    touched.extend(self.device(&name, |device| device.refused_credential = None));
                }
                touched
            }
            Fact::AccessLearned(fact) => self.device(&fact.device, |device| {
                device.import_form = Some(fact.import_form.clone());
                device.import_form_software = fact.software.clone();
            }),
            Fact::BundleMade(fact) => self.bundle_made(at, fact),
            Fact::BundleHandedOver(fact) => {
                self.handed_over(&fact.bundle_id, fact.handed_over, Some(fact.note.clone()))
            }
            Fact::AnswerReceived(fact) => self.answer_received(at, fact),
            Fact::AnswerQuarantined(fact) => {
                self.answers.entry(fact.object).or_insert_with(|| Answer {
                    name: fact.name.clone(),
                    received: at,
                    udi: None,
                    parts: Vec::new(),
                    bundle_id: None,
                    reports: Vec::new(),
                    assigned: None,
                    status: AnswerStatus::Quarantined { reason: fact.reason.clone() },
                    attempts: 0,
                    last_attempt: None,
                    last_cause: None,
                });
                vec![RecordKey::Answer(fact.object)]
            }
            Fact::AnswerDelivered(fact) => self.answer_delivered(at, fact),
            Fact::ScheduleRan(fact) => {
                self.schedules.insert(
                    fact.schedule.clone(),
                    ScheduleRun { due: fact.due, ended: at, polled: fact.polled, failed: fact.failed },
                );
                vec![RecordKey::Schedule(fact.schedule.clone())]
            }
        }
    }

    fn instance_mut(&mut self, udi: &Udi, at: Timestamp) -> &mut Instance {
        let primary = self.primary(udi).clone();
        self.instances.entry(primary.clone()).or_insert_with(|| Instance::new(primary, at))
    }

    fn device(&mut self, name: &DeviceName, change: impl FnOnce(&mut Device)) -> Vec<RecordKey> {
        change(self.devices.entry(name.clone()).or_default());
        vec![RecordKey::Device(name.clone())]
    }

    fn identified(&mut self, at: Timestamp, fact: &DeviceIdentified) -> Vec<RecordKey> {
        // A pair is known by any of its chassis, so that a switch-over makes no new obligation.
        let known = std::iter::once(&fact.udi)
            .chain(fact.members.iter().map(|member| &member.udi))
            .map(|udi| self.primary(udi))
            .find(|primary| self.instances.contains_key(*primary))
            .cloned()
            .unwrap_or_else(|| fact.udi.clone());
        let mut touched = self.device(&fact.device, |device| device.instance = Some(known.clone()));
        let chassis = std::iter::once(&fact.udi).chain(fact.members.iter().map(|member| &member.udi));
        for udi in chassis.filter(|udi| **udi != known) {
            self.aliases.insert(udi.clone(), known.clone());
            touched.push(RecordKey::Alias(udi.clone()));
        }
        let instance = self.instance_mut(&known, at);
        instance.device = Some(fact.device.clone());
        instance.site = fact.site.clone();
        instance.uuid = fact.uuid.clone();
        instance.members = fact.members.clone();
        instance.os = Some(fact.os.clone());
        instance.software = fact.software.clone();
        instance.hostname = fact.hostname.clone();
        touched.push(RecordKey::Instance(known));
        touched
    }

    fn state_read(&mut self, at: Timestamp, fact: &StateRead) -> Vec<RecordKey> {
        let instance = self.instance_mut(&fact.udi, at);
        if instance.first_in_use.is_none() && fact.state.licenses.iter().any(|license| license.in_use()) {
            instance.first_in_use = Some(at);
        }
        instance.state = Some(fact.state.clone());
        instance.state_read = Some(at);
        vec![RecordKey::Instance(instance.udi.clone())]
    }

    fn report_states(&mut self, at: Timestamp, fact: &ReportStates) -> Vec<RecordKey> {
        let instance = self.instance_mut(&fact.udi, at);
        for &(id, state) in &fact.states {
            if state == ReportState::Acknowledged {
                instance.acknowledge(&fact.udi, id, Confirmation::ById);
            } else if let Some(owed) = instance.owed_mut(&fact.udi, id) {
                owed.state = Some(state);
            }
        }
        vec![RecordKey::Instance(instance.udi.clone())]
    }

    fn collected(&mut self, at: Timestamp, fact: &ReportCollected) -> Vec<RecordKey> {
        let report = &fact.report;
        let instance = self.instance_mut(&report.udi, at);
        if instance.collected.insert(&report.udi, report.report_id) {
            instance.last_collected = Some(at);
            let start = report.start();
            instance.earliest_report = match (instance.earliest_report, start) {
                (Some(known), Some(start)) => Some(known.min(start)),
                (known, start) => known.or(start),
            };
            if !instance.acknowledged.contains(&report.udi, report.report_id) {
                instance.owed.push(OwedReport {
                    udi: report.udi.clone(),
                    report_id: report.report_id,
                    object: fact.object,
                    payload_sha256: report.payload_sha256,
                    entitlement_tag: report.entitlement_tag.clone(),
                    report_type: report.report_type.clone(),
                    start,
                    end: report.end(),
                    collected: at,
                    state: None,
                    presumed_acknowledged: fact.presumed_acknowledged,
                    bundle: None,
                });
            }
        }
        vec![RecordKey::Instance(instance.udi.clone())]
    }

    /// Only what was read out of the bytes changes; what happened to the report since stays.
    fn reread(&mut self, fact: &ReportReread) -> Vec<RecordKey> {
        let report = &fact.report;
        let primary = self.primary(&report.udi).clone();
        let Some(instance) = self.instances.get_mut(&primary) else { return Vec::new() };
        if !instance.collected.contains(&report.udi, report.report_id) {
            return Vec::new();
        }
        if let Some(start) = report.start() {
            instance.earliest_report = Some(instance.earliest_report.map_or(start, |known| known.min(start)));
        }
        if let Some(owed) = instance.owed_mut(&report.udi, report.report_id).filter(|owed| owed.object == fact.object) {
            owed.payload_sha256 = report.payload_sha256;
            owed.entitlement_tag = report.entitlement_tag.clone();
            owed.report_type = report.report_type.clone();
            owed.start = report.start();
            owed.end = report.end();
        }
        vec![RecordKey::Instance(primary)]
    }

    fn bundle_made(&mut self, at: Timestamp, fact: &BundleMade) -> Vec<RecordKey> {
        let mut touched = vec![RecordKey::Bundle(fact.bundle_id.clone())];
        self.bundles.entry(fact.bundle_id.clone()).or_insert_with(|| Bundle {
            made: at,
            facts: fact.clone(),
            handed_over: None,
            handover_note: None,
            answered: None,
        });
        let mut instances = BTreeSet::new();
        for report in &fact.reports {
            let primary = self.primary(&report.udi).clone();
            let Some(instance) = self.instances.get_mut(&primary) else { continue };
            if let Some(owed) = instance.owed_mut(&report.udi, report.report_id) {
                owed.bundle = Some(fact.bundle_id.clone());
            }
            instances.insert(primary);
        }
        touched.extend(instances.into_iter().map(RecordKey::Instance));
        touched
    }

    fn handed_over(&mut self, bundle_id: &str, when: Timestamp, note: Option<String>) -> Vec<RecordKey> {
        let Some(bundle) = self.bundles.get_mut(bundle_id) else { return Vec::new() };
        bundle.handed_over.get_or_insert(when);
        if note.is_some() {
            bundle.handover_note = note;
        }
        let udis: BTreeSet<Udi> = bundle.facts.reports.iter().map(|report| report.udi.clone()).collect();
        let mut touched = vec![RecordKey::Bundle(bundle_id.to_owned())];
        for udi in udis {
            let primary = self.primary(&udi).clone();
            let Some(instance) = self.instances.get_mut(&primary) else { continue };
            instance.last_handed_over = instance.last_handed_over.max(Some(when));
            touched.push(RecordKey::Instance(primary));
        }
        touched
    }

    fn answer_received(&mut self, at: Timestamp, fact: &AnswerReceived) -> Vec<RecordKey> {
        let mut touched = vec![RecordKey::Answer(fact.object)];
        let fresh = match self.answers.get(&fact.object) {
            None => true,
            Some(answer) => matches!(answer.status, AnswerStatus::Quarantined { .. }),
        };
        if fresh {
            let answer = Answer {
                name: fact.name.clone(),
                received: at,
                udi: Some(fact.udi.clone()),
                parts: fact.parts.clone(),
                bundle_id: fact.bundle_id.clone(),
                reports: fact.reports.clone(),
                assigned: fact.assigned.clone(),
                status: AnswerStatus::AwaitingDelivery,
                attempts: 0,
                last_attempt: None,
                last_cause: None,
            };
            self.answers.insert(fact.object, answer);
        }
        if let Some(id) = &fact.bundle_id {
            // An answer proves that the bundle was handed over.
            touched.extend(self.handed_over(id, at, None));
            if let Some(bundle) = self.bundles.get_mut(id) {
                bundle.answered.get_or_insert(at);
            }
        }
        touched
    }

    fn answer_delivered(&mut self, at: Timestamp, fact: &AnswerDelivered) -> Vec<RecordKey> {
        let Some(answer) = self.answers.get_mut(&fact.object) else { return Vec::new() };
        // Applied already: a second time changes nothing.
        if answer.last_attempt == Some(at) {
            return Vec::new();
        }
        answer.attempts = answer.attempts.saturating_add(1);
        answer.last_attempt = Some(at);
        answer.last_cause = None;
        answer.status = match &fact.outcome {
            Outcome::ConfirmedById => AnswerStatus::Confirmed(Confirmation::ById),
            Outcome::ConfirmedByTime => AnswerStatus::Confirmed(Confirmation::ByTime),
            Outcome::Unconfirmed => AnswerStatus::Unconfirmed,
            Outcome::Failed { cause, again } => {
                answer.last_cause = Some(cause.clone());
                if *again { AnswerStatus::AwaitingDelivery } else { AnswerStatus::Failed { cause: cause.clone() } }
            }
            Outcome::AwaitingHandImport => AnswerStatus::AwaitingHandImport,
        };
        let mut touched = vec![RecordKey::Answer(fact.object)];
        if fact.outcome == Outcome::ConfirmedByTime {
            let (reports, udi) = (answer.reports.clone(), answer.udi.clone());
            if let Some(udi) = udi {
                let primary = self.primary(&udi).clone();
                if let Some(instance) = self.instances.get_mut(&primary) {
                    for id in reports {
                        instance.acknowledge(&udi, id, Confirmation::ByTime);
                    }
                    touched.push(RecordKey::Instance(primary));
                }
            }
        }
        touched
    }

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
