//! The fold of the journal into timelines: what every chassis measured, and what polls saw.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::company::{Company, Together, together};
use super::named::{Named, Names};
use super::observed::{Licence, Observed, Sight};
use super::{Seconds, Skew, Timeline};
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};
use crate::domain::instance::{DeviceName, Member, Udi};
use crate::domain::report::{EntitlementTag, ReportFacts};

/// What is known of the use of licences, by chassis.
///
/// Reports are taken whenever they were collected, for they measure the past; polls are taken up to an instant, for
/// what was seen later tells nothing of it.
#[derive(Clone, Debug, Default)]
pub struct Consumption {
    chassis: BTreeMap<Udi, Chassis>,
    devices: BTreeMap<DeviceName, Udi>,
    /// The name by which chassis went together that were found as one, the last one.
    names: BTreeMap<Together, DeviceName>,
    /// So that a hundred thousand timelines share the text of a few tags.
    tags: HashSet<EntitlementTag>,
    companies: HashSet<Together>,
    called: Names,
    /// What ended before is kept only as far as it tells when was last measured.
    since: Seconds,
    /// Reports are counted that measure something from here on.
    counted: Seconds,
    until: Seconds,
    reports: u64,
    newest_report: Option<Seconds>,
}

/// What one chassis signed, and what it said when asked.
#[derive(Clone, Debug, Default)]
pub struct Chassis {
    timelines: Vec<(EntitlementTag, Timeline)>,
    sight: Sight,
    skews: Vec<Skew>,
    /// `None`: it was never seen but alone.
    company: Option<Box<Company>>,
    /// Some report of it names nobody, not even the chassis itself.
    tells_nobody: bool,
}

impl Chassis {
    pub fn timelines(&self) -> impl Iterator<Item = (&EntitlementTag, &Timeline)> {
        self.timelines.iter().map(|(tag, timeline)| (tag, timeline))
    }

    pub fn timeline(&self, tag: &EntitlementTag) -> Option<&Timeline> {
        self.timelines.iter().find(|(own, _)| own == tag).map(|(_, timeline)| timeline)
    }

    /// What its clock was from ours at polls, in the order of time: the first, and each that was another.
    pub fn skews(&self) -> &[Skew] {
        &self.skews
    }

    /// What polls saw up to `until`, where contact lasts.
    pub fn observed(&self, until: Seconds) -> impl Iterator<Item = (&Licence, Vec<Observed>)> {
        self.sight.licences(until)
    }

    /// Everybody with whom it ever was, each once.
    pub fn company(&self) -> BTreeSet<&Together> {
        self.company.iter().flat_map(|company| company.all()).collect()
    }

    /// Its reports that name no other tell so.
    pub fn tells_when_alone(&self) -> bool {
        !self.tells_nobody
    }

    /// That of it which is of the time with them; `None`: when it was alone.
    pub fn part(&self, wanted: impl Fn(Option<&Together>) -> bool) -> Chassis {
        let Some(company) = &self.company else { return self.clone() };
        let of = |(tag, timeline): &(EntitlementTag, Timeline)| {
            let own = timeline.part(|id| wanted(company.of(id)));
            (!own.sources().is_empty()).then(|| (tag.clone(), own))
        };
        Chassis {
            timelines: self.timelines.iter().filter_map(of).collect(),
            sight: self.sight.within(&company.times(&wanted)),
            skews: self.skews.clone(),
            company: None,
            tells_nobody: self.tells_nobody,
        }
    }

    fn found(&mut self, at: Seconds, with: Option<Together>) {
        if with.is_some() || self.company.is_some() {
            self.company.get_or_insert_default().found(at, with);
        }
    }

    fn timeline_mut(&mut self, tag: &EntitlementTag) -> &mut Timeline {
        let at = self.timelines.iter().position(|(own, _)| own == tag).unwrap_or_else(|| {
            self.timelines.push((tag.clone(), Timeline::default()));
            self.timelines.len() - 1
        });
        &mut self.timelines[at].1
    }
}

impl Consumption {
    /// Nothing known yet. What ended before `since` is kept only as far as it tells when was last measured; polls
    /// after `until` are left out.
    pub fn new(since: Seconds, until: Seconds) -> Consumption {
        Consumption { since, counted: since, until, ..Consumption::default() }
    }

    /// Keeps also what ended before the window, back to an instant: a term that began then is reckoned over.
    pub fn reaching_back_to(self, since: Seconds) -> Consumption {
        Consumption { since: self.since.min(since), ..self }
    }

