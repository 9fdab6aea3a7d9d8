//! The fold of all events: what we know of every instance, device, bundle and answer.
//!
//! A [`Fleet`] is a map of small records. [`Fleet::apply`] changes it by one event and names the
//! records it touched, so that whoever keeps it on disk writes just those. A report or an answer
//! that comes a second time changes nothing.

mod handover;
mod homeward;
mod ids;
mod key;
mod life;
mod pool;
mod record;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use handover::{Handover, HandoverStage};
pub use ids::{IdSet, ReportSet};
pub use key::{NotARecord, RecordForm, RecordKey};
use pool::Pool;
pub use record::{
    Answer, AnswerKey, AnswerStatus, Bundle, Confirmation, Credential, Device, HostKey, Instance, LastUse, OnPrem,
    OwedReport, Retirement, ScheduleRun, Silence, Submission, Told, Trouble, Upstream, Word, WriteRecord,
};

use super::digest::Sha256;
use super::event::{
    AnswerDelivered, BundleMade, BundledReport, Event, Fact, MessageMade, Progress, ReportCollected, ReportReread,
    ReportStates, SilenceSet, StateRead, SubmissionMoved, Write,
};
use super::instance::{DeviceName, Udi};
use super::message::Outgoing;
use super::report::EntitlementTag;
use super::shared::Shared;
use super::state::ReportState;
use super::violation::{Acknowledgement, Subject, Violation, ViolationId};

/// Everything known, as of the last event applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Behind a pointer, as devices are: they are large, maps move what they hold, and copies share them.
    pub instances: BTreeMap<Udi, Shared<Instance>>,
    pub aliases: BTreeMap<Udi, Udi>,
    pub devices: BTreeMap<DeviceName, Shared<Device>>,
    pub bundles: BTreeMap<String, Bundle>,
    pub answers: BTreeMap<AnswerKey, Answer>,
    pub credentials: BTreeMap<String, Credential>,
    pub schedules: BTreeMap<String, ScheduleRun>,
    pub violations: BTreeMap<ViolationId, Violation>,
    /// Messages that some sink has not taken yet.
    pub messages: BTreeMap<String, Outgoing>,
    /// Of which deadlines was told last.
    pub told: BTreeMap<Subject, Told>,
    pub silences: BTreeMap<String, Silence>,
    pub on_prem: BTreeMap<String, OnPrem>,
    /// What was offered to an upstream's API, by its own id.
    pub submissions: BTreeMap<String, Submission>,
    /// What each upstream last told.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Snapshots for the receiver, by their key: those that it has not, and the newest that it has.
    pub handovers: BTreeMap<String, Handover>,
    /// When each device last answered as it should. Not folded from events: a poll that finds
    /// nothing new writes none. Kept beside the fold and lost without harm.
    pub contacts: BTreeMap<DeviceName, Timestamp>,
    pool: Pool,
}

impl Fleet {
    /// The instance that a UDI belongs to, be it the active's or another member's.
    pub fn resolve(&self, udi: &Udi) -> Option<&Instance> {
        self.instances.get(self.primary(udi)).map(|instance| &**instance)
    }

    /// The instance behind a device of the inventory: the one that it told to be, while no other name has told so since.
    pub fn of_device(&self, device: &DeviceName) -> Option<&Instance> {
        self.told_by(device).filter(|instance| instance.device.as_ref() == Some(device))
    }

    /// The instance that a device last told to be, whoever else tells so too.
    pub fn told_by(&self, device: &DeviceName) -> Option<&Instance> {
        self.resolve(self.devices.get(device)?.instance.as_ref()?)
    }

    fn primary<'a>(&'a self, udi: &'a Udi) -> &'a Udi {
        if self.instances.contains_key(udi) { udi } else { self.aliases.get(udi).unwrap_or(udi) }
    }

