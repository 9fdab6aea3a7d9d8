//! The fold of the journal into timelines: what every chassis measured, and what polls saw.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::observed::{Licence, Observed, Sight};
use super::{Seconds, Skew, Timeline};
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::report::{EntitlementTag, ReportFacts};

/// What is known of the use of licences, by chassis.
///
/// Reports are taken whenever they were collected, for they measure the past; polls are taken up to an instant, for
/// what was seen later tells nothing of it.
#[derive(Clone, Debug, Default)]
pub struct Consumption {
    chassis: BTreeMap<Udi, Chassis>,
    devices: BTreeMap<DeviceName, Udi>,
    /// So that a hundred thousand timelines share the text of a few tags.
    tags: HashSet<EntitlementTag>,
    since: Seconds,
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
        Consumption { since, until, ..Consumption::default() }
    }

    /// Takes the next event of the journal.
    pub fn take(&mut self, event: &Event) {
        let at = event.at.as_second();
        match &event.fact {
            Fact::ReportCollected(fact) => {
                let span = fact.report.start().zip(fact.report.end());
                let (since, until) = (self.since, self.until);
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
                let before = self.devices.insert(fact.device.clone(), fact.udi.clone());
                // Another chassis answers: what the one before said is no longer seen.
                if let Some(before) = before.filter(|before| *before != fact.udi) {
                    let since = self.since;
                    self.chassis(&before).sight.lost(at, since);
                }
            }
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
        chassis.timeline_mut(&tag).take(facts, object, since)
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

    /// Every tag that a report named.
    pub fn tags(&self) -> BTreeSet<&EntitlementTag> {
        self.tags.iter().collect()
    }

    /// How many reports measure something of the time between, and when the newest of them was collected.
    pub fn reports(&self) -> (u64, Option<Seconds>) {
        (self.reports, self.newest_report)
    }
}
