//! The period report: which obligations were due, how each ended, and where every report went.
//!
//! Events are folded in their order, and after each the deadline in force is compared with the one before. So the
//! report says what was known then, not what today's state would make of it; the same period of the same journal gives
//! the same report for ever. An ACK that was learned of after the end of the period is told by the next one, where
//! the obligation is carried over.

mod custody;
mod track;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use custody::Custody;

use self::custody::Chains;
use self::track::{Closed, Ending, Track};
use super::bundle::{self, Selection};
use super::deadline::{self, Basis, Rules};
use super::event::{Event, Fact};
use super::fleet::{AnswerKey, Confirmation, Fleet, Instance, RecordKey};
use super::instance::{Account, DeviceName, Site, Udi};
use super::on_prem;
use super::plan::{Watched, watched_as};
use super::settings::words;
use super::violation::Subject;

/// What happened in a period. Times are the journal's; those of ACKs are the devices' own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub from: Timestamp,
    /// Just before this instant the period ends.
    pub to: Timestamp,
    /// Only what is of this Smart or Virtual Account.
    pub account: Option<String>,
    /// The journal is kept from here on; what ended before is not told. `null`: it was read far enough back.
    pub incomplete_before: Option<Timestamp>,
    pub groups: Vec<Group>,
    pub notes: Vec<Note>,
}

/// The obligations of one account at one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
    pub site: Site,
    /// Those below, by how they ended.
    pub counts: BTreeMap<Outcome, usize>,
    /// In the order of their deadlines.
    pub obligations: Vec<Obligation>,
}

/// How an obligation ended, as known at the end of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Acknowledged by its deadline, or handed over where no ACK is asked.
    Met,
    /// The same, after its deadline.
    Late,
    /// The deadline passed, and nothing came.
    Missed,
    /// A person ended it.
    Retired,
    /// Policy or licensing model ask for nothing any more.
    NotRequired,
}
words!(Outcome {
    Met = "met",
    Late = "late",
    Missed = "missed",
    Retired = "retired",
    NotRequired = "not-required",
});

/// One deadline that was in force, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Obligation {
    /// The device's name, else its UDI, or the On-Prem server's name.
    pub name: String,
    pub device: Option<DeviceName>,
    pub udi: Option<Udi>,
    pub due: Timestamp,
    pub basis: Basis,
    /// What the deadline rested on when it was last news.
    pub reason: String,
    /// When we learned of it.
    pub since: Timestamp,
    /// The deadline was past when the period began.
    pub carried_over: bool,
    pub outcome: Outcome,
    /// When it ended; `null` while nothing came.
    pub ended: Option<Timestamp>,
    pub how: String,
    /// Days after the deadline.
    pub late_days: Option<f64>,
    /// How the deadline was moved without an ACK, in order.
    pub moves: Vec<Move>,
    /// The reports that were owed while it was in force.
    pub reports: Vec<Custody>,
}

/// A deadline that was moved while it was in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    pub at: Timestamp,
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: String,
}

/// What a person put on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub at: Timestamp,
    pub what: String,
    pub about: String,
    pub note: String,
    /// Who, by the name of the system's user; `null`: not on record.
    pub by: Option<String>,
}

/// Folds events into a period report.
pub struct Reckoner<'a> {
    fleet: Fleet,
    watched: &'a [Watched],
    rules: &'a Rules,
    evidence: Evidence,
    tracks: BTreeMap<Subject, Track>,
    chains: Chains,
    closed: Vec<(Subject, Closed)>,
}

impl<'a> Reckoner<'a> {
    /// Begins with the fold at `base`, an instant before the period. `incomplete`: there may be obligations of the period
    /// that ended before it. `watched` is in the order of names.
    pub fn new(
        fleet: Fleet,
        base: Timestamp,
        incomplete: bool,
        (from, to): (Timestamp, Timestamp),
        account: Option<String>,
        watched: &'a [Watched],
        rules: &'a Rules,
    ) -> Self {
        let incomplete_before = incomplete.then_some(base);
        let evidence = Evidence { from, to, account, incomplete_before, groups: Vec::new(), notes: Vec::new() };
        let mut reckoner = Reckoner {
            chains: Chains::of(&fleet),
            fleet,
            watched,
            rules,
            evidence,
            tracks: BTreeMap::new(),
            closed: Vec::new(),
        };
        reckoner.look_at_all(base);
        reckoner
    }

