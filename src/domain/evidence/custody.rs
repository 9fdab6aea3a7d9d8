//! The way of each report: collected, in a bundle, handed over, answered, delivered, confirmed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Sha256;
use crate::domain::event::{BundledReport, Event, Fact, Outcome, Progress};
use crate::domain::fleet::{AnswerKey, Confirmation, Fleet, OwedReport, Submission};
use crate::domain::instance::Udi;
use crate::domain::report::{EntitlementTag, ReportId, ReportType};

/// A report: ids are unique to a chassis only.
pub(super) type ReportKey = (Udi, ReportId);

/// The chain of custody of one report; what did not happen is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Custody {
    pub udi: Udi,
    pub report_id: ReportId,
    pub entitlement_tag: Option<EntitlementTag>,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub collected: Timestamp,
    /// The signed bytes, as kept in the ledger.
    pub object: Sha256,
    /// Every bundle that it went into, and every submission by which it arrived, in order.
    pub bundles: Vec<String>,
    /// When the newest of them that left the house left it.
    pub handed_over: Option<Timestamp>,
    pub answered: Option<Timestamp>,
    /// The answer's bytes.
    pub answer: Option<Sha256>,
    /// The last attempt at bringing the answer to the device, and its outcome.
    pub delivered: Option<Timestamp>,
    pub delivery: Option<String>,
    pub confirmed: Option<Timestamp>,
    pub confirmed_by: Option<Confirmation>,
    /// The persons behind these steps, where the journal knows them: who had it collected or brought it, who made the
    /// newest bundle, told that it left, brought the answer; whose word the confirmation is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundled_person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_person: Option<String>,
}

impl Custody {
    fn of(owed: &OwedReport) -> Self {
        Custody {
            udi: owed.udi.clone(),
            report_id: owed.report_id,
            entitlement_tag: owed.entitlement_tag.clone(),
            start: owed.start,
            end: owed.end,
            collected: owed.collected,
            object: owed.object,
            bundles: owed.bundle.iter().cloned().collect(),
            handed_over: None,
            answered: None,
            answer: None,
            delivered: None,
            delivery: None,
            confirmed: None,
            confirmed_by: None,
            collected_person: None,
            bundled_person: None,
            handed_over_person: None,
            answered_person: None,
            confirmed_person: None,
        }
    }

    fn key(&self) -> ReportKey {
        (self.udi.clone(), self.report_id)
    }
}

/// The chains of all reports that were owed at some time.
#[derive(Debug, Default)]
pub(super) struct Chains {
    reports: BTreeMap<ReportKey, Custody>,
    /// Those that are owed now, by instance.
    in_play: BTreeMap<Udi, BTreeSet<ReportKey>>,
    /// Which reports an answer is for.
    answers: BTreeMap<AnswerKey, Vec<ReportKey>>,
}

impl Chains {
    /// Those that are owed at the beginning.
    pub fn of(fleet: &Fleet) -> Self {
        let mut chains = Chains::default();
        for instance in fleet.instances.values() {
            for owed in instance.owed.iter().filter(|owed| counts(owed)) {
                chains.insert(&instance.udi, owed);
            }
        }
        for (key, answer) in &fleet.answers {
            if let Some(udi) = answer.udi.as_ref().filter(|_| answer.acknowledges()) {
                let to = (&answer.reports[..], answer.bundle_id.as_deref());
                chains.answered(fleet, (udi, key.object), to, (answer.received, answer.brought_by.as_ref()));
            }
        }
        chains
    }

    /// Takes an event that the fold has applied already.
    pub fn follow(&mut self, fleet: &Fleet, event: &Event) {
        match &event.fact {
            Fact::ReportCollected(fact) => {
                let (udi, id) = (&fact.report.udi, fact.report.report_id);
                let Some(instance) = fleet.resolve(udi) else { return };
                if let Some(owed) = instance.owed(udi, id).filter(|owed| counts(owed)) {
                    self.insert(&instance.udi, owed);
                    if let Some(custody) = self.reports.get_mut(&(udi.clone(), id)) {
                        custody.collected_person = event.by.clone();
                    }
                }
            }
            Fact::ReportStates(fact) => self.confirm(fleet, &fact.udi, event.at, None),
            Fact::AnswerConfirmed(fact) => self.confirm(fleet, &fact.udi, event.at, event.by.as_ref()),
            Fact::BundleMade(fact) => self.sent(&fact.reports, &fact.bundle_id),
            Fact::SubmissionMoved(fact) => match &fact.progress {
                Progress::Accepted { .. } | Progress::Duplicate { .. } => {
                    self.sent(fleet.sent(&fact.submission), &fact.submission);
                }
                Progress::Answered | Progress::Failed { .. } => {}
            },
            Fact::AnswerReceived(fact) if acknowledges(&fact.parts) => {
                let to = (&fact.reports[..], fact.bundle_id.as_deref());
                self.answered(fleet, (&fact.udi, fact.object), to, (event.at, event.by.as_ref()));
            }
            Fact::AnswerDelivered(fact) => {
                let Some(key) = fleet.delivered(fact) else { return };
                for report in self.answers.get(&key).into_iter().flatten() {
                    if let Some(custody) = self.reports.get_mut(report) {
                        (custody.delivered, custody.delivery) = (Some(event.at), Some(word(&fact.outcome)));
                    }
                }
                if let Some(udi) = &key.udi {
                    self.confirm(fleet, udi, event.at, None);
                }
            }
            Fact::DeviceIdentified(_)
            | Fact::StateRead(_)
            | Fact::ReportReread(_)
            | Fact::ReportConflict(_)
            | Fact::DeviceWritten(_)
            | Fact::ContactLost(_)
            | Fact::ContactRestored(_)
            | Fact::TrustPinned(_)
            | Fact::TrustRefused(_)
            | Fact::CredentialRefused(_)
            | Fact::UpstreamRefused(_)
            | Fact::CredentialReleased(_)
            | Fact::AccessLearned(_)
            | Fact::BundleHandedOver(_)
            | Fact::AnswerReceived(_)
            | Fact::AnswerQuarantined(_)
            | Fact::AnswersExported(_)
            | Fact::ReportsSubmitted(_)
            | Fact::UpstreamRead(_)
            | Fact::ScheduleRan(_)
            | Fact::ViolationFound(_)
            | Fact::ViolationResolved(_)
            | Fact::ViolationAcknowledged(_)
            | Fact::MessageMade(_)
            | Fact::MessageSettled(_)
            | Fact::SilenceSet(_)
            | Fact::SilenceEnded(_)
            | Fact::OnPremSynced(_)
            | Fact::DeviceRetired(_)
            | Fact::DeviceReplaced(_)
            | Fact::SnapshotOwed(_)
            | Fact::SnapshotPosted(_) => {}
        }
    }