    /// Takes the next event of the journal.
    pub fn take(&mut self, event: &Event) {
        let at = event.at.as_second();
        match &event.fact {
            Fact::ReportCollected(fact) => {
                let span = fact.report.start().zip(fact.report.end());
                let (since, until) = (self.counted, self.until);
                if let (Some(tag), Some(feature)) = (&fact.report.entitlement_tag, &fact.feature) {
                    self.called.listed(tag, feature);
                }
                let concerns = span.is_some_and(|(start, end)| start.as_second() <= until && end.as_second() >= since);
                if self.report(&fact.report, fact.object, false) && concerns {
                    self.reports += 1;
                    self.newest_report = self.newest_report.max(Some(at));
                }
            }
            Fact::ReportReread(fact) => drop(self.report(&fact.report, fact.object, true)),
            Fact::DeviceIdentified(fact) => {
                // Like a report, it tells of the past too: a clock that is wrong was so before.
                if let Some(ahead) = fact.clock_skew_seconds {
                    let skews = &mut self.chassis(&fact.udi).skews;
                    if skews.last().is_none_or(|last| last.ahead != ahead) {
                        skews.push(Skew { at, ahead });
                    }
                }
                if at > self.until {
                    return;
                }
                let with = self.together(&fact.udi, &fact.members);
                match &with {
                    None => self.chassis(&fact.udi).found(at, None),
                    Some(with) => {
                        self.names.insert(with.clone(), fact.device.clone());
                        for udi in with.iter() {
                            self.chassis(udi).found(at, Some(with.clone()));
                        }
                    }
                }
                let before = self.devices.insert(fact.device.clone(), fact.udi.clone());
                if let Some(company) = &mut self.chassis(&fact.udi).company {
                    company.answered_as(&fact.device);
                }
                // Another chassis answers: what the one before said is no longer seen, if it did not go elsewhere.
                if let Some(before) = before.filter(|before| *before != fact.udi) {
                    let since = self.since;
                    let before = self.chassis(&before);
                    if !before.company.as_ref().is_some_and(|company| company.answers_elsewhere(&fact.device)) {
                        before.sight.lost(at, since);
                    }
                }
            }
            Fact::AnswerReceived(fact) => fact.licences.iter().for_each(|licence| self.called.answered(licence)),
            Fact::StateRead(fact) if at <= self.until => {
                let since = self.since;
                self.chassis(&fact.udi).sight.read(at, fact.state.licenses.iter(), since);
            }
            Fact::ContactLost(fact) if at <= self.until => {
                let since = self.since;
                if let Some(chassis) = self.of_device(&fact.device) {
                    chassis.sight.lost(at, since);
                }
            }
            Fact::ContactRestored(fact) if at <= self.until => {
                if let Some(chassis) = self.of_device(&fact.device) {
                    chassis.sight.restored(at);
                }
            }
            // Nothing else tells of quantities, and no new kind of fact will by itself.
            _ => {}
        }
    }

    /// Takes a report in; one that was read again, in place of what was read before.
    fn report(&mut self, facts: &ReportFacts, object: Sha256, again: bool) -> bool {
        let Some(tag) = &facts.entitlement_tag else { return false };
        let tag = match self.tags.get(tag) {
            Some(known) => known.clone(),
            None => {
                self.tags.insert(tag.clone());
                tag.clone()
            }
        };
        let since = self.since;
        let chassis = self.chassis(&facts.udi);
        if again {
            let mut timelines = chassis.timelines.iter_mut();
            if !timelines.any(|(_, timeline)| timeline.forget(facts.report_id, object)) {
                return false;
            }
        }
        let taken = chassis.timeline_mut(&tag).take(facts, object, since);
        if taken {
            let with = self.together(&facts.udi, &facts.members);
            let chassis = self.chassis(&facts.udi);
            chassis.tells_nobody |= facts.members.is_empty();
            if with.is_some() || chassis.company.is_some() {
                chassis.company.get_or_insert_default().report(facts.report_id, with);
            }
        }
        taken
    }

    /// A fleet has few pairs and stacks, and they tell of themselves in every report.
    fn together(&mut self, udi: &Udi, members: &[Member]) -> Option<Together> {
        let with = together(udi, members)?;
        match self.companies.get(&with) {
            Some(known) => Some(known.clone()),
            None => {
                self.companies.insert(with.clone());
                Some(with)
            }
        }
    }

    fn chassis(&mut self, udi: &Udi) -> &mut Chassis {
        if !self.chassis.contains_key(udi) {
            self.chassis.insert(udi.clone(), Chassis::default());
        }
        self.chassis.entry(udi.clone()).or_default()
    }

    fn of_device(&mut self, device: &DeviceName) -> Option<&mut Chassis> {
        self.chassis.get_mut(self.devices.get(device)?)
    }

    /// Every chassis that signed or said something.
    pub fn each(&self) -> impl Iterator<Item = (&Udi, &Chassis)> {
        self.chassis.iter()
    }

    /// The device that these were found to be together, the last one.
    pub fn name_of(&self, together: &[Udi]) -> Option<&DeviceName> {
        self.names.get(together)
    }

    /// What tags are called, by devices that list their reports and by answers.
    pub fn called(&self) -> impl Iterator<Item = (&EntitlementTag, &Named)> {
        self.called.each()
    }

    /// Every tag that a report named.
    pub fn tags(&self) -> BTreeSet<&EntitlementTag> {
        self.tags.iter().collect()
    }

    /// How many reports measure something of the time between, and when the newest of them was collected.
    pub fn reports(&self) -> (u64, Option<Seconds>) {
        (self.reports, self.newest_report)
    }
}