    /// Takes the next event; those after the period are left out.
    pub fn take(&mut self, event: &Event) {
        if event.at >= self.evidence.to {
            return;
        }
        self.note(event);
        let touched = self.fleet.apply(event);
        self.chains.follow(&self.fleet, event);
        for key in touched {
            match key {
                RecordKey::Instance(udi) => self.look_at(&udi, event.at),
                RecordKey::OnPrem(name) => self.look_at_server(&name, event.at),
                RecordKey::Alias(_)
                | RecordKey::Device(_)
                | RecordKey::Bundle(_)
                | RecordKey::Answer(_)
                | RecordKey::Credential(_)
                | RecordKey::Schedule(_)
                | RecordKey::Violation(_)
                | RecordKey::Message(_)
                | RecordKey::Told(_)
                | RecordKey::Silence(_)
                | RecordKey::Submission(_)
                | RecordKey::Upstream(_)
                | RecordKey::Handover(_) => {}
            }
        }
    }

    /// The report, when all events were taken.
    pub fn end(mut self) -> Evidence {
        let to = self.evidence.to;
        // A deadline may have come into force by time alone.
        self.look_at_all(to);
        for (subject, track) in std::mem::take(&mut self.tracks) {
            if let Some(open) = track.open.filter(|open| open.due < to) {
                self.closed.push((subject, Closed { open, ending: Ending::Nothing }));
            }
        }
        let mut groups: BTreeMap<(Account, Site), Vec<Obligation>> = BTreeMap::new();
        for (subject, closed) in std::mem::take(&mut self.closed) {
            let (account, site) = self.place(&subject);
            let selection = Selection { account: self.evidence.account.clone(), ..Selection::default() };
            if self.concerns(&closed) && selection.covers(&site, &account) {
                groups.entry((account, site)).or_default().push(self.obligation(subject, closed));
            }
        }
        let group = |((account, site), mut obligations): ((Account, Site), Vec<Obligation>)| {
            obligations.sort_by(|a, b| (a.due, &a.name).cmp(&(b.due, &b.name)));
            let mut counts = BTreeMap::new();
            for obligation in &obligations {
                *counts.entry(obligation.outcome).or_insert(0) += 1;
            }
            let Account { smart_account, virtual_account } = account;
            Group { smart_account, virtual_account, site, counts, obligations }
        };
        self.evidence.groups = groups.into_iter().map(group).collect();
        self.evidence
    }

    /// Was it due in the period, or carried into it?
    fn concerns(&self, closed: &Closed) -> bool {
        let Evidence { from, to, .. } = self.evidence;
        let due = closed.open.due;
        let carried = due < from && closed.ending.known().is_none_or(|known| known >= from);
        carried || (from <= due && due < to)
    }

