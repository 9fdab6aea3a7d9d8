//! The life of one report, from the device to its acknowledgement, as the journal tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reports::{ReportLine, bundled, line_of_fact, state_word};
use crate::domain::digest::Sha256;
use crate::domain::event::{BundledReport, Event, Fact, Outcome, Source};
use crate::domain::fleet::{AnswerKey, Fleet};
use crate::domain::instance::Udi;
use crate::domain::report::{ReportFacts, ReportId};
use crate::flow::{Error, House};

/// What a report says and what happened to it, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportLife {
    pub line: ReportLine,
    pub facts: ReportFacts,
    /// When, what, and the person who asked for it where that is on record.
    pub events: Vec<(Timestamp, String, Option<String>)>,
}

/// What is followed of one report.
struct Following {
    life: ReportLife,
    bundles: BTreeSet<String>,
    answers: BTreeSet<AnswerKey>,
    submissions: BTreeSet<String>,
}

impl Following {
    fn tell(&mut self, event: &Event, what: String) {
        self.life.events.push((event.at, what, event.by.clone()));
    }

    fn is_among(&self, id: ReportId, reports: &[BundledReport]) -> bool {
        reports.iter().any(|report| report.report_id == id && self.is(&report.udi))
    }

    /// Is that an answer which acknowledges it?
    fn awaits(&self, udi: &Udi, object: Sha256) -> bool {
        self.answers.contains(&AnswerKey { udi: Some(udi.clone()), object })
    }

    fn is(&self, udi: &Udi) -> bool {
        self.life.line.udi == *udi
    }
}

pub(super) fn lives(house: &House, id: ReportId) -> Result<Vec<ReportLife>, Error> {
    let mut lives: Vec<Following> = Vec::new();
    // One look at the fold for all events: whoever holds it long keeps the owner waiting, and a copy costs little.
    let (bundled, submitted) = {
        let fleet = house.ledger.fleet();
        (bundled(&fleet), submitted(&fleet, id))
    };
    house.ledger.events(None, &mut |event: &Event| {
        match &event.fact {
            Fact::ReportCollected(fact) if fact.report.report_id == id => {
                let line = line_of_fact(&house.ledger.fleet(), &bundled, event.at, fact);
                let life = ReportLife { line, facts: fact.report.clone(), events: Vec::new() };
                let (bundles, answers, submissions) = Default::default();
                let mut following = Following { life, bundles, answers, submissions };
                let from = match (fact.source, &fact.device) {
                    (Source::Import, _) => "brought in a file".to_owned(),
                    (Source::Rest | Source::SavedFile, Some(device)) => format!("collected from {device}"),
                    (Source::Rest | Source::SavedFile, None) => "collected".to_owned(),
                };
                following.tell(event, format!("{from}, kept as object {}", fact.object));
                if fact.presumed_acknowledged {
                    following.tell(event, "ended before the last ACK: presumed acknowledged".to_owned());
                }
                lives.push(following);
            }
            fact => lives.iter_mut().for_each(|following| follow(house, following, id, event, fact, &submitted)),
        }
        ControlFlow::Continue(())
    })?;
    if lives.is_empty() {
        return Err(Error::Input(format!("no report {id} is kept; see `report list --all`")));
    }
    Ok(lives.into_iter().map(|following| following.life).collect())
}

/// The upstream of every submission that holds a report of that number, by its id.
fn submitted(fleet: &Fleet, id: ReportId) -> BTreeMap<String, String> {
    let holds = |reports: &[BundledReport]| reports.iter().any(|report| report.report_id == id);
    let submissions = fleet.submissions.values().filter(|submission| holds(&submission.facts.reports));
    submissions.map(|one| (one.facts.submission.clone(), one.facts.upstream.clone())).collect()
}