    /// The answers for an instance, whichever of its chassis they name.
    pub fn answers_of<'a>(&'a self, instance: &'a Instance) -> impl Iterator<Item = (&'a AnswerKey, &'a Answer)> {
        instance.chassis().flat_map(|udi| {
            let first = AnswerKey { udi: Some(udi.clone()), object: Sha256::ZERO };
            self.answers.range(first..).take_while(move |(key, _)| key.udi.as_ref() == Some(udi))
        })
    }

    /// Where that file stands on its way to an instance.
    pub fn answer_for(&self, instance: &Instance, object: Sha256) -> Option<(&AnswerKey, &Answer)> {
        let key = |udi: &Udi| AnswerKey { udi: Some(udi.clone()), object };
        instance.chassis().find_map(|udi| self.answers.get_key_value(&key(udi)))
    }

    /// Every answer with these bytes, whoever they are for. Looks at all that are placed.
    pub fn same_file(&self, object: Sha256) -> impl Iterator<Item = (&AnswerKey, &Answer)> {
        let first = AnswerKey { udi: Some(Udi::new("", "")), object: Sha256::ZERO };
        let placed = self.answers.range(first..).filter(move |(key, _)| key.object == object);
        self.answers.get_key_value(&AnswerKey { udi: None, object }).into_iter().chain(placed)
    }

    /// The answer that a delivery was of. Old facts name its device alone.
    pub fn delivered(&self, fact: &AnswerDelivered) -> Option<AnswerKey> {
        if fact.udi.is_some() {
            let key = AnswerKey { udi: fact.udi.clone(), object: fact.object };
            return self.answers.contains_key(&key).then_some(key);
        }
        let of_device = self.of_device(&fact.device).and_then(|instance| self.answer_for(instance, fact.object));
        of_device.or_else(|| self.same_file(fact.object).next()).map(|(key, _)| key.clone())
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
                if matches!(fact.write, Write::CloseReports | Write::SaveUsage) {
                    match (&fact.refused, fact.unanswered) {
                        (None, _) => (device.close_before, device.last_close) = (device.last_close, Some(at)),
                        (Some(_), false) => device.last_close = device.close_before,
                        (Some(_), true) => {}
                    }
                }
                let same = |last: &&mut WriteRecord| {
                    last.write == fact.write && last.detail == fact.detail && last.refused.is_none()
                };
                if let (Some(refused), Some(begun)) = (&fact.refused, device.writes.last_mut().filter(same)) {
                    begun.refused = Some(refused.clone());
                    return;
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
                device.trouble = Some(Trouble { since, blame: fact.blame, cause: fact.cause.clone() }.into());
            }),
            Fact::ContactRestored(fact) => self.device(&fact.device, |device| {
                device.trouble = None;
                // It shows the certificate or key again that is trusted.
                device.refused_pin = None;
                device.refused_host_key = None;
            }),
            Fact::TrustPinned(fact) => self.device(&fact.device, |device| match fact.key_type.clone() {
                None => {
                    device.pin = Some(fact.fingerprint);
                    device.refused_pin = None;
                }
                Some(key_type) => {
                    device.host_key = Some(HostKey { fingerprint: fact.fingerprint, key_type }.into());
                    device.refused_host_key = None;
                }
            }),
            Fact::TrustRefused(fact) => self.device(&fact.device, |device| match fact.key_type.clone() {
                None => device.refused_pin = Some(fact.presented.into()),
                Some(key_type) => {
                    device.refused_host_key = Some(HostKey { fingerprint: fact.presented, key_type }.into());
                }
            }),
            Fact::CredentialRefused(fact) => {
                let credential = self.credentials.entry(fact.credential.clone()).or_default();
                credential.refused_by.insert(fact.device.clone());
                credential.last_refusal = Some(at);
                let mut touched = self
                    .device(&fact.device, |device| device.refused_credential = Some(fact.credential.as_str().into()));
                touched.push(RecordKey::Credential(fact.credential.clone()));
                touched
            }
            Fact::UpstreamRefused(fact) => {
                let credential = self.credentials.entry(fact.credential.clone()).or_default();
                credential.refused_by_upstreams.insert(fact.upstream.clone());
                credential.last_refusal = Some(at);
                vec![RecordKey::Credential(fact.credential.clone())]
            }
            Fact::CredentialReleased(fact) => {
                let credential = self.credentials.entry(fact.credential.clone()).or_default();
                let released = std::mem::take(&mut credential.refused_by);
                credential.refused_by_upstreams.clear();
                credential.released = Some(at);
                credential.released_by = event.by.clone();
                let mut touched = vec![RecordKey::Credential(fact.credential.clone())];
                for name in released {
                    touched.extend(self.device(&name, |device| {
                        if device.refused_credential.as_deref() == Some(&*fact.credential) {
                            device.refused_credential = None;
                        }
                    }));
                }
                touched
            }
            Fact::AccessLearned(fact) => {
                let software = fact.software.as_deref().map(|text| self.pool.text(text));
                self.device(&fact.device, |device| {
                    device.learned = fact.learned.clone();
                    device.learned_on = software;
                })
            }
            Fact::BundleMade(fact) => self.bundle_made(at, event.by.as_ref(), fact),
            Fact::BundleHandedOver(fact) => {
                let told = Some((fact.note.clone(), event.by.clone()));
                self.handed_over(&fact.bundle_id, fact.handed_over, told)
            }
            Fact::AnswerReceived(fact) => self.answer_received(at, event.by.as_ref(), fact),
            Fact::AnswerQuarantined(fact) => {
                // What a person said of it before still holds.
                if self.same_file(fact.object).next().is_some() {
                    return Vec::new();
                }
                let key = AnswerKey { udi: None, object: fact.object };
                self.answers.entry(key.clone()).or_insert_with(|| Answer {
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
                    brought_by: event.by.clone(),
                    word: None,
                });
                vec![RecordKey::Answer(key)]
            }
            Fact::AnswerDelivered(fact) => self.answer_delivered(at, fact),
            Fact::AnswerConfirmed(fact) => self.answer_confirmed(event.by.as_ref(), fact),
            // For the chain of custody: nothing is decided by it.
            Fact::AnswersExported(_) => Vec::new(),
            Fact::ReportsSubmitted(fact) => {
                let new = || Submission::new(at, (**fact).clone());
                self.submissions.entry(fact.submission.clone()).or_insert_with(new);
                vec![RecordKey::Submission(fact.submission.clone())]
            }
            Fact::SubmissionMoved(fact) => self.submission_moved(at, fact),
            Fact::UpstreamRead(fact) => {
                self.upstreams.insert(fact.upstream.clone(), Upstream { read: at, facts: (**fact).clone() });
                vec![RecordKey::Upstream(fact.upstream.clone())]
            }
            Fact::ScheduleRan(fact) => {
                self.schedules.insert(
                    fact.schedule.clone(),
                    ScheduleRun { due: fact.due, ended: at, polled: fact.polled, failed: fact.failed },
                );
                vec![RecordKey::Schedule(fact.schedule.clone())]
            }
            Fact::ViolationFound(found) => {
                let id = found.id();
                match self.violations.get_mut(&id) {
                    None => {
                        let violation = Violation {
                            found: (**found).clone(),
                            opened: at,
                            resolved: None,
                            acknowledged: None,
                            reopened: 0,
                            told: None,
                        };
                        self.violations.insert(id.clone(), violation);
                    }
                    Some(known) => known.found_again(at, found),
                }
                vec![RecordKey::Violation(id)]
            }
            Fact::ViolationResolved(fact) => self.violation(&fact.id, |violation| {
                violation.resolved.get_or_insert(at);
            }),
            Fact::ViolationAcknowledged(fact) => self.violation(&fact.id, |violation| {
                let (note, until) = (fact.note.clone(), fact.until);
                violation.acknowledged = Some(Acknowledgement { at, note, until, by: event.by.clone() });
            }),
            Fact::MessageMade(fact) => self.message_made(at, fact),
            Fact::MessageSettled(fact) => {
                let Some(outgoing) = self.messages.get_mut(&fact.message) else { return Vec::new() };
                outgoing.waiting.remove(&fact.sink);
                if outgoing.waiting.is_empty() {
                    self.messages.remove(&fact.message);
                }
                vec![RecordKey::Message(fact.message.clone())]
            }
            Fact::SilenceSet(fact) => {
                let SilenceSet { id, covers, from, until, note } = fact.clone();
                self.silences.insert(id.clone(), Silence { covers, from, until, note, by: event.by.clone() });
                vec![RecordKey::Silence(id)]
            }
            Fact::SilenceEnded(fact) => {
                self.silences.remove(&fact.id);
                vec![RecordKey::Silence(fact.id.clone())]
            }
            Fact::OnPremSynced(fact) => {
                let synced = OnPrem { synced: fact.synced, note: fact.note.clone(), told: at };
                self.on_prem.insert(fact.name.clone(), synced);
                vec![RecordKey::OnPrem(fact.name.clone())]
            }
            Fact::DeviceRetired(fact) => self.retired(at, event.by.as_ref(), fact),
            Fact::DeviceReplaced(fact) => self.replaced(at, event.by.as_ref(), fact),
            Fact::SnapshotOwed(fact) => {
                let handover = Handover { owed: at, facts: (**fact).clone(), tries: 0, stage: HandoverStage::new() };
                self.handovers.insert(fact.key.clone(), handover);
                vec![RecordKey::Handover(fact.key.clone())]
            }
            Fact::SnapshotPosted(fact) => self.posted(at, fact),
        }
    }

    fn instance_mut(&mut self, udi: &Udi, at: Timestamp) -> &mut Instance {
        let primary = self.primary(udi).clone();
        self.instances.entry(primary.clone()).or_insert_with(|| Instance::new(primary, at).into())
    }

    fn device(&mut self, name: &DeviceName, change: impl FnOnce(&mut Device)) -> Vec<RecordKey> {
        change(self.devices.entry(name.clone()).or_default());
        vec![RecordKey::Device(name.clone())]
    }

    fn violation(&mut self, id: &ViolationId, change: impl FnOnce(&mut Violation)) -> Vec<RecordKey> {
        let Some(violation) = self.violations.get_mut(id) else { return Vec::new() };
        change(violation);
        vec![RecordKey::Violation(id.clone())]
    }

    fn message_made(&mut self, at: Timestamp, fact: &MessageMade) -> Vec<RecordKey> {
        let mut touched = Vec::new();
        if !fact.sinks.is_empty() {
            let outgoing = Outgoing { message: fact.message.clone(), waiting: fact.sinks.iter().cloned().collect() };
            self.messages.insert(fact.message.id.clone(), outgoing);
            touched.push(RecordKey::Message(fact.message.id.clone()));
        }
        for (subject, due) in &fact.told {
            self.told.insert(subject.clone(), Told { at, due: *due, severity: fact.message.severity });
            touched.push(RecordKey::Told(subject.clone()));
        }
        for id in fact.message.lines.iter().filter_map(|line| line.violation.as_ref()) {
            touched.extend(self.violation(id, |violation| violation.told = Some(at)));
        }
        touched
    }

    fn state_read(&mut self, at: Timestamp, fact: &StateRead) -> Vec<RecordKey> {
        let mut state = (*fact.state).clone();
        let own = self.resolve(&fact.udi).map_or(&fact.udi, |instance| &instance.udi).clone();
        self.pool.state(&own, &mut state);
        let instance = self.instance_mut(&fact.udi, at);
        if instance.first_in_use.is_none() && fact.state.licenses.iter().any(|license| license.in_use()) {
            instance.first_in_use = Some(at);
        }
        instance.state = Some(state);
        instance.state_read = Some(at);
        vec![RecordKey::Instance(instance.udi.clone())]
    }

    fn report_states(&mut self, at: Timestamp, fact: &ReportStates) -> Vec<RecordKey> {
        let instance = self.instance_mut(&fact.udi, at);
        for &(id, state) in &fact.states {
            if state == ReportState::Acknowledged {
                instance.acknowledge(at, &fact.udi, id, Confirmation::ById);
            } else if let Some(owed) = instance.owed_mut(&fact.udi, id) {
                owed.state = Some(state);
                // The device says it, so nothing is to be presumed.
                owed.presumed_acknowledged &= state == ReportState::Deleted;
            }
        }
        vec![RecordKey::Instance(instance.udi.clone())]
    }

    fn collected(&mut self, at: Timestamp, fact: &ReportCollected) -> Vec<RecordKey> {
        let report = &fact.report;
        let tag = report.entitlement_tag.as_ref().map(|tag| EntitlementTag(self.pool.text(&tag.0)));
        let instance = self.instance_mut(&report.udi, at);
        if instance.collected.insert(&report.udi, report.report_id) {
            let change = tag.as_ref().and_then(|tag| instance.used(tag, report));
            instance.last_collected = Some(at);
            let start = report.start();
            instance.earliest_report = match (instance.earliest_report, start) {
                (Some(known), Some(start)) => Some(known.min(start)),
                (known, start) => known.or(start),
            };
            if !instance.acknowledged.contains(&report.udi, report.report_id) {
                // The chassis' own text, that of the instance most often.
                let udi = instance.chassis().find(|udi| **udi == report.udi).unwrap_or(&report.udi).clone();
                instance.owed.push(OwedReport {
                    udi,
                    report_id: report.report_id,
                    object: fact.object,
                    payload_sha256: report.payload_sha256,
                    entitlement_tag: tag,
                    report_type: report.report_type.clone(),
                    start,
                    end: report.end(),
                    collected: at,
                    state: None,
                    presumed_acknowledged: fact.presumed_acknowledged,
                    bundle: None,
                    change,
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

    fn bundle_made(&mut self, at: Timestamp, by: Option<&String>, fact: &BundleMade) -> Vec<RecordKey> {
        let mut touched = vec![RecordKey::Bundle(fact.bundle_id.clone())];
        self.bundles.entry(fact.bundle_id.clone()).or_insert_with(|| Bundle {
            made: at,
            facts: fact.clone(),
            handed_over: None,
            handover_note: None,
            answered: None,
            made_by: by.cloned(),
            handed_over_by: None,
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

    /// `told`: a person's note, and who that is; an answer only proves it.
    fn handed_over(
        &mut self,
        bundle_id: &str,
        when: Timestamp,
        told: Option<(String, Option<String>)>,
    ) -> Vec<RecordKey> {
        let Some(bundle) = self.bundles.get_mut(bundle_id) else { return Vec::new() };
        bundle.handed_over.get_or_insert(when);
        if let Some((note, by)) = told {
            (bundle.handover_note, bundle.handed_over_by) = (Some(note), by);
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

    /// Reports that an upstream has count as handed over from when they were sent.
    fn submission_moved(&mut self, at: Timestamp, fact: &SubmissionMoved) -> Vec<RecordKey> {
        let Some(submission) = self.submissions.get_mut(&fact.submission) else { return Vec::new() };
        (submission.progress, submission.moved) = (Some(fact.progress.clone()), Some(at));
        let mut touched = vec![RecordKey::Submission(fact.submission.clone())];
        let when = match &fact.progress {
            Progress::Accepted { .. } | Progress::Duplicate { .. } => submission.at,
            Progress::Answered | Progress::Failed { .. } => return touched,
        };
        let mut instances = BTreeSet::new();
        for report in submission.facts.reports.clone() {
            let primary = self.primary(&report.udi).clone();
            let Some(instance) = self.instances.get_mut(&primary) else { continue };
            if let Some(owed) = instance.owed_mut(&report.udi, report.report_id) {
                owed.bundle = Some(fact.submission.clone());
            }
            instance.last_handed_over = instance.last_handed_over.max(Some(when));
            instances.insert(primary);
        }
        touched.extend(instances.into_iter().map(RecordKey::Instance));
        touched
    }

    /// The reports that went into a bundle, or into a submission to an upstream.
    pub fn sent(&self, id: &str) -> &[BundledReport] {
        let bundle = self.bundles.get(id).map(|bundle| &bundle.facts.reports);
        bundle.or_else(|| self.submissions.get(id).map(|one| &one.facts.reports)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