    fn sent(&mut self, reports: &[BundledReport], by: &str) {
        for report in reports {
            if let Some(custody) = self.reports.get_mut(&(report.udi.clone(), report.report_id)) {
                custody.bundles.push(by.to_owned());
            }
        }
    }

    /// What an instance owes now.
    pub fn in_play(&self, instance: &Udi) -> BTreeSet<ReportKey> {
        self.in_play.get(instance).cloned().unwrap_or_default()
    }

    /// The chain of one report, with what its bundles tell.
    pub fn of_report(&self, fleet: &Fleet, report: &ReportKey) -> Option<Custody> {
        let mut custody = self.reports.get(report)?.clone();
        let left = |id: &String| match fleet.bundles.get(id) {
            Some(bundle) => Some((bundle.handed_over?, bundle.handed_over_by.clone())),
            None => Some((fleet.submissions.get(id).and_then(Submission::handed_over)?, None)),
        };
        let (handed_over, person) = custody.bundles.iter().rev().find_map(left).unzip();
        (custody.handed_over, custody.handed_over_person) = (handed_over, person.flatten());
        let bundled = custody.bundles.iter().rev().find_map(|id| fleet.bundles.get(id));
        custody.bundled_person = bundled.and_then(|bundle| bundle.made_by.clone());
        Some(custody)
    }

    fn insert(&mut self, instance: &Udi, owed: &OwedReport) {
        let custody = Custody::of(owed);
        self.in_play.entry(instance.clone()).or_default().insert(custody.key());
        self.reports.entry(custody.key()).or_insert(custody);
    }

    /// `to`: the ids that the answer tells and the bundle that it answers.
    fn answered(
        &mut self,
        fleet: &Fleet,
        (udi, object): (&Udi, Sha256),
        to: (&[ReportId], Option<&str>),
        (at, by): (Timestamp, Option<&String>),
    ) {
        let Some(instance) = fleet.resolve(udi) else { return };
        // Where the answer's ids cannot be read, it is for what the bundle held.
        let meant = |custody: &Custody| match to {
            ([], Some(bundle)) => custody.bundles.iter().any(|id| id == bundle),
            ([], None) => !custody.bundles.is_empty(),
            (ids, _) => custody.udi == *udi && ids.contains(&custody.report_id),
        };
        let keys = self.in_play.get(&instance.udi).cloned().unwrap_or_default();
        for key in keys {
            let Some(custody) = self.reports.get_mut(&key).filter(|custody| meant(custody)) else { continue };
            if custody.answered.is_none() {
                (custody.answered, custody.answered_person) = (Some(at), by.cloned());
            }
            custody.answer = Some(object);
            self.answers.entry(AnswerKey { udi: Some(udi.clone()), object }).or_default().push(key);
        }
    }

    /// Takes out of play what is acknowledged now.
    fn confirm(&mut self, fleet: &Fleet, udi: &Udi, at: Timestamp, person: Option<&String>) {
        let Some(instance) = fleet.resolve(udi) else { return };
        let Some(in_play) = self.in_play.get_mut(&instance.udi) else { return };
        in_play.retain(|key| {
            let acknowledged = instance.acknowledged.contains(&key.0, key.1);
            if let Some(custody) = self.reports.get_mut(key).filter(|_| acknowledged) {
                (custody.confirmed, custody.confirmed_by) = (Some(at), instance.confirmation);
                custody.confirmed_person = person.cloned();
            }
            !acknowledged
        });
    }
}

/// Does an answer with these parts acknowledge reports?
fn acknowledges(parts: &[String]) -> bool {
    parts.iter().any(|part| part == "rum-ack")
}

/// Telemetry counts no licence, and what somebody else probably settled is nothing that we brought.
fn counts(owed: &OwedReport) -> bool {
    owed.report_type == ReportType::Entitlement && !owed.presumed_acknowledged
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::ConfirmedById => "confirmed by id".to_owned(),
        Outcome::ConfirmedByTime => "confirmed by time".to_owned(),
        Outcome::Unconfirmed => "taken, and reading back shows no change".to_owned(),
        Outcome::Failed { cause, .. } => format!("failed: {cause}"),
        Outcome::AwaitingHandImport => "waits for a person".to_owned(),
    }
}