fn follow(
    house: &House,
    following: &mut Following,
    id: ReportId,
    event: &Event,
    fact: &Fact,
    submitted: &BTreeMap<String, String>,
) {
    match fact {
        Fact::ReportStates(fact) if following.is(&fact.udi) => {
            for (_, state) in fact.states.iter().filter(|(told, _)| *told == id) {
                following.tell(event, format!("device says {}", state_word(*state)));
            }
        }
        Fact::ReportReread(fact) if fact.report.report_id == id && following.is(&fact.report.udi) => {
            following.tell(event, format!("read anew by reader {}", fact.parser));
        }
        Fact::ReportConflict(fact) if fact.report_id == id && following.is(&fact.udi) => {
            following.tell(event, format!("came again with other bytes: object {}", fact.differing));
        }
        Fact::BundleMade(fact) if following.is_among(id, &fact.reports) => {
            following.bundles.insert(fact.bundle_id.clone());
            let (bundle, manifest) = (&fact.bundle_id, fact.manifest_sha256);
            following.tell(event, format!("put into bundle {bundle}, manifest {manifest}"));
        }
        Fact::BundleHandedOver(fact) if following.bundles.contains(&fact.bundle_id) => {
            let (bundle, left) = (&fact.bundle_id, fact.handed_over);
            following.tell(event, format!("bundle {bundle} handed over at {left}: {}", fact.note));
        }
        Fact::ReportsSubmitted(fact) if following.is_among(id, &fact.reports) => {
            following.submissions.insert(fact.submission.clone());
            following.tell(event, format!("offered to upstream {} as {}", fact.upstream, fact.submission));
        }
        Fact::SubmissionMoved(fact) if following.submissions.contains(&fact.submission) => {
            let upstream = submitted.get(&fact.submission).map_or("the upstream", String::as_str);
            let said = format!("{upstream}: {}", fact.progress);
            following.tell(event, said);
        }
        Fact::AnswerReceived(fact) if fact.reports.contains(&id) && following.is(&fact.udi) => {
            following.answers.insert(AnswerKey { udi: Some(fact.udi.clone()), object: fact.object });
            let placed =
                fact.assigned.as_ref().map_or_else(String::new, |note| format!(", placed by a person: {note}"));
            let bundle = fact.bundle_id.as_ref().map_or_else(String::new, |bundle| format!(", to bundle {bundle}"));
            following.tell(event, format!("answer received: {} ({}){bundle}{placed}", fact.name, fact.object));
        }
        Fact::AnswersExported(fact) if following.answers.iter().any(|key| fact.objects.contains(&key.object)) => {
            following.tell(event, format!("answer written to {}, for a person to carry", fact.folder));
        }
        Fact::AnswerDelivered(fact) => {
            let its = match &fact.udi {
                Some(udi) => following.awaits(udi, fact.object),
                // What was written before one file could be for several: the device tells, by what is known today.
                None => {
                    let key = house.ledger.fleet().delivered(fact);
                    key.is_some_and(|key| following.answers.contains(&key))
                }
            };
            if its {
                let outcome = match &fact.outcome {
                    Outcome::ConfirmedById => "the device lists it as acknowledged".to_owned(),
                    Outcome::ConfirmedByTime => "confirmed by the moved last-ACK time only".to_owned(),
                    Outcome::Unconfirmed => "reading back shows no change".to_owned(),
                    Outcome::Failed { cause, again: true } => format!("failed, tried again: {cause}"),
                    Outcome::Failed { cause, again: false } => format!("failed: {cause}"),
                    Outcome::AwaitingHandImport => "nothing carries a file there: a person must".to_owned(),
                };
                let how = if fact.found { "answer found on" } else { "answer delivered to" };
                following.tell(event, format!("{how} {}: {outcome}", fact.device));
            }
        }
        Fact::AnswerConfirmed(fact) if following.awaits(&fact.udi, fact.object) => {
            let (at, note) = (fact.installed, &fact.note);
            following.tell(event, format!("answer installed at {at} by a person's word: {note}"));
        }
        Fact::DeviceIdentified(_)
        | Fact::StateRead(_)
        | Fact::ReportStates(_)
        | Fact::ReportCollected(_)
        | Fact::ReportReread(_)
        | Fact::ReportConflict(_)
        | Fact::DeviceWritten(_)
        | Fact::ContactLost(_)
        | Fact::ContactRestored(_)
        | Fact::TrustPinned(_)
        | Fact::TrustRefused(_)
        | Fact::CredentialRefused(_)
        | Fact::CredentialReleased(_)
        | Fact::AccessLearned(_)
        | Fact::BundleMade(_)
        | Fact::BundleHandedOver(_)
        | Fact::AnswerReceived(_)
        | Fact::AnswerQuarantined(_)
        | Fact::AnswerConfirmed(_)
        | Fact::AnswersExported(_)
        | Fact::ReportsSubmitted(_)
        | Fact::SubmissionMoved(_)
        | Fact::UpstreamRead(_)
        | Fact::UpstreamRefused(_)
        | Fact::ScheduleRan(_)
        | Fact::ViolationFound(_)
        | Fact::ViolationResolved(_)
        | Fact::ViolationAcknowledged(_)
        | Fact::MessageMade(_)
        | Fact::MessageSettled(_)
        | Fact::SilenceSet(_)
        | Fact::SilenceEnded(_)
        | Fact::SnapshotOwed(_)
        | Fact::SnapshotPosted(_)
        | Fact::OnPremSynced(_)
        | Fact::DeviceRetired(_)
        | Fact::DeviceReplaced(_) => {}
    }
}
