//! Answers: received, brought to their devices, told to be installed.

use jiff::Timestamp;

use super::{Answer, AnswerKey, AnswerStatus, Confirmation, Fleet, RecordKey, Word};
use crate::domain::event::{AnswerConfirmed, AnswerDelivered, AnswerReceived, Outcome};

impl Fleet {
    pub(super) fn answer_received(
        &mut self,
        at: Timestamp,
        by: Option<&String>,
        fact: &AnswerReceived,
    ) -> Vec<RecordKey> {
        let key = AnswerKey { udi: Some(fact.udi.clone()), object: fact.object };
        let mut touched = vec![RecordKey::Answer(key.clone())];
        // Whose it is is known now.
        let unplaced = AnswerKey { udi: None, object: fact.object };
        if self.answers.remove(&unplaced).is_some() {
            touched.push(RecordKey::Answer(unplaced));
        }
        // One that a person must see to starts anew when a person brings it again.
        if self.answers.get(&key).is_none_or(Answer::needs_person) {
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
                brought_by: by.cloned(),
                word: None,
            };
            self.answers.insert(key, answer);
        }
        if let Some(id) = &fact.bundle_id {
            // An answer proves that the bundle was handed over; those after it prove nothing more, and touch nobody else.
            if self.bundles.get(id).is_some_and(|bundle| bundle.handed_over.is_none()) {
                touched.extend(self.handed_over(id, at, None));
            }
            // The record of a bundle is as long as the bundle: it is written once for all its answers.
            if let Some(bundle) = self.bundles.get_mut(id).filter(|bundle| bundle.answered.is_none()) {
                bundle.answered = Some(at);
                touched.push(RecordKey::Bundle(id.clone()));
            }
            if let Some(submission) = self.submissions.get_mut(id) {
                submission.answered.extend(fact.reports.iter().map(|report| (fact.udi.clone(), *report)));
                touched.push(RecordKey::Submission(id.clone()));
            }
        }
        touched
    }

    pub(super) fn answer_confirmed(&mut self, by: Option<&String>, fact: &AnswerConfirmed) -> Vec<RecordKey> {
        let key = AnswerKey { udi: Some(fact.udi.clone()), object: fact.object };
        let Some(answer) = self.answers.get_mut(&key) else { return Vec::new() };
        let (installed, note) = (fact.installed, fact.note.clone());
        answer.word = Some(Word { installed, by: by.cloned(), note });
        // What the device itself told is worth more.
        if !answer.is_settled() {
            answer.status = AnswerStatus::Confirmed(Confirmation::ByPerson);
        }
        let (reports, acknowledges) = (answer.reports.clone(), answer.acknowledges());
        let primary = self.primary(&fact.udi).clone();
        let mut touched = vec![RecordKey::Answer(key)];
        if let Some(instance) = self.instances.get_mut(&primary) {
            for id in reports {
                instance.acknowledge(installed, &fact.udi, id, Confirmation::ByPerson);
            }
            // An acknowledgement resets the clock, whichever reports it was for.
            if acknowledges && instance.last_acknowledged.is_none_or(|last| last < installed) {
                instance.last_acknowledged = Some(installed);
                instance.confirmation = Some(Confirmation::ByPerson);
            }
            touched.push(RecordKey::Instance(primary));
        }
        touched
    }

    pub(super) fn answer_delivered(&mut self, at: Timestamp, fact: &AnswerDelivered) -> Vec<RecordKey> {
        let Some(key) = self.delivered(fact) else { return Vec::new() };
        let Some(answer) = self.answers.get_mut(&key) else { return Vec::new() };
        if !fact.found {
            // Applied already: a second time changes nothing.
            if answer.last_attempt == Some(at) {
                return Vec::new();
            }
            answer.attempts = answer.attempts.saturating_add(1);
            answer.last_attempt = Some(at);
        }
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
        let (reports, udi) = (answer.reports.clone(), answer.udi.clone());
        let mut touched = vec![RecordKey::Answer(key)];
        if let Some(udi) = udi.filter(|_| fact.outcome == Outcome::ConfirmedByTime) {
            let primary = self.primary(&udi).clone();
            if let Some(instance) = self.instances.get_mut(&primary) {
                for id in reports {
                    instance.acknowledge(at, &udi, id, Confirmation::ByTime);
                }
                touched.push(RecordKey::Instance(primary));
            }
        }
        touched
    }
}