    fn look_at_all(&mut self, at: Timestamp) {
        for udi in self.fleet.instances.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&udi, at);
        }
        for name in self.fleet.on_prem.keys().cloned().collect::<Vec<_>>() {
            self.look_at_server(&name, at);
        }
    }

    fn look_at(&mut self, udi: &Udi, at: Timestamp) {
        let Some(instance) = self.fleet.instances.get(udi) else { return };
        let subject = Subject::Instance(udi.clone());
        let track = self.tracks.entry(subject.clone()).or_default();
        let standing = deadline::standing(instance, SignedDuration::ZERO, self.rules, at);
        let reports = self.chains.in_play(udi);
        if let Some(closed) = track.look(&standing, settled(instance), instance.retired.as_deref(), reports, at) {
            self.closed.push((subject, closed));
        }
    }

    fn look_at_server(&mut self, name: &str, at: Timestamp) {
        let Some(server) = self.fleet.on_prem.get(name) else { return };
        let subject = Subject::OnPrem(name.to_owned());
        let track = self.tracks.entry(subject.clone()).or_default();
        let standing = on_prem::standing(server, at);
        let settled = Some((server.synced, "synchronised"));
        if let Some(closed) = track.look(&standing, settled, None, Default::default(), at) {
            self.closed.push((subject, closed));
        }
    }

    /// Whose and where, as known at the end of the period; the inventory's word on accounts is today's.
    fn place(&self, subject: &Subject) -> (Account, Site) {
        let instance = match subject {
            Subject::Instance(udi) => self.fleet.resolve(udi),
            Subject::Device(name) => self.fleet.of_device(name),
            Subject::OnPrem(_) => None,
        };
        let name = instance.and_then(|instance| instance.device.as_ref());
        let device = name.and_then(|name| watched_as(self.watched, name));
        (bundle::account(device, instance), instance.map(|instance| instance.site.clone()).unwrap_or_default())
    }

    fn obligation(&self, subject: Subject, Closed { open, ending }: Closed) -> Obligation {
        let instance = match &subject {
            Subject::Instance(udi) => self.fleet.resolve(udi),
            Subject::Device(_) | Subject::OnPrem(_) => None,
        };
        let device = instance.and_then(|instance| instance.device.clone());
        let due = open.due;
        let after = |at: Timestamp| (at.duration_since(due).as_secs_f64() / 8640.0).round() / 10.0;
        let (outcome, ended) = (ending.outcome(due), ending.at());
        Obligation {
            name: device.as_ref().map_or_else(|| subject.to_string(), ToString::to_string),
            udi: instance.map(|instance| instance.udi.clone()),
            device,
            due,
            basis: open.basis,
            reason: open.reason,
            since: open.since,
            carried_over: due < self.evidence.from,
            outcome,
            ended,
            how: ending.to_string(),
            late_days: match outcome {
                Outcome::Late => ended.map(after),
                Outcome::Missed => Some(after(ended.unwrap_or(self.evidence.to))),
                Outcome::Met | Outcome::Retired | Outcome::NotRequired => None,
            },
            moves: open.moves,
            reports: {
                // What the ACK settled that began this obligation was of the one before; it is confirmed a read-back later.
                let before =
                    |custody: &Custody| custody.confirmed.is_some_and(|at| at.duration_since(open.since) <= READ_BACK);
                let chains = open.reports.iter().filter_map(|report| self.chains.of_report(&self.fleet, report));
                chains.filter(|custody| !before(custody)).collect()
            },
        }
    }

    /// Keeps what a person put on record in the period.
    fn note(&mut self, event: &Event) {
        if event.at < self.evidence.from {
            return;
        }
        let Some((what, subject, about, note)) = self.noted(&event.fact) else { return };
        let selection = Selection { account: self.evidence.account.clone(), ..Selection::default() };
        let ours = subject.is_none_or(|subject| {
            let (account, site) = self.place(&subject);
            selection.covers(&site, &account)
        });
        if ours {
            let (at, what, by) = (event.at, what.to_owned(), event.by.clone());
            self.evidence.notes.push(Note { at, what, about, note, by });
        }
    }

    fn noted(&self, fact: &Fact) -> Option<(&'static str, Option<Subject>, String, String)> {
        let instance = |udi: &Udi| Some(Subject::Instance(udi.clone()));
        Some(match fact {
            Fact::ViolationAcknowledged(fact) => {
                let found = self.fleet.violations.get(&fact.id).map(|violation| &violation.found);
                let named =
                    |id| found.map_or_else(|| format!("{id}"), |found| format!("{} {}", found.kind, found.subject));
                let note = format!("{} (until {})", fact.note, minute(fact.until));
                ("violation acknowledged", found.map(|found| found.subject.clone()), named(&fact.id), note)
            }
            Fact::BundleHandedOver(fact) => {
                let bundle = self.fleet.bundles.get(&fact.bundle_id);
                let first = bundle.and_then(|bundle| bundle.facts.reports.first());
                let about = format!("bundle {}", fact.bundle_id);
                ("bundle handed over", first.and_then(|report| instance(&report.udi)), about, fact.note.clone())
            }
            Fact::AnswerReceived(fact) => {
                let note = fact.assigned.clone()?;
                ("answer assigned", instance(&fact.udi), format!("{} to {}", fact.name, fact.udi), note)
            }
            Fact::AnswerConfirmed(fact) => {
                let key = AnswerKey { udi: Some(fact.udi.clone()), object: fact.object };
                let answer = self.fleet.answers.get(&key);
                let name = answer.map_or_else(|| fact.object.short(), |answer| answer.name.clone());
                let about = format!("{name} on {} at {}", fact.udi, minute(fact.installed));
                ("answer confirmed", instance(&fact.udi), about, fact.note.clone())
            }
            Fact::DeviceRetired(fact) => {
                let device = fact.device.as_ref().map(ToString::to_string);
                let about = device.or_else(|| fact.udi.as_ref().map(ToString::to_string)).unwrap_or_default();
                ("retired", fact.udi.as_ref().and_then(instance), about, fact.note.clone())
            }
            Fact::DeviceReplaced(fact) => {
                let about = format!("{} by {}", fact.old, fact.new);
                ("replaced", instance(&fact.old), about, fact.note.clone().unwrap_or_default())
            }
            Fact::OnPremSynced(fact) => {
                let subject = Subject::OnPrem(fact.name.clone());
                let about = format!("{subject} at {}", minute(fact.synced));
                ("synchronised", Some(subject), about, fact.note.clone()?)
            }
            Fact::SilenceSet(fact) => {
                ("silence set", None, format!("{} until {}", fact.id, minute(fact.until)), fact.note.clone())
            }
            Fact::CredentialReleased(fact) => {
                ("credential released", None, fact.credential.clone(), fact.note.clone()?)
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
            | Fact::UpstreamRefused(_)
            | Fact::AccessLearned(_)
            | Fact::BundleMade(_)
            | Fact::AnswerQuarantined(_)
            | Fact::AnswerDelivered(_)
            | Fact::AnswersExported(_)
            | Fact::ReportsSubmitted(_)
            | Fact::SubmissionMoved(_)
            | Fact::UpstreamRead(_)
            | Fact::ScheduleRan(_)
            | Fact::ViolationFound(_)
            | Fact::ViolationResolved(_)
            | Fact::MessageMade(_)
            | Fact::MessageSettled(_)
            | Fact::SilenceEnded(_)
            | Fact::SnapshotOwed(_)
            | Fact::SnapshotPosted(_) => return None,
        })
    }
}

/// Within this time after a new deadline was read, what the ACK before it settled is confirmed.
const READ_BACK: SignedDuration = SignedDuration::from_hours(1);

/// When an instance's obligation was last met, and how.
fn settled(instance: &Instance) -> Option<(Timestamp, &'static str)> {
    let state = instance.state.as_ref();
    let ack = state.and_then(|state| state.usage_reporting.last_ack.as_ref()?.utc).map(|at| (at, "acknowledged"));
    let no_ack_asked = state.and_then(|state| state.policy.as_ref()?.ack_required) == Some(false);
    let handed = instance.last_handed_over.filter(|_| no_ack_asked).map(|at| (at, "handed over; no ACK is asked"));
    // Nobody here can look: a person's word stands for the device's.
    let word = instance.last_acknowledged.filter(|_| instance.confirmation == Some(Confirmation::ByPerson));
    let word = word.filter(|_| ack.is_none()).map(|at| (at, "acknowledged, by a person's word"));
    ack.max(handed).max(word)
}

/// An instant as notes name it.
fn minute(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%MZ")
}

#[cfg(test)]
mod tests;
